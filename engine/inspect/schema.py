"""The JSON Schema of a config file: the engine's settings, and those of the extensions that are installed.

A file may say less than a whole config. What it extends says the rest, so that nothing is required of a mapping, and
null removes a key of it. Lists are not merged: their items stand as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from fld_engine.engine.inspect.installed import GROUPS, SECTION, Group, entries_of, settings_of
from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.plan.layers import EXTENDS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MODE: JsonSchemaMode = "validation"
DEFINITIONS = "#/$defs/"
WHOLE = ".whole"
"""Ends the name of a definition of what stands in a list, and is never merged."""
NULL = {"type": "null"}
BASE = {"type": "string", "minLength": 1, "description": "A recipe or a YAML file, over which this file goes."}

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Choice:
    """A model of the config whose key `selector` names an extension, or is one of the words in `also`.

    Where `mapping` is given, that key of the config holds such models, each under the name of an extension where
    `selector` is left out.
    """

    group: str
    model: str
    selector: str
    also: tuple[str, ...]
    mapping: str = ""


CHOICES = (
    Choice("annotators", "AnnotatorConfig", "use", ("",), mapping="annotators"),
    Choice("filters", "FilterConfig", "use", ("",), mapping="filters"),
    Choice("exporters", "ExporterConfig", "use", ("",), mapping="exporters"),
    Choice("sources", "SourceSpec", "kind", ("auto",)),
)


def config_schema(*, package: str = "") -> Schema:
    """The schema of a config file, for what is installed; with `package`, for what that package alone brings.

    Raises `ConfigError` where a package's code cannot be imported.
    """
    groups = {group.plural: group for group in GROUPS}
    sections = _models(SECTION, package)
    chosen = [(choice, _models(groups[choice.group], package)) for choice in CHOICES]
    titles = {model: f"{choice.group}.{name}" for choice, models in chosen for name, model in models.items() if model}
    references, definitions = _definitions([RunConfig, *filter(None, sections.values()), *titles], titles)
    top = definitions.pop("RunConfig")
    for choice, models in chosen:
        holder = definitions[choice.model]["properties"]
        if models and "params" in holder:
            params = {name: references[model] if model else {} for name, model in models.items()}
            definitions[choice.model] |= _chosen(choice, params, holder)
            if choice.mapping:
                top.setdefault("allOf", []).append(_named_by_key(choice, params))
    top["properties"] |= {name: references[model] for name, model in sections.items() if model}
    merging = _Merging(definitions)
    merged = merging.by_key(top)
    merged["properties"] = {EXTENDS: BASE, **merged["properties"]}
    return {"$schema": DIALECT, **merged, "additionalProperties": False, "$defs": dict(sorted(merging.made.items()))}


def _models(group: Group, package: str) -> dict[str, type[BaseModel] | None]:
    entries = entries_of(group, package=package)
    return {name: settings_of(entry, group.singular) for name, entry in entries.items()}


def _definitions(
    models: list[type[BaseModel]], titles: Mapping[type[BaseModel], str]
) -> tuple[dict[type[BaseModel], Schema], dict[str, Schema]]:
    """References to models, and all definitions by name: that of its title, where a model has one.

    By itself pydantic names models that are called the same by their modules, which are nobody's business.
    """
    distinct = list(dict.fromkeys(models))
    wanted = [(model, MODE) for model in distinct]
    found, whole = models_json_schema(wanted, schema_generator=_Untitled)
    renamed = {found[model, MODE]["$ref"]: DEFINITIONS + title for model, title in titles.items()}
    definitions = {
        renamed.get(DEFINITIONS + name, DEFINITIONS + name).removeprefix(DEFINITIONS): _pointing(schema, renamed)
        for name, schema in whole["$defs"].items()
    }
    return {model: _pointing(found[model, MODE], renamed) for model in distinct}, definitions


def _pointing(schema: Any, renamed: Mapping[str, str]) -> Any:
    """The same with references renamed."""
    if isinstance(schema, list):
        return [_pointing(item, renamed) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _pointing(value, renamed) for key, value in schema.items()}
    return {**found, "$ref": renamed.get(found["$ref"], found["$ref"])} if isinstance(found.get("$ref"), str) else found


def _chosen(choice: Choice, params: Mapping[str, Schema], holder: Schema) -> Schema:
    """What is added to a model that names an extension: the names there are, and the parameters of each."""
    names = {**holder[choice.selector], "enum": [*choice.also, *params]}
    named = [
        {
            "if": {"properties": {choice.selector: {"const": name}}, "required": [choice.selector]},
            "then": {"properties": {"params": of_name}},
        }
        for name, of_name in params.items()
    ]
    return {"properties": {**holder, choice.selector: names}, "allOf": named}


def _named_by_key(choice: Choice, params: Mapping[str, Schema]) -> Schema:
    """The rule that a key is the name of an extension where the selector is left out, of files that extend nothing."""
    silent = {"not": {"required": [choice.selector]}}
    named = {name: {"if": silent, "then": {"properties": {"params": of_name}}} for name, of_name in params.items()}
    others = {"required": [choice.selector]}
    rule = {"properties": {choice.mapping: {"properties": named, "additionalProperties": others}}}
    return {"if": {"not": {"required": [EXTENDS]}}, "then": rule}


class _Untitled(GenerateJsonSchema):
    """Leaves out titles that repeat the name of a field."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


class _Merging:
    """Turns schemas of whole settings into those of a file. `made` are the definitions that are referred to by then."""

    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        self._definitions = definitions
        self.made: dict[str, Schema] = {}

    def by_key(self, schema: Schema) -> Schema:
        """What is merged key by key."""
        made = dict(schema)
        for key in ("properties", "patternProperties"):
            if key in made:
                made[key] = {name: self._or_null(value) for name, value in made[key].items()}
        if "properties" in made:
            made.pop("required", None)
        if isinstance(made.get("additionalProperties"), dict):
            made["additionalProperties"] = self._or_null(made["additionalProperties"])
        for key in ("anyOf", "allOf"):
            if key in made:
                made[key] = [self.by_key(option) for option in made[key]]
        if "then" in made:
            made["then"] = self.by_key(made["then"])
        for key in ("items", "prefixItems"):
            if key in made:
                made[key] = self._whole(made[key])
        if "$ref" in made:
            self._make(made["$ref"].removeprefix(DEFINITIONS), "")
        return made

    def _or_null(self, schema: Schema) -> Schema:
        """What is merged under a key, or null, which removes the key. What is referred to says so itself."""
        made = self.by_key(schema)
        if isinstance(made.get("type"), str):
            made["type"] = [made["type"], "null"]
        if "const" in made:
            made["enum"] = [made.pop("const")]
        if "enum" in made:
            made["enum"] = [*made["enum"], None]
        if "anyOf" in made and NULL not in made["anyOf"]:
            made["anyOf"] = [*made["anyOf"], NULL]
        return made

    def _whole(self, schema: Any) -> Any:
        """What stands in a list."""
        if isinstance(schema, list):
            return [self._whole(item) for item in schema]
        if not isinstance(schema, dict):
            return schema
        found = {key: self._whole(value) for key, value in schema.items()}
        if isinstance(found.get("$ref"), str):
            found["$ref"] = DEFINITIONS + self._make(found["$ref"].removeprefix(DEFINITIONS), WHOLE)
        return found

    def _make(self, name: str, suffix: str) -> str:
        if name + suffix not in self.made:
            self.made[name + suffix] = {}  # stands while it is made, for models that hold themselves
            schema = self._definitions[name]
            self.made[name + suffix] = self._whole(schema) if suffix else self._or_null(schema)
        return name + suffix
