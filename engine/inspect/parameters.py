"""The settings of a pydantic model as flat rows: names with dots, types, defaults, bounds, descriptions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, JsonValue
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

from fld_engine.engine.data.settings import items_of, options_of
from fld_engine.schemas.annotations import Frozen

BOUNDS = {
    "exclusiveMinimum": "> {}",
    "minimum": "≥ {}",
    "exclusiveMaximum": "< {}",
    "maximum": "≤ {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "pattern": "like {}",
}


class Parameter(Frozen):
    """One setting, or a group of them, whose type is `settings` and which stands before them.

    In `name`, `NAME` stands for any key of a mapping, and `[]` for an item of a list. `default` is JSON; it is null
    where a setting is `required`, where it follows from other settings, and for a group whose settings have their own.
    """

    name: str
    type: str
    required: bool = False
    default: JsonValue = None
    bounds: str = ""
    description: str = ""

    @property
    def default_text(self) -> str:
        """The default in words: empty where it follows from other settings, and for a group."""
        if self.required:
            return "required"
        if self.default is None:
            return "null" if self.type.endswith(" or null") else ""
        return json.dumps(self.default, ensure_ascii=False)


def parameters(model: type[BaseModel]) -> tuple[Parameter, ...]:
    """All settings of a model, those of models inside it too, in their order."""
    return tuple(_rows(model, "", None, ()))


def prose(documented: Any) -> str:
    """The docstring of a class or function, or a description, on one line."""
    text = documented if isinstance(documented, str) else documented.__doc__ or ""
    return " ".join(text.split())


def _rows(
    model: type[BaseModel], prefix: str, defaults: BaseModel | None, above: tuple[type[BaseModel], ...]
) -> Iterator[Parameter]:
    schema = model.model_json_schema(mode="validation")
    definitions = schema.get("$defs", {})
    if "$ref" in schema:  # a model that holds itself
        schema = definitions[schema["$ref"].rsplit("/", 1)[-1]]
    for name, field in model.model_fields.items():
        default = getattr(defaults, name) if defaults is not None else _default(field)
        inner, suffix = _model_inside(field.annotation)
        of_field = schema["properties"][field.alias or name]
        whole = default if inner is not None and isinstance(default, inner) else None
        yield Parameter(
            name=prefix + name,
            type=_type(of_field, definitions),
            required=default is PydanticUndefined and field.is_required(),
            default=None if whole or default is PydanticUndefined else _json(default),
            bounds=", ".join(_bounds(of_field)),
            description=prose(field.description or inner or ""),
        )
        if inner is not None and inner not in (*above, model):
            yield from _rows(inner, f"{prefix}{name}{suffix}", whole, (*above, model))


def _default(field: FieldInfo) -> Any:
    if field.default_factory is not None and field.default_factory_takes_validated_data:
        return PydanticUndefined
    return field.get_default(call_default_factory=True)


def _model_inside(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """The model that a type holds, and what its settings are written after: itself, by key, or by place."""
    for option in options_of(annotation):
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option, "."
        items = items_of(option)
        if isinstance(items, type) and issubclass(items, BaseModel):
            return items, ".NAME." if _is_mapping(option) else "[]."
    return None, ""


def _is_mapping(annotation: Any) -> bool:
    return issubclass(annotation.__origin__, Mapping)


def _json(value: Any) -> JsonValue:
    plain: JsonValue = to_jsonable_python(sorted(value) if isinstance(value, set | frozenset) else value)
    return plain


def _type(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """A JSON Schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        found = definitions[name]
        return "settings" if "properties" in found else _type(found, definitions)
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(option, definitions) for option in schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return " | ".join(str(option) for option in schema.get("enum", [schema.get("const")]))
    match schema.get("type"):
        case "array" if "prefixItems" in schema:
            return f"[{', '.join(_type(item, definitions) for item in schema['prefixItems'])}]"
        case "array":
            return f"list of {_type(schema.get('items', {}), definitions)}"
        case "object":
            values = next(iter(schema.get("patternProperties", {}).values()), schema.get("additionalProperties"))
            return f"mapping to {_type(values, definitions)}" if isinstance(values, dict) and values else "mapping"
        case str() as plain:
            return plain
    return "anything"


def _bounds(schema: Mapping[str, Any]) -> Iterator[str]:
    for option in (schema, *schema.get("anyOf", ())):
        yield from (said.format(option[key]) for key, said in BOUNDS.items() if key in option)
