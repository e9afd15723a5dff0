"""An example of what a schema describes, put together from the examples of its parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_BY_TYPE: Mapping[str, object] = {
    "string": "text",
    "integer": 3,
    "number": 12.5,
    "boolean": False,
    "null": None,
    "array": [],
    "object": {},
}
_BY_FORMAT: Mapping[str, object] = {
    "date": "2026-10-27",
    "date-time": "2026-10-28T01:00:00Z",
    "uri": "https://partner.example/hook",
}


def example_of(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> object:
    """A value of the schema; `schemas` are the components that it refers to."""
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "examples" in schema:
        return schema["examples"][0]
    for name in ("const", "example", "default"):
        if name in schema:
            return schema[name]
    if "enum" in schema:
        return schema["enum"][0]
    for name in ("anyOf", "oneOf", "allOf"):
        if name in schema:
            return example_of(schema[name][0], schemas)
    if "properties" in schema:
        return {name: example_of(part, schemas) for name, part in schema["properties"].items()}
    if schema.get("type") == "array" and "items" in schema:
        return [example_of(schema["items"], schemas)]
    if schema.get("format") in _BY_FORMAT:
        return _BY_FORMAT[schema["format"]]
    return _BY_TYPE[schema.get("type", "object")]
