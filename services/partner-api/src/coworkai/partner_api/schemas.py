"""Schemas of the API document, made from the columns of tables and from what a query may say."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any

import polars as pl
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

from coworkai.common.tables import Column, PolarsType
from coworkai.partner_api.formats import MEDIA_TYPES, TABULAR, Format
from coworkai.partner_api.pages import DEFAULT_LIMIT, MAX_LIMIT, MAX_RANGE_DAYS, MAX_VERSION
from coworkai.partner_api.resources import Filter, Resource


def _number(value: object) -> object:
    if isinstance(value, bool | str):
        raise ValueError("a number, not in quotes")  # noqa: TRY004 - told to whoever sent it
    return value


NUMBER = BeforeValidator(_number)
"""Of a number in a body: a text or truth value is not taken for one."""
DataVersion = Annotated[int, Field(ge=0, le=MAX_VERSION), NUMBER]
"""A data version in a body."""

_WORKER = "user_1f0c9a7be2d34856a0b1c2d3"
_EXAMPLES: Mapping[str, object] = MappingProxyType(
    {
        "worker_id": _WORKER,
        "workblock_id": "wb:4Ms60eGxco:VZFpXIe:00",
        "run_id": "6f0e2f7c9ad84c0f",
        "device_id": "device_77ab01c2d3e4f5061728394a",
        "measure": "focus_s",
        "unit": "s",
        "value": 8_100.0,
        "app": "code",
        "url": "https://docs.example.com/guide",
        "title": "guide - Visual Studio Code",
        "kind": "app",
        "name": "code",
        "rank": 1,
        "period": "week",
        "level": "team",
        "group_id": "Platform",
        "contributors": 12,
        "subject_kind": "worker",
        "subject_id": _WORKER,
        "brief_id": "b1f6c2d07a9e4c55",
        "context_id": "c0a4d1e8b27f4a10",
        "insight_id": f"insight:{_WORKER}:2026-10-27:workblock:focus",
        "type": "focus",
        "text": "3 h 12 min of focus, 40 min more than usual",
        "text_template": "{0} of focus, {1} more than usual",
        "writer": "deterministic",
        "source": "activities",
        "stage": "stage1",
        "status": "succeeded",
        "duration_s": 3_600.0,
        "sequence": 1,
        "day_share": 0.42,
        "coverage": 0.97,
    }
)
_BY_TYPE: Mapping[object, tuple[type, object]] = MappingProxyType(
    {
        pl.String: (str, "text"),
        pl.Int32: (int, 3),
        pl.Int64: (int, 3),
        pl.Float64: (float, 12.5),
        pl.Boolean: (bool, False),
        pl.Date: (dt.date, "2026-10-27"),
        pl.Datetime: (dt.datetime, "2026-10-27T09:00:00Z"),
    }
)


def row_model(
    name: str, description: str, columns: Mapping[str, Column], key: Iterable[str]
) -> type[BaseModel]:
    """The schema of rows with these columns; those of the key are never null. All are there, null or not."""
    never_null = {"date", "worker_id", "run_id", *key}
    fields: dict[str, Any] = {}
    for shown, column in columns.items():
        of, example = _type(name, shown, column.dtype)
        kind: Any = of if shown in never_null else of | None
        fields[shown] = (
            kind,
            Field(description=column.description, examples=[_EXAMPLES.get(shown, example)]),
        )
    return create_model(name, __doc__=description, __config__=ConfigDict(extra="forbid"), **fields)


@cache
def row_of(resource: Resource) -> type[BaseModel]:
    """The schema of a row of the resource."""
    return row_model(resource.item, resource.meaning, resource.columns, resource.key)


def list_model(resource: Resource) -> type[BaseModel]:
    """The schema of a page of the resource."""
    return create_model(
        f"{resource.item}List",
        __doc__="A page.",
        **_page(row_of(resource), "rows, in order of date, worker and key"),
        changed_dates=(
            list[dt.date],
            Field(
                default_factory=list,
                description="only with `since_version`: dates of the range that were published anew, those "
                "that are without rows now among them; replace what you have of them",
            ),
        ),
    )


def page_model(name: str, row: type[BaseModel], order: str) -> type[BaseModel]:
    """The schema of a page of such rows, of what has no dates; `order` says which come first."""
    return create_model(name, __doc__="A page.", **_page(row, order))


def _page(row: type[BaseModel], order: str) -> dict[str, Any]:
    return {
        "data": (list[row], Field(description=order)),  # type: ignore[valid-type]
        "has_more": (bool, Field(description="whether there are rows after these")),
        "next_cursor": (
            str | None,
            Field(description="`cursor` of the next page; null on the last", examples=["kwXOAAtBwGQ"]),
        ),
    }


def tabular(model: type[BaseModel]) -> dict[str, Any]:
    """The response of a list: JSON by pages, and the other formats."""
    binary = {"type": "string", "format": "binary"}
    others = {
        MEDIA_TYPES[form].partition(";")[0]: {
            "schema": {"type": "string"} if form in {Format.NDJSON, Format.CSV} else binary
        }
        for form in TABULAR
        if form is not Format.JSON
    }
    return {"model": model, "description": "A page, or the whole range in a bulk format", "content": others}


def list_parameters(resource: Resource) -> list[dict[str, object]]:
    """What a list may be asked with."""
    found: list[dict[str, object]] = []
    if resource.has_workers:
        found.append(_repeated(Filter("worker_id", "rows of this worker"), _WORKER))
    found += [_repeated(each, each.values[0] if each.values else None) for each in resource.filters]
    if resource.superseded_by is not None:
        found.append(
            parameter("all_versions", "versions that a later one replaced, too", {"type": "boolean"}, True)
        )
    longest = f"at most {MAX_RANGE_DAYS} days"
    found += [
        parameter(
            "start_date",
            f"first local date; by default as far back as a range may be, {longest}",
            {"type": "string", "format": "date"},
            "2026-10-01",
        ),
        parameter(
            "end_date",
            "last local date, inclusive; by default the newest there is. `X-Date-Range` has what was taken",
            {"type": "string", "format": "date"},
            "2026-10-31",
        ),
        fields_parameter(list(resource.columns)),
        parameter(
            "limit",
            "rows of a page",
            {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
            50,
        ),
        parameter("cursor", "`next_cursor` of the page before, with the same query", {"type": "string"}),
        *version_parameters(),
        parameter("format", TABULAR_FORMAT, {**TABULAR_FORMATS, "default": "json"}, "json"),
    ]
    return found


TABULAR_FORMAT = "instead of `Accept`; what JSON has in pages, the others have in one answer"
TABULAR_FORMATS: Mapping[str, Any] = MappingProxyType(
    {"type": "string", "enum": [form.value for form in TABULAR]}
)


def fields_parameter(columns: Sequence[str]) -> dict[str, object]:
    """`fields`, of rows with these columns."""
    described = parameter(
        "fields",
        "columns of the rows that are shown, separated by commas, and no others; all by default",
        {"type": "array", "items": {"type": "string", "enum": list(columns)}},
        list(columns[:2]),
    )
    return {**described, "style": "form", "explode": False}


def version_parameters() -> list[dict[str, object]]:
    """`as_of_version` and `since_version`."""
    number = {"type": "integer", "minimum": 0, "maximum": MAX_VERSION}
    return [
        parameter("as_of_version", "read what was published at this `X-Data-Version`", number),
        parameter(
            "since_version",
            "only whole dates that were published anew after this `X-Data-Version`",
            number,
        ),
    ]


def parameter(
    name: str, description: str, schema: Mapping[str, object], example: object = None
) -> dict[str, object]:
    """A query parameter of the document."""
    found: dict[str, object] = {"name": name, "in": "query", "description": description, "schema": schema}
    if example is not None:
        found["example"] = example
    return found


def _repeated(each: Filter, example: str | None) -> dict[str, object]:
    item: dict[str, object] = {"type": "string", "minLength": 1}
    if each.values is not None:
        item["enum"] = list(each.values)
    described = f"{each.description}; may be repeated"
    found = parameter(each.name, described, {"type": "array", "items": item}, example and [example])
    return {**found, "style": "form", "explode": True}


def _type(model: str, name: str, dtype: PolarsType) -> tuple[Any, object]:
    if isinstance(dtype, pl.List):
        inner, example = _type(model, name, dtype.inner)
        return list[inner], [example]  # type: ignore[valid-type]
    if isinstance(dtype, pl.Struct):
        parts = {field.name: _type(model, field.name, field.dtype) for field in dtype.fields}
        title = f"{model}{name.title().replace('_', '')}"
        fields: dict[str, Any] = {part: (of | None, Field()) for part, (of, _) in parts.items()}
        return create_model(title, **fields), {part: example for part, (_, example) in parts.items()}
    return _BY_TYPE[dtype.base_type()]
