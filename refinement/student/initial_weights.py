"""First weights of a student that is made from nothing, chosen so that a small one learns to point within minutes.

Florence-2's own initialisation (normal, std 0.02) suits wide layers and long training. Four things differ here:

- Fan-in scaling: every linear and convolutional layer keeps the variance of what passes through it, at any width.
- Locations are smooth: the embeddings of the 1,000 bins are random Fourier features of their position (Rahimi and
  Recht 2007), so that neighbouring bins look alike. Input and output embeddings are one matrix; what is learned about
  a bin is therefore learned about its neighbours at once, where independent embeddings need examples of each bin.
- The cells of the image grid speak the same language: a cell's place is the sum of the features of its row and its
  column, projected as the location tokens are. A location token and the cells it crosses are alike from the start.
- Attention begins by comparing and passing on: queries and keys are equal maps, and the output map undoes the value
  map, so that a token first looks for what is like it and takes over what it finds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

BROAD, FINE = 0.5, 0.03
"""Kernel widths, in shares of the axis: the features tell apart halves of the image as well as thirtieths."""


BRANCH = 0.3
"""What a block of the vision tower adds at first, relative to what passes through it."""
PLACE = 1.5
"""Where a cell is, relative to what is in it."""


def initialise(model: Any, location_ids: Sequence[int]) -> None:
    """Overwrite the weights of a `Florence2ForConditionalGeneration`; drawn from torch's global generator."""
    import torch
    from torch import nn
    from transformers.models.bart.modeling_bart import BartAttention

    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                fan_in = module.weight[0].numel()
                module.weight.normal_(0.0, fan_in**-0.5)
                if module.bias is not None:
                    module.bias.zero_()
            elif isinstance(module, nn.Embedding):
                module.weight.normal_(0.0, module.embedding_dim**-0.5)
        _quiet_branches(model.model.vision_tower, ("proj", "fc2", "conv1", "conv2"))
        _quiet_branches(model.model.language_model, ("fc2",))
        for module in model.modules():
            if isinstance(module, BartAttention):
                module.k_proj.weight.copy_(module.q_proj.weight)
                nn.init.orthogonal_(module.v_proj.weight)
                module.out_proj.weight.copy_(module.v_proj.weight.T)
        _place_locations(model, location_ids)
        model.tie_weights()


def _quiet_branches(part: Any, ends: tuple[str, ...]) -> None:
    """Scale down what these layers add to the residual stream, so that colours and places arrive as they were."""
    for name, module in part.named_modules():
        if name.endswith(ends):
            module.weight.mul_(BRANCH)


def _place_locations(model: Any, location_ids: Sequence[int]) -> None:
    """Bins, rows and columns get features of where they are, in one space."""
    import torch

    projector = model.model.multi_modal_projector
    grid = projector.image_position_embed
    rows, columns = grid.row_embeddings, grid.column_embeddings
    width = rows.embedding_dim
    bins = torch.linspace(0.0, 1.0, len(location_ids))
    cells = (torch.arange(rows.num_embeddings) + 0.5) / rows.num_embeddings
    features = fourier_features(torch.cat([bins, cells]), width)
    features -= features[: len(bins)].mean(dim=0)  # what all places share tells nothing
    of_bins, of_cells = features[: len(bins)], features[len(bins) :]
    rows.weight.copy_(of_cells * PLACE * math.sqrt(width))
    columns.weight.copy_(of_cells * PLACE * math.sqrt(width))
    # Rows and columns lie in two subspaces, so that (x, y) and (y, x) differ; a bin, which may be either, in both.
    to_words = torch.nn.init.orthogonal_(torch.empty(projector.image_projection.out_features, 2 * width))
    projector.image_projection.weight.copy_(to_words)
    of_either = of_bins @ (to_words[:, :width] + to_words[:, width:]).T / math.sqrt(2)
    model.get_input_embeddings().weight[torch.as_tensor(location_ids)] = of_either


def fourier_features(places: Any, width: int) -> Any:
    """(n, width) rows of length 1; the product of two falls with their distance, at scales from `BROAD` to `FINE`."""
    import torch

    half = (width + 1) // 2
    scales = torch.logspace(math.log10(BROAD), math.log10(FINE), half)
    frequencies = torch.randn(half) / scales
    phases = places[:, None] * frequencies[None, :] + torch.rand(half) * 2 * math.pi
    return (torch.cat([phases.sin(), phases.cos()], dim=1) / math.sqrt(half))[:, :width]
