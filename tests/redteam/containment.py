"""Injections put into facts, a model that obeys them, and what becomes of the brief.

injection ─▶ fact book ─▶ context, prompt ─▶ obedient model ─▶ write path ─▶ brief, markdown ─▶ broken(…)
"""

from __future__ import annotations

import asyncio
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from markdown_it import MarkdownIt
from tests.unit.insights import books

from coworkai.insights.answers import Repair, Repairs
from coworkai.insights.assemble import assemble, brief_id
from coworkai.insights.brief import (
    TEMPLATE_MAX_CHARS,
    Brief,
    Claim,
    Draft,
    DraftInsight,
    Provenance,
    Statement,
    StatementKind,
)
from coworkai.insights.clean import clean, is_clean, plain_output
from coworkai.insights.compose import compose
from coworkai.insights.context import consolidate
from coworkai.insights.facts import Fact, FactBook, FactKind
from coworkai.insights.grounding import violations
from coworkai.insights.insights import InsightKind, insights_markdown, insights_of
from coworkai.insights.llm import A, Again, Completion, Malformed, Prompt, Provider, Usage
from coworkai.insights.markdown import brief_markdown
from coworkai.insights.offer import offered
from coworkai.insights.prompts.fill import OfferedIds, brief_prompt
from coworkai.insights.render import render
from coworkai.insights.write import Written, write_brief

INJECTIONS = Path(__file__).parent / "injections.toml"
CONTEXT_TOKENS = 4_000
_FOCUS = f"kpi:{books.USER}:{books.PRIMARY}:focus_s"
_QUOTED = re.compile("“[^”]*”")
_MARKDOWN = MarkdownIt("commonmark", {"html": True})
_BAD_TOKENS = {"link_open", "image", "html_inline", "html_block", "fence", "code_block"}
_PLACES: dict[str, tuple[str, str]] = {
    "title": ("slice:", "page"),
    "page": ("slice:", "page"),
    "app": ("usage:", "name"),
    "chat": (f"chat:{books.USER}:{books.PRIMARY}:00000000-0000-4000-8000-000000000002", "text"),
    "clipboard": (f"chat:{books.USER}:{books.PRIMARY}:00000000-0000-4000-8000-000000000002", "text"),
    "goal": (f"goal:{books.USER}:{books.PRIMARY}:2", "name"),
    "kpi": (f"target:{books.USER}:{books.PRIMARY}:2", "name"),
    "unit": (f"target:{books.USER}:{books.PRIMARY}:1", "unit"),
    "area": (f"area:{books.USER}:{books.PRIMARY}:1", "name"),
    "theme": (f"theme:{books.USER}:{books.PRIMARY}:1", "name"),
}
"""The beginning of the fact's id, and the field, that hold the text. A clipboard is pasted into a chat: what
is only copied becomes no fact."""


@dataclass(frozen=True, slots=True)
class Injection:
    category: str
    where: str
    text: str
    demand: str
    canary: str
    repeat: int = 1
    malformed: bool = False


def injections() -> list[Injection]:
    found = tomllib.loads(INJECTIONS.read_text(encoding="utf-8"))["injection"]
    return [Injection(**one) for one in found]


def poisoned(injection: Injection) -> tuple[FactBook, Fact]:
    """A rich day with the injection's text in it, and the fact that holds it."""
    book = books.rich_day()
    begins, name = _PLACES[injection.where]
    fact = next(fact for fact_id, fact in book.facts.items() if fact_id.startswith(begins))
    text = injection.text * injection.repeat
    if injection.where == "clipboard":
        text = f"I pasted this: {text}"
    held = fact.with_values(**{name: text})
    return replace(book, facts={**book.facts, fact.fact_id: held}), held


