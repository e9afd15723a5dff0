"""Prompts filled from facts, notes and refused statements.

A prompt is a file of this folder; a changed text is a changed version, for its name comes with a digest
of the file. Everything that came with telemetry stands inside datamarked blocks, as JSON where it is a value,
so that no text can look like another fact. The worker's identifier is nowhere in a prompt: ids are offered
without it (`OfferedIds`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Template

from pydantic import BaseModel

from coworkai.common.fact_ids import fact_part
from coworkai.insights.answers import Repairs
from coworkai.insights.brief import Claim, Draft, Statement
from coworkai.insights.clean import datamark
from coworkai.insights.facts import Fact, FactBook, FactKind
from coworkai.insights.llm import Prompt, Purpose
from coworkai.insights.render import NoValue, value_text

BRIEF, REDRAFT, REPAIR = "brief_v2", "redraft_v2", "repair_v2"
_DIGEST_BYTES = 6
_SECTION = re.compile(r"^# (.+)\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class PromptText:
    """A prompt's file: its sections by heading, and its version, `brief_v2@<digest>`."""

    version: str
    sections: dict[str, str]


@cache
def prompt_text(name: str) -> PromptText:
    """The prompt of a file of this folder. Raises FileNotFoundError."""
    content = (files(__package__) / f"{name}.md").read_text(encoding="utf-8")
    digest = hashlib.blake2b(content.encode(), digest_size=_DIGEST_BYTES).hexdigest()
    _before, *parts = _SECTION.split(content)
    return PromptText(
        f"{name}@{digest}",
        {heading: text.strip() for heading, text in zip(parts[::2], parts[1::2], strict=True)},
    )


@cache
def prompts_version() -> str:
    """The version of all prompts together: it changes with any of them."""
    versions = " ".join(prompt_text(name).version for name in (BRIEF, REDRAFT, REPAIR))
    return f"{BRIEF}@{hashlib.blake2b(versions.encode(), digest_size=_DIGEST_BYTES).hexdigest()}"


def saying() -> str:
    """The sentence forms and words that the grounding gate understands."""
    return prompt_text(BRIEF).sections["saying"]


class OfferedIds:
    """The offered facts' ids as a model reads and writes them: without the subject.

    kpi:user_676c15e9…:2026-10-27:focus_s  ⇄  kpi:2026-10-27:focus_s
    """

    def __init__(self, book: FactBook, offered: Iterable[str]) -> None:
        subject = f":{fact_part(book.subject)}:"
        self._short = {full: full.replace(subject, ":", 1) for full in offered}
        self._full = {short: full for full, short in self._short.items()}

    def short(self, fact_id: str) -> str:
        return self._short.get(fact_id, fact_id)

    def restored(self, statement: Statement) -> Statement:
        """The statement with full ids; one that was not offered stays as it is, for the gate to refuse."""
        claims = tuple(
            Claim(fact_id=self._full.get(claim.fact_id, claim.fact_id), field=claim.field)
            for claim in statement.claims
        )
        return statement.model_copy(update={"claims": claims})

    def shortened(self, statement: Statement) -> Statement:
        claims = tuple(
            Claim(fact_id=self.short(claim.fact_id), field=claim.field) for claim in statement.claims
        )
        return statement.model_copy(update={"claims": claims})


def brief_prompt(book: FactBook, offered: Sequence[str], context: str) -> Prompt[Draft]:
    """Asks for a draft. `context` is the consolidated context's markdown."""
    notes = context.replace(book.subject, "the subject")
    return Prompt(
        Purpose.BRIEF,
        prompt_text(BRIEF).version,
        _filled(BRIEF, "system", saying=saying(), schema=_schema(Draft)),
        _filled(BRIEF, "user", **_about(book, offered), context=datamark(notes)),
        Draft,
    )


def redraft_prompt(first: Prompt[Draft], problems: Iterable[str]) -> Prompt[Draft]:
    """Asks for the draft again, after an answer that was none of the schema."""
    listed = "\n".join(problems) or "the whole: no JSON object"
    return Prompt(
        Purpose.REPAIR,
        prompt_text(REDRAFT).version,
        first.system,
        f"{first.user}\n\n{_filled(REDRAFT, 'user', problems=datamark(listed))}",
        Draft,
    )


def repair_prompt(
    book: FactBook, offered: Sequence[str], refused: Iterable[tuple[int, Statement, Sequence[str]]]
) -> Prompt[Repairs]:
    """Asks for other attempts at refused statements, given with their numbers and the rules they broke."""
    ids = OfferedIds(book, offered)
    lines = (
        _line({"number": number, "broke": list(rules), **ids.shortened(one).model_dump(mode="json")})
        for number, one, rules in refused
    )
    return Prompt(
        Purpose.REPAIR,
        prompt_text(REPAIR).version,
        _filled(REPAIR, "system", saying=saying(), schema=_schema(Repairs)),
        _filled(REPAIR, "user", **_about(book, offered), refused=datamark("\n".join(lines))),
        Repairs,
    )


def _about(book: FactBook, offered: Sequence[str]) -> dict[str, str]:
    ids = OfferedIds(book, offered)
    facts = "\n".join(_fact_line(book[identifier], book, ids) for identifier in offered)
    reader = "reader team" if book.of(FactKind.GROUP) else "reader worker"
    return {
        "reader": prompt_text(BRIEF).sections[reader],
        "primary": book.primary.isoformat(),
        "start": book.start.isoformat(),
        "zone": book.zone,
        "facts": datamark(facts),
    }


def _fact_line(fact: Fact, book: FactBook, ids: OfferedIds) -> str:
    """One fact as JSON: its id and the fields that have a value, written out."""
    values: dict[str, object] = {"id": ids.short(fact.fact_id)}
    for name, field in fact.fields.items():
        if name == "date" and fact.date == book.primary:
            continue
        try:
            values[name] = value_text(field.value, field.unit, book.zone, book.primary)
        except NoValue:
            continue
    return _line(values)


def _line(values: dict[str, object]) -> str:
    return json.dumps(values, ensure_ascii=False)


def _schema(answer: type[BaseModel]) -> str:
    return json.dumps(answer.model_json_schema(), ensure_ascii=False)


def _filled(name: str, section: str, **values: str) -> str:
    return Template(prompt_text(name).sections[section]).substitute(values)
