"""Which libraries decide what annotators write, for the record of their versions (`engine.data.libraries`)."""

from __future__ import annotations

NETWORKS = ("onnxruntime", "opencv")
"""Of packaged networks, and of what is done to pictures before and after them."""
SENTENCES = ("onnxruntime", "tokenizers")
"""Of the packaged sentence embedder."""
CHECKPOINTS = ("torch", "torchvision", "transformers", "tokenizers")
"""Of checkpoints of a hub: torchvision, where it is installed, resizes the images of some."""