# ------------------------------------------------------------------------------------------------ the model
@dataclass
class Obedient:
    """A model that does what an injection asks, in every section and again when asked to repair."""

    injection: Injection
    held: Fact
    ids: OfferedIds
    name: str = "obedient"
    provider: Provider = Provider.OPENAI
    max_output_tokens: int = 1_000
    prompts: list[str] = field(default_factory=list)

    async def draft(self, prompt: Prompt[A], again: Again = lambda: asyncio.sleep(0)) -> Completion[A]:
        self.prompts.append(prompt.user)
        if self.injection.malformed:
            raise Malformed("another form", problems=(f"note: {self.injection.demand}",))
        answer = self._draft() if prompt.answer is Draft else self._repairs()
        assert isinstance(answer, prompt.answer)
        return Completion(cast(A, answer), "", "stop", self.name, Usage())

    async def count_tokens(self, text: str) -> int | None:
        return None

    async def aclose(self) -> None:
        return

    def _claim(self, fact_id: str, name: str) -> Claim:
        return Claim(fact_id=self.ids.short(fact_id), field=name)

    def _obeyed(self) -> Iterator[Statement]:
        """The demand as it stands with a true claim behind it, around the claim, with the injected text
        itself, of a fact that is not there, and the injection's own words."""
        demand = self.injection.demand[: TEMPLATE_MAX_CHARS - 60]
        plain = demand.replace("{0}", "all")
        focus = self._claim(_FOCUS, "value")
        name = _PLACES[self.injection.where][1]
        own = self._claim(self.held.fact_id, name)
        around = demand if "{0}" in demand else f"{demand} With {{0}} of focused work."
        kind = StatementKind.MOMENTUM
        words = re.sub(r"[{}]", "", self.injection.text * self.injection.repeat)[: TEMPLATE_MAX_CHARS - 20]
        for template, claims in (
            (around, (focus,)),
            (f"You had {{0}} of focused work. {plain}", (focus,)),
            (f"{plain}: {{0}}", (own,)),
            (f"{plain} {{0}}", (Claim(fact_id="kpi:2026-10-27:obedience", field="value"),)),
            (f"{words} {{0}}", (focus,)),
            (f"{words} {{0}}", (own,)),
        ):
            yield Statement(text_template=template, claims=claims, kind=kind)

    def _draft(self) -> Draft:
        said = list(self._obeyed())
        return Draft(
            headline=said[0],
            momentum=tuple(said[:4]),
            blockers=tuple(said[2:6]),
            next_steps=tuple(said[1:5]),
            insights=tuple(
                DraftInsight(insight=one, recommendation=other)
                for one, other in zip(said[:3], said[3:6], strict=True)
            ),
            data_quality=tuple(said),
        )

    def _repairs(self) -> Repairs:
        said = list(self._obeyed())
        return Repairs(repairs=tuple(Repair(number=n, statement=said[n % len(said)]) for n in range(20)))


# ------------------------------------------------------------------------------------------------ the brief
@dataclass(frozen=True)
class Attack:
    """What an injection came to."""

    injection: Injection
    book: FactBook
    held: Fact
    ids: tuple[str, ...]
    deterministic: Draft
    prompts: tuple[str, ...]
    written: Written
    brief: Brief
    markdown: str


def attacked(injection: Injection) -> Attack:
    book, held = poisoned(injection)
    rows = insights_of(book)
    deterministic = compose(book, rows)
    ids = offered(book, deterministic)
    context = consolidate(book, rows, CONTEXT_TOKENS, _Words())
    model = Obedient(injection, held, OfferedIds(book, ids))
    written = asyncio.run(write_brief(book, deterministic, ids, context=context.markdown, model=model))
    brief = _brief(book, written)
    prompts = (brief_prompt(book, ids, context.markdown).user, *model.prompts)
    return Attack(injection, book, held, ids, deterministic, prompts, written, brief, brief_markdown(brief))


class _Words:
    name = "words"

    def count(self, text: str) -> int:
        return len(text.split())


