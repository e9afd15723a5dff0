"""What models are asked to answer with, and its schema in the form that their decoders take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeAlias, cast

from pydantic import BaseModel, ConfigDict, Field

from coworkai.insights.brief import Statement

JsonSchema: TypeAlias = "str | bool | int | list[str] | list[JsonSchema] | dict[str, JsonSchema]"

REPAIRS_MAX = 27
"""Statements of the longest draft: one headline, 12 in lists, 8 in insights, 6 notes."""

_KEPT = ("type", "enum", "minItems", "maxItems")


class Repair(BaseModel):
    """Another attempt at one refused statement, under its number."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int
    statement: Statement


class Repairs(BaseModel):
    """Other attempts at the statements that were refused; one left out is given up."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    repairs: Annotated[tuple[Repair, ...], Field(max_length=REPAIRS_MAX)]


def schema_of(answer: type[BaseModel]) -> dict[str, JsonSchema]:
    """JSON Schema of an answer for a provider that decodes by it: no references, every property asked for,
    and no lengths of text, which cost a decoder states and are checked when the answer is read."""
    whole = cast("dict[str, JsonSchema]", answer.model_json_schema())
    return _plain(whole, cast("Mapping[str, dict[str, JsonSchema]]", whole.get("$defs", {})))


def _plain(
    node: Mapping[str, JsonSchema], definitions: Mapping[str, dict[str, JsonSchema]]
) -> dict[str, JsonSchema]:
    if isinstance(reference := node.get("$ref"), str):
        return _plain(definitions[reference.removeprefix("#/$defs/")], definitions)
    plain: dict[str, JsonSchema] = {name: node[name] for name in _KEPT if name in node}
    if isinstance(items := node.get("items"), dict):
        plain["items"] = _plain(items, definitions)
    if isinstance(properties := node.get("properties"), dict):
        plain["properties"] = {
            name: _plain(inner, definitions) for name, inner in properties.items() if isinstance(inner, dict)
        }
        plain["required"] = list(properties)
        plain["additionalProperties"] = False
    return plain
