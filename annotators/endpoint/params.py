"""What every annotator that asks an endpoint is told: whom, how fast, and how much in total."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import Field, JsonValue, field_validator

from fld_engine.annotators.common import prompts
from fld_engine.engine.data.records import ModelIdentity
from fld_engine.schemas.annotations import Frozen


class EndpointParams(Frozen):
    """A model behind an endpoint. An annotator's own `Params` extend it."""

    runtime: ClassVar[frozenset[str]] = frozenset(
        {"base_url", "key_variable", "concurrency", "timeout_s", "max_retries", "max_requests", "max_tokens"}
        | {"model", "revision", "licence"}
    )
    """Not part of a fingerprint: the model's identity says the last three, the others how it is reached."""

    base_url: str = Field(description="where the endpoint is, up to and with `/v1`")
    model: str = Field(min_length=1, description="name that the endpoint serves it under")
    revision: str = Field(default="", description="of what is served, as you know it: an endpoint does not tell")
    licence: str = Field(default="", description="of the weights")
    key_variable: str = Field(
        default="", pattern=r"^([A-Z][A-Z0-9_]*)?$", description="environment variable with the key; empty: no key"
    )
    seed: int = Field(default=0, description="sent with every request, beside a temperature of 0")
    extra: Mapping[str, JsonValue] = Field(
        default_factory=dict,
        description="more fields of every request, such as vLLM's chat_template_kwargs; null: none",
    )
    max_side: int = Field(default=1024, gt=0, description="px; images are sent no larger than this; ours")
    concurrency: int = Field(default=8, gt=0, description="requests of one worker at once; ours")
    timeout_s: float = Field(default=60.0, gt=0, description="of one request, from sending to the last byte; ours")
    max_retries: int = Field(default=5, ge=0, description="after 408, 409, 429, 5xx and broken connections; ours")
    max_requests: int | None = Field(default=None, gt=0, description="of all workers of a root in total, retries too")
    max_tokens: int | None = Field(default=None, gt=0, description="of all workers of a root in total, both ways")

    @field_validator("base_url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("expected an address such as http://host:8000/v1")
        if parts.username or parts.password or parts.query:
            raise ValueError("an address holds no secrets: name a variable with the key as `key_variable`")
        return url.rstrip("/")

    @property
    def identity(self) -> ModelIdentity:
        """The wording of the prompts is part of what was asked."""
        revision = f"{self.revision}+prompts-{prompts.VERSION}".lstrip("+")
        return ModelIdentity(id=self.model, revision=revision, licence=self.licence)
