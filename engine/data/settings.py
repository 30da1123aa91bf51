"""Settings checked against a pydantic model, with messages that say which key is wrong and what is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from fld_engine.schemas.errors import ConfigError, unknown_name

Settings = TypeVar("Settings", bound=BaseModel)


def parse_settings(model: type[Settings], given: Mapping[str, Any], *, under: str = "", where: str = "") -> Settings:
    """The model of some settings. `under` is the path of the key that holds them, `where` the file they stand in.

    Raises `ConfigError` with a line for each wrong key: its path, what was given and what is expected or allowed.
    """
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        lines = [
            _explain(model, dict(e), f"{under}." if under else "")
            for e in error.errors()
            if e["type"] != "default_factory_not_called"  # follows from another error, and says nothing by itself
        ]
        raise ConfigError("\n".join(f"{where}: {line}" if where else line for line in lines)) from None


def fields_inside(annotation: Any) -> dict[str, Any]:
    """Name → type of the fields that a type allows, of all models where it is a union; none where it is no model."""
    fields: dict[str, Any] = {}
    for option in options_of(annotation):
        if isinstance(option, type) and issubclass(option, BaseModel):
            fields |= {name: field.annotation for name, field in option.model_fields.items()}
    return fields


def options_of(annotation: Any) -> list[Any]:
    """The types of a union, or the one type, without what annotates them."""
    if get_origin(annotation) is Annotated:
        return options_of(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [option for member in get_args(annotation) for option in options_of(member)]
    return [annotation]


def items_of(annotation: Any) -> Any:
    """The type of the values of a mapping or of the items of a sequence; None for any other type."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if not isinstance(origin, type) or not arguments:
        return None
    if issubclass(origin, Mapping):
        return arguments[1]
    return arguments[0] if issubclass(origin, Sequence) else None


def _explain(model: type[BaseModel], error: Mapping[str, Any], under: str) -> str:
    *holder, key = error["loc"] or ("",)
    under += "".join(f"{part}." for part in holder)
    if error["type"] == "extra_forbidden":
        return unknown_name("key", str(key), fields_inside(_at(model, holder)), under=under)
    return f"{(under + str(key)).rstrip('.')}: {error['msg']}, got {error['input']!r}"


def _at(annotation: Any, location: Sequence[str | int]) -> Any:
    """The type of what stands at a place of the settings; pydantic's names of members of a union are passed over."""
    for part in location:
        inside = fields_inside(annotation)
        items = [found for option in options_of(annotation) if (found := items_of(option)) is not None]
        if str(part) in inside:
            annotation = inside[str(part)]
        elif items:
            annotation = items[0]
    return annotation
