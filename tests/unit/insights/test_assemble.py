"""Assembled briefs: evidence, ids, the schemas, and three whole briefs as golden files.

`UPDATE_GOLDEN=1 pytest tests/unit/insights/test_assemble.py` writes the golden files again.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from msgspec import structs
from tests.unit.insights.books import (
    TENANT,
    USER,
    book_of,
    every_book,
    goal,
    many_scripts_day,
    rich_day,
    team_week,
)

from coworkai.insights.assemble import assemble, brief_id, sections_of
from coworkai.insights.brief import Brief, Draft, Grounding, Origin, Provenance
from coworkai.insights.compose import compose, compose_team
from coworkai.insights.facts import FactBook, Status, by_id
from coworkai.insights.insights import insights_of
from coworkai.insights.making import RULES_VERSION
from coworkai.insights.markdown import brief_markdown
from coworkai.insights.schemas import documents, main

GOLDEN = Path(__file__).parents[2] / "golden" / "briefs"
SCHEMAS = Path(__file__).parents[3] / "docs" / "schemas"
RULES = RULES_VERSION


def drafted(book: FactBook, kind: Literal["worker", "team"]) -> Draft:
    return compose_team(book) if kind == "team" else compose(book, insights_of(book))


def written(book: FactBook, kind: Literal["worker", "team"] = "worker") -> Brief:
    return assemble(
        book,
        sections_of(drafted(book, kind), book),
        identifier=identified(book),
        subject_kind=kind,
        grounding=Grounding(),
        provenance=Provenance(
            writer="deterministic",
            rules_version=RULES,
            context_start=book.start,
            context_end=book.primary,
            gold_versions={"gold/kpi_daily": 12},
        ),
    )


def identified(book: FactBook, **changes: str) -> str:
    made: dict[str, str | None] = {
        "writer": "deterministic",
        "model": None,
        "prompt_version": None,
        "rules_version": RULES,
        **changes,
    }
    return brief_id(
        book,
        book.facts,
        writer=str(made["writer"]),
        model=made["model"],
        prompt_version=made["prompt_version"],
        rules_version=str(made["rules_version"]),
    )


@pytest.mark.parametrize(
    ("name", "make", "kind"),
    [
        ("rich_day", rich_day, "worker"),
        ("many_scripts_day", many_scripts_day, "worker"),
        ("team_week", team_week, "team"),
    ],
)
def test_a_brief_is_the_golden_file_byte_for_byte(
    name: str, make: Callable[[], FactBook], kind: Literal["worker", "team"]
) -> None:
    brief = written(make(), kind)
    for suffix, content in (
        ("json", brief.model_dump_json(indent=2) + "\n"),
        ("md", brief_markdown(brief)),
    ):
        path = GOLDEN / f"{name}.{suffix}"
        if os.environ.get("UPDATE_GOLDEN"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        assert content == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", every_book())
def test_evidence_is_exactly_the_cited_facts_with_their_values(name: str) -> None:
    book = every_book()[name]
    brief = written(book, "team" if name == "team_week" else "worker")
    cited = {claim.fact_id for one in brief.statements() for claim in one.claims}
    assert {evidence.fact_id for evidence in brief.evidence} == cited
    assert len(brief.evidence) == len(cited)
    for evidence in brief.evidence:
        for field, value in evidence.fields.items():
            if not isinstance(value, str):
                assert value == book[evidence.fact_id][field]


def test_every_statement_of_the_deterministic_writer_says_so() -> None:
    assert {one.origin for one in written(rich_day()).statements()} == {Origin.DETERMINISTIC}


def test_a_brief_survives_json_and_holds_its_published_schema() -> None:
    schema = json.loads((SCHEMAS / "brief.json").read_text(encoding="utf-8"))
    for name, book in every_book().items():
        brief = written(book, "team" if name == "team_week" else "worker")
        content = brief.model_dump_json()
        assert Brief.model_validate_json(content).model_dump_json() == content
        Draft202012Validator(schema).validate(json.loads(content))


def test_a_draft_holds_the_schema_that_models_are_held_to() -> None:
    schema = json.loads((SCHEMAS / "draft.json").read_text(encoding="utf-8"))
    draft = drafted(rich_day(), "worker")
    Draft202012Validator(schema).validate(json.loads(draft.model_dump_json()))


def test_published_schemas_are_the_generated_ones(tmp_path: Path) -> None:
    assert main(["--check", str(SCHEMAS)]) == 0
    assert main(["--check", str(tmp_path)]) == 1
    assert main([str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == set(documents())


def test_the_evidence_of_a_long_goal_holds_no_more_than_a_brief_can_show() -> None:
    brief = written(many_scripts_day())
    assert len(brief.model_dump_json()) < 20_000
    assert "\u202e" not in brief.model_dump_json()


# -------------------------------------------------------------------------------------------- brief ids
def test_an_id_follows_from_values_and_writer_and_from_nothing_else() -> None:
    book = rich_day()
    first = identified(book)
    assert len(first) == 32
    assert first == identified(rich_day())
    newer = {key: structs.replace(one, version=99) for key, one in book.facts.items()}
    assert first == identified(replace(book, facts=newer))
    turned = dict(reversed(list(book.facts.items())))
    assert first == identified(replace(book, facts=turned))


def test_an_id_changes_with_a_value_a_name_the_window_and_the_writer() -> None:
    book = book_of([goal(1, "Ship it", Status.OPEN)])
    one = book[f"goal:{USER}:2026-10-27:1"]
    done = one.with_values(status="done")
    ids = {
        identified(book),
        identified(replace(book, facts=by_id([done]))),
        identified(replace(book, tenant_id=f"{TENANT}2")),
        identified(replace(book, start=book.primary)),
        identified(replace(book, subject="somebody")),
        identified(book, writer="gemini"),
        identified(book, model="gemini-2.5-flash"),
        identified(book, prompt_version="2"),
        identified(book, rules_version=f"{RULES}.1"),
    }
    assert len(ids) == 9


# ------------------------------------------------------------------------------------------------- speed
def test_a_deterministic_brief_takes_milliseconds() -> None:
    book = rich_day()
    written(book)
    best = min(_cpu_s(book) for _ in range(5))
    assert best < 0.010


def _cpu_s(book: FactBook) -> float:
    began = time.process_time()
    for _ in range(4):
        brief_markdown(written(book))
    return (time.process_time() - began) / 4
