"""Briefs and insights as markdown for people: plain lines, numbered evidence, nothing else.

Text that came with telemetry is shown and never forms a link, image, HTML, emphasis, code, heading or list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from coworkai.insights.brief import Brief, Claim
from coworkai.insights.clean import clean

_MARKUP = re.compile(r"(?=[\\`*\[\]<>|~$!@])")
_UNDERSCORE_AT_EDGE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
_ENTITY = re.compile(r"&(?=#?[0-9A-Za-z]+;)")
_WWW = re.compile(r"(?i)(?<=\bwww)\.")
_SCHEME = re.compile(r"(?i)([a-z][a-z0-9+.-]*):(?=\S)")
_BLOCK_START = re.compile(r"^([#+\-=~]|\d{1,9}(?=[.)]))")
_SUBJECT_MAX_CHARS = 200

Line = tuple[str, Sequence[Claim]]
"""Text of a statement and what it cites."""


def escaped(text: str) -> str:
    """One line of plain text as markdown that reads the same, at the start of a line too."""
    safe = text
    # Most text has nothing to escape, and to look is cheaper than to substitute.
    if _MARKUP.search(safe):
        safe = _MARKUP.sub(r"\\", safe)
    if "_" in safe:
        safe = _UNDERSCORE_AT_EDGE.sub(r"\\_", safe)
    if "&" in safe:
        safe = _ENTITY.sub(r"\\&", safe)
    if "." in safe:
        safe = _WWW.sub(r"\\.", safe)
    if ":" in safe:
        safe = _SCHEME.sub(lambda scheme: f"{scheme[1]}\\:", safe)
    start = _BLOCK_START.match(safe)
    return safe if start is None else _at_start(start.group(1)) + safe[start.end() :]


def _at_start(marker: str) -> str:
    return f"{marker}\\" if marker.isdigit() else f"\\{marker}"


def code(text: str) -> str:
    """Text as a code span, whatever backticks it holds."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def document(title: str, sections: Iterable[tuple[str, Sequence[Line]]], nothing: str = "") -> str:
    """A page of statements with numbered evidence at its end; a section without lines is left out."""
    notes = _Notes()
    body = [f"# {escaped(clean(title, _SUBJECT_MAX_CHARS))}"]
    for heading, lines in sections:
        if not lines:
            continue
        if heading:
            body.append(f"## {heading}")
        body.append("\n".join(f"- {notes.noted(text, claims)}" for text, claims in lines))
    if not notes.numbers:
        body.append(nothing)
    return "\n\n".join([*body, *notes.evidence()]) + "\n"


def brief_markdown(brief: Brief) -> str:
    """The brief for people: headline, the sections that have something, evidence and provenance."""
    notes = _Notes()
    body = [
        f"# {escaped(_title(brief))}",
        f"**{notes.noted(brief.headline.text, brief.headline.claims)}**",
    ]
    for heading, statements in (
        ("What moved", brief.momentum),
        ("In the way", brief.blockers),
        ("Next", brief.next_steps),
    ):
        body += _section(heading, [notes.noted(one.text, one.claims) for one in statements])
    insights = [
        f"{notes.noted(pair.insight.text, pair.insight.claims)}  \n"
        f"  *{notes.noted(pair.recommendation.text, pair.recommendation.claims)}*"
        for pair in brief.insights
    ]
    body += _section("Worth knowing", insights)
    body += _section("About the data", [notes.noted(one.text, one.claims) for one in brief.data_quality])
    body += notes.evidence()
    body.append(_provenance(brief))
    return "\n\n".join(body) + "\n"


def _section(heading: str, lines: Sequence[str]) -> list[str]:
    return [f"## {heading}", "\n".join(f"- {line}" for line in lines)] if lines else []


def _title(brief: Brief) -> str:
    day = f"{brief.primary_date:%A}, {brief.primary_date.day} {brief.primary_date:%B %Y}"
    if brief.subject.kind == "worker":
        return f"Brief for {day}"
    return f"Brief for {clean(brief.subject.id, _SUBJECT_MAX_CHARS)}, {day}"


def _provenance(brief: Brief) -> str:
    made = brief.provenance
    writer = "the deterministic writer" if made.writer == "deterministic" else made.model or made.writer
    window = f"{made.context_start.isoformat()} to {made.context_end.isoformat()}"
    parts = [
        f"Written by {writer} from facts of {window}",
        f"times in {brief.time_zone}",
        f"rules {made.rules_version}",
    ]
    if made.prompt_version is not None:
        parts.append(f"prompt {made.prompt_version}")
        parts.append(f"{made.input_tokens:,} tokens in, {made.output_tokens:,} out")
    counted = brief.grounding
    if counted.accepted or counted.repaired or counted.replaced:
        parts.append(f"{counted.accepted} statements as drafted")
        parts.append(f"{counted.repaired} repaired, {counted.replaced} replaced")
    if counted.fallback_reason is not None:
        parts.append(f"no model: {counted.fallback_reason}")
    parts.append(f"brief {brief.brief_id}")
    return f"---\n\n{escaped('; '.join(parts))}."


class _Notes:
    """Numbers of cited facts, in the order in which they are first cited."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def noted(self, text: str, claims: Sequence[Claim]) -> str:
        cited = dict.fromkeys(claim.fact_id for claim in claims)
        numbers = [self.numbers.setdefault(fact_id, len(self.numbers) + 1) for fact_id in cited]
        return f"{escaped(text)} {' '.join(f'[{number}]' for number in sorted(numbers))}"

    def evidence(self) -> list[str]:
        if not self.numbers:
            return []
        lines = [f"[{number}] {code(fact_id)}" for fact_id, number in self.numbers.items()]
        return ["## Evidence", "  \n".join(lines)]
