"""How well a text fits an image, without a model trained on both: ConSE (Norouzi et al. 2014, arXiv 1312.5650).

An image becomes the average of the sentence embeddings of its most probable class names, weighted by probability; a
text becomes its own sentence embedding. Both are centred by the mean embedding of all class names, which takes away
what every name has in common, and compared by cosine.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fld_engine.annotators.common.cache import cache_folder, write_whole
from fld_engine.annotators.packaged.efficientnet import EfficientNet
from fld_engine.annotators.packaged.minilm import MiniLM
from fld_engine.engine.data.images import RGB
from fld_engine.engine.data.records import ModelIdentity
from fld_engine.schemas.annotations import Frozen

Floats = npt.NDArray[np.float32]

PEOPLE = ("man", "woman", "child", "human being", "people")
"""Names that stand for people, whom ImageNet has no class for. None is a class of a detector."""


class ConseParams(Frozen):
    """How class probabilities become a vector.

    The defaults put 285 captions in order for 307 photographs with a median rank of 6, where chance is 143.
    """

    top_k: int = Field(default=20, gt=0, le=1000, description="classes that are averaged")
    temperature: float = Field(default=2.0, gt=0, description="above 1, lesser classes weigh more")


def combined_identity(name: str, *models: ModelIdentity) -> ModelIdentity:
    """The identity of an annotator that speaks through several models: revisions joined, weights hashed together."""
    return ModelIdentity(
        id=f"{name}({', '.join(model.id for model in models)})",
        revision="+".join(model.revision for model in models),
        sha256=hashlib.sha256("".join(model.sha256 for model in models).encode()).hexdigest(),
        licence=", ".join(sorted({model.licence for model in models})),
    )


class Conse:
    """Image and text vectors of one space. Cheap to make; `load` before use."""

    model = combined_identity("conse", EfficientNet.model, MiniLM.model)

    def __init__(self, params: ConseParams | None = None) -> None:
        self.params = params or ConseParams()
        self._classifier = EfficientNet()
        self._embedder = MiniLM()

    def load(self) -> None:
        """Open both models and get the vectors of the class names. Raises `ModelError` when a model is not there."""
        self._classifier.load()
        self._embedder.load()
        names = self._class_names()
        self._mean: Floats = names.mean(axis=0)
        self._names: Floats = names - self._mean
        self._people: Floats = _unit(self._embedder.embed(PEOPLE).mean(axis=0, keepdims=True) - self._mean)[0]

    def _class_names(self) -> Floats:
        """Embeddings (1000, 384) of the class names: seconds of work, so it is done once per machine and kept."""
        path = cache_folder() / "embeddings" / f"imagenet-{self.model.sha256[:16]}.npy"
        if path.is_file():
            return np.asarray(np.load(path, allow_pickle=False), dtype=np.float32)
        names = self._embedder.embed(self._classifier.class_names)
        buffer = io.BytesIO()
        np.save(buffer, names, allow_pickle=False)
        write_whole(path, buffer.getvalue())
        return names

    def image_vectors(self, images: Sequence[RGB], people: Sequence[float]) -> Floats:
        """Unit rows (n, 384). `people` gives for each image how sure it is, in [0, 1], that it shows a person.

        A person is mixed in as the mean of `PEOPLE`, so that no candidate text is compared with itself. It is still
        the detector that says so: how well texts about people fit rests on it as much as on the classifier.
        """
        share = np.asarray(people, dtype=np.float32).reshape(-1, 1)
        weights = class_weights(self._classifier.probabilities(images), self.params)
        rows = np.empty((len(images), self._names.shape[1]), dtype=np.float32)
        for row, weight in zip(rows, weights, strict=True):  # one product for all would let neighbours move last bits
            row[:] = weight @ self._names
        return _unit((1 - share) * _unit(rows) + share * self._people)

    def text_vectors(self, texts: Sequence[str]) -> Floats:
        """Unit rows (n, 384)."""
        return _unit(self._embedder.embed(texts) - self._mean)


def class_weights(probabilities: Floats, params: ConseParams) -> Floats:
    """Weights (n, classes) of rows that sum to 1: the `top_k` classes, sharpened by 1 / `temperature`.

    A softmax of logits divided by T is the softmax raised to the power 1 / T and scaled to sum to 1 again.
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")
    weights = np.power(probabilities, 1.0 / params.temperature, dtype=np.float32)
    np.put_along_axis(weights, order[:, params.top_k :], 0.0, axis=1)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)


def _unit(rows: Floats) -> Floats:
    """Rows of length 1; a row of zeros stays."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-12), dtype=np.float32)