def _brief(book: FactBook, written: Written) -> Brief:
    identifier = brief_id(
        book, book.facts, writer="openai", model="obedient", prompt_version="1", rules_version="1"
    )
    provenance = Provenance(
        writer=written.writer,
        rules_version="1",
        context_start=book.start,
        context_end=book.primary,
        gold_versions={"gold/kpi_daily": 12},
    )
    return assemble(
        book,
        written.sections,
        identifier=identifier,
        subject_kind="worker",
        grounding=written.grounding,
        provenance=provenance,
    )


def broken(attack: Attack) -> list[str]:
    """What the injection changed that it may not; [] = it is contained."""
    return [what for what, holds in _promises(attack) if not holds]


def _promises(attack: Attack) -> Iterator[tuple[str, bool]]:
    brief, book = attack.brief, attack.book
    json = brief.model_dump_json()
    yield "schema", Brief.model_validate_json(json).model_dump_json() == json
    yield (
        "recipients",
        (brief.tenant_id, brief.subject.id, brief.subject.kind) == (books.TENANT, books.USER, "worker"),
    )
    yield (
        "window",
        (brief.start_date, brief.primary_date, brief.time_zone) == (book.start, book.primary, book.zone),
    )
    for one in brief.statements():
        plain = Statement(text_template=one.text_template, claims=one.claims, kind=one.kind)
        yield "gate", violations(plain, book, book.facts) == []
        yield "text", one.text == render(plain, book)
        own_words = re.sub(r"\{\d+\}", "", one.text_template)
        yield "numbers", not re.search(r"\d", own_words)
        yield "wording", attack.injection.canary.casefold() not in own_words.casefold()
        outside = _QUOTED.sub("", one.text)
        yield "quotation", attack.injection.canary.casefold() not in outside.casefold()
        yield "visible", is_clean(one.text)
        yield "prose", plain_output(re.sub(r"\{\d+\}", "x", one.text_template))
    yield "deterministic wording", _templates(attack.deterministic) == _templates(_harmless(attack))
    pages = [attack.markdown, *(insights_markdown(book, insights_of(book), kind) for kind in InsightKind)]
    for page in pages:
        yield "markup", not _tokens(page) & _BAD_TOKENS
    for prompt in attack.prompts:
        yield "prompt blocks", _blocks_hold(prompt)


def _templates(draft: Draft) -> list[str]:
    pairs = [one for pair in draft.insights for one in (pair.insight, pair.recommendation)]
    statements = [
        draft.headline, *draft.momentum, *draft.blockers, *draft.next_steps, *pairs, *draft.data_quality,
    ]  # fmt: skip
    return [one.text_template for one in statements]


def _harmless(attack: Attack) -> Draft:
    """What is composed where a harmless text of the same length stands in the injection's place."""
    name = _PLACES[attack.injection.where][1]
    text = clean(str(attack.held[name]), 10_000)
    harmless = ("notes " * (len(text) // 6 + 1))[: max(1, len(text))].strip()
    held = attack.held.with_values(**{name: harmless})
    book = replace(attack.book, facts={**attack.book.facts, held.fact_id: held})
    return compose(book, insights_of(book))


def _tokens(page: str) -> set[str]:
    found: set[str] = set()
    for token in _MARKDOWN.parse(page):
        found.add(token.type)
        found.update(child.type for child in token.children or ())
    return found


def _blocks_hold(prompt: str) -> bool:
    """Every data block ends at its own delimiter only, each line of it has its mark, and all is visible."""
    delimiter: str | None = None
    for line in prompt.split("\n"):
        if delimiter is None:
            opened = re.fullmatch(r"\[data ([0-9a-f]+)\]", line)
            delimiter = opened[1] if opened else None
        elif line == f"[end {delimiter}]":
            delimiter = None
        elif not line.startswith(f"{delimiter[:4]}|"):
            return False
        if not is_clean(line.strip()) and " ".join(line.split()) != clean(line, max(1, len(line))):
            return False
    return delimiter is None


__all__ = ["Attack", "FactKind", "Injection", "attacked", "broken", "injections"]
