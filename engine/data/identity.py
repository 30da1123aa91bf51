"""What of a setting or a task goes into a fingerprint.

A fingerprint names files in a root. Were it made of whatever a model happens to hold, one more field with a default
would rename them all, and every finished root would be made a second time. So a model says by name which of its fields
always count; one that is added later counts where it is not at its default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a model by how they count in a fingerprint: `always`, or `never`; others where they are set.

    A model that is part of a fingerprint has this as class attribute `in_fingerprints`. No name may leave `always`, for
    old roots have it in theirs, and no later one may join it. Whoever changes the default of a later one raises the
    version of the steps that it changes.
    """

    always: tuple[str, ...]
    never: tuple[str, ...] = ()


def identity_of(model: BaseModel) -> dict[str, Any]:
    """A model as JSON, of the fields that count in a fingerprint; models inside it likewise.

    Raises `TypeError` for a model without `in_fingerprints`.
    """
    fields = getattr(type(model), "in_fingerprints", None)
    if not isinstance(fields, Fields):
        raise TypeError(
            f"{type(model).__name__} is part of a fingerprint and does not say which of its fields count: "
            "give it `in_fingerprints: ClassVar[Fields] = Fields(always=(...))` with those it has today"
        )
    later = [name for name in type(model).model_fields if name not in (*fields.always, *fields.never)]
    counting = (*fields.always, *(name for name in later if not _at_default(model, name)))
    return {name: _as_json(getattr(model, name)) for name in counting}


def _at_default(model: BaseModel, name: str) -> bool:
    field = type(model).model_fields[name]
    if field.is_required():
        return False
    default = field.get_default(call_default_factory=True, validated_data=dict(model))
    return bool(getattr(model, name) == default)


def _as_json(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return identity_of(value)
    if isinstance(value, Mapping):
        return {key: _as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(to_jsonable_python(value))
    return to_jsonable_python(value)
