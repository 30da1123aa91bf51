"""One forward pass of a student over a batch, as a torch module, so that DDP can wrap it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from fld_engine.refinement.student.encoding import IGNORED, embed, shifted


class TeacherForcing(nn.Module):
    """Cross-entropy of every token of given answers, the vision tower running once an image."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Mapping[str, Any], labels: torch.Tensor) -> torch.Tensor:
        """(n, longest) negative log-likelihoods; 0 where the label is `IGNORED`."""
        seen = self.model.get_image_features(inputs["pixel_values"]).pooler_output
        logits = self.model(
            inputs_embeds=embed(self.model, inputs["input_ids"], seen[inputs["image_rows"]]),
            attention_mask=inputs["attention_mask"],
            decoder_input_ids=shifted(labels, self.model.config.text_config),
            use_cache=False,
        ).logits
        losses = cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none", ignore_index=IGNORED)
        return losses.view(labels.shape)
