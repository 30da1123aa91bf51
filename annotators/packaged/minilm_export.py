"""all-MiniLM-L6-v2 as an ONNX graph: BERT, mean pooling over real tokens, unit length."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

from annotators.packaged.onnx_graph import OPSET

DIMENSIONS = 384


def convert(folder: Path) -> bytes:
    """ONNX model: `ids` and `mask` (n, t) int64 to `embeddings` (n, 384) float32 of unit length.

    Pooling and normalisation are those of the model's own `modules.json` and `1_Pooling/config.json`.
    """
    import torch
    from transformers import AutoModel

    class Embedder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bert = AutoModel.from_pretrained(
                folder / "model", local_files_only=True, attn_implementation="eager", dtype=torch.float32
            ).eval()

        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            hidden = self.bert(input_ids=ids, attention_mask=mask).last_hidden_state
            real = mask[..., None].to(hidden.dtype)
            return torch.nn.functional.normalize((hidden * real).sum(1) / real.sum(1), dim=1)

    ids = torch.tensor([[101, 1037, 4937, 102], [101, 4937, 102, 0]])
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", message=".*legacy TorchScript-based ONNX export", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
        torch.onnx.export(
            Embedder(),
            (ids, (ids > 0).long()),
            buffer,
            input_names=["ids", "mask"],
            output_names=["embeddings"],
            dynamic_axes={"ids": {0: "n", 1: "t"}, "mask": {0: "n", 1: "t"}, "embeddings": {0: "n"}},
            opset_version=OPSET,
            dynamo=False,
        )
    return buffer.getvalue()
