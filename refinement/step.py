"""One forward pass of a student over a batch, as a torch module, so that DDP can wrap it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from refinement.student import IGNORED, embed


class ForcedAnswers(nn.Module):
    """Cross-entropy of every token of forced answers, the vision tower running once an image."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Mapping[str, Any], labels: torch.Tensor) -> torch.Tensor:
        """(n, longest) negative log-likelihoods; 0 where the label is `IGNORED`."""
        logits = self.logits(inputs, labels)
        losses = cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none", ignore_index=IGNORED)
        return losses.view(labels.shape)

    def logits(self, inputs: Mapping[str, Any], labels: torch.Tensor) -> torch.Tensor:
        """(n, longest, vocabulary): what the model would say at each place of the answer, given what is before it."""
        output = self.model(
            inputs_embeds=embed(self.model, dict(inputs)),
            attention_mask=inputs["attention_mask"],
            decoder_input_ids=_shifted(labels, self.model.config.text_config),
            use_cache=False,
        )
        found: torch.Tensor = output.logits
        return found


def _shifted(labels: torch.Tensor, config: Any) -> torch.Tensor:
    """What the decoder has heard before it says each label: the start token, then the labels but the last."""
    heard = labels.new_full(labels.shape, config.decoder_start_token_id)
    heard[:, 1:] = labels[:, :-1]
    return heard.masked_fill(heard == IGNORED, config.pad_token_id)
