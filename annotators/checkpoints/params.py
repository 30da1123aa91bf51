"""What every adapter is told: which weights, pinned how, and where and in what precision they run."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field

from fld_engine.annotators.checkpoints.checkpoint import Checkpoint
from fld_engine.engine.data.records import ModelIdentity
from fld_engine.schemas.annotations import Frozen

Dtype = Literal["float32", "bfloat16", "float16"]
DeviceName = Literal["auto", "cuda", "mps", "cpu"]


class HubParams(Frozen):
    """A checkpoint and how it runs. An adapter's own `Params` extend it."""

    runtime: ClassVar[frozenset[str]] = frozenset(
        {"checkpoint", "revision", "sha256", "licence", "trust_remote_code", "models_root", "device"}
    )
    """Not part of a fingerprint: the model's identity says the first five, the others where it comes from and runs."""

    checkpoint: str = Field(min_length=1, description="hub id such as `org/name`, a local folder, or its URL")
    revision: str = Field(
        default="", description="commit of the hub; without one the newest is looked up, and recorded"
    )
    sha256: str = Field(default="", description="of a local folder's weights; without one it is computed, and recorded")
    licence: str = Field(default="", description="of the weights; without one, that of the checkpoint's card")
    models_root: str = Field(default="", description="fsspec URL that nodes copy checkpoints from, instead of the hub")
    trust_remote_code: bool = Field(default=False, description="run Python code that comes with the checkpoint")
    device: DeviceName = Field(default="auto", description="auto: cuda, else mps, else cpu")
    dtype: Dtype = Field(default="float32", description="of weights and autocast")
    items_per_pass: int = Field(default=16, gt=0, description="images, crops or prompts in one forward pass; ours")

    @property
    def source(self) -> Checkpoint:
        return Checkpoint(
            id=self.checkpoint,
            revision=self.revision,
            sha256=self.sha256,
            models_root=self.models_root,
            trust_remote_code=self.trust_remote_code,
        )

    @property
    def identity(self) -> ModelIdentity:
        return self.source.identity.model_copy(update={"licence": self.licence})

    def pinned(self, *, models_root: str, strict: bool) -> Self:
        """The same with commit or hash looked up, so that every worker loads the same weights.

        Raises `ModelError` where that is not possible; with `strict=False`, what is not known stays empty.
        """
        source = self.source.pinned(models_root=self.models_root or models_root, strict=strict)
        return self.model_copy(
            update={
                "revision": source.revision,
                "sha256": source.sha256,
                "licence": self.licence or source.licence(ask=strict),
                "models_root": source.models_root,
            }
        )
