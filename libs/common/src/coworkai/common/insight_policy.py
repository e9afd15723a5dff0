"""How a tenant's briefs are written: by whom, from how much, and at what cost at most.

Kept in the control store beside the tenant. Secrets are none of it: keys of model servers come from the
environment of the insights service.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from urllib.parse import urlparse

from coworkai.common.errors import Terminal

BRIEF_DAYS_MAX = 31
CONTEXT_TOKENS_MIN = 500
CONTEXT_TOKENS_MAX = 1_000_000


class Writer(StrEnum):
    """Who writes the briefs: the rules alone, or a model held to their facts."""

    DETERMINISTIC = "deterministic"
    GEMINI = "gemini"
    """Gemini on Vertex AI."""
    ENDPOINT = "endpoint"
    """A self-deployed model behind a Vertex AI Endpoint."""
    OPENAI = "openai"
    """Any OpenAI-compatible server."""


class WriterLacks(Terminal):
    """The writer's model is not fully named."""

    def __init__(self, writer: Writer, missing: Sequence[str]) -> None:
        names = ", ".join(missing)
        super().__init__(f"writer {writer.value} needs {names}", remedy=f"give {names}")


@dataclass(frozen=True, slots=True)
class InsightPolicy:
    """Raises Terminal when a value is out of range, WriterLacks when the writer's model is not named.

    `brief_days`: local days of a brief's window. `context_tokens`: the most a consolidated context may have.
    `requests_per_minute`, `tokens_per_minute`, `daily_budget_tokens`, `daily_budget_usd`: the most that the
    tenant's model calls may use; budgets are of a UTC day, in dollars where the model's price is known.
    `base_url` is an OpenAI-compatible server's, `endpoint` a Vertex AI Endpoint's id.
    """

    writer: Writer = Writer.DETERMINISTIC
    model: str | None = None
    base_url: str | None = None
    endpoint: str | None = None
    project: str | None = None
    location: str | None = None
    brief_days: int = 7
    context_tokens: int = 16_000
    requests_per_minute: int = 60
    tokens_per_minute: int = 200_000
    daily_budget_tokens: int = 5_000_000
    daily_budget_usd: float = 5.0

    def __post_init__(self) -> None:
        if not 1 <= self.brief_days <= BRIEF_DAYS_MAX:
            raise Terminal(f"brief_days is not between 1 and {BRIEF_DAYS_MAX}")
        if not CONTEXT_TOKENS_MIN <= self.context_tokens <= CONTEXT_TOKENS_MAX:
            raise Terminal(f"context_tokens is not between {CONTEXT_TOKENS_MIN} and {CONTEXT_TOKENS_MAX}")
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                option = name.replace("_", "-")
                raise Terminal(f"{name} is below {least}", remedy=f"give --{option} {least} or more")
        if missing := [name for name in NEEDED[self.writer] if not getattr(self, name)]:
            raise WriterLacks(self.writer, missing)
        if self.base_url is not None and urlparse(self.base_url).scheme not in {"http", "https"}:
            raise Terminal("base_url is no http:// or https:// address")


_LEAST = {"requests_per_minute": 1, "tokens_per_minute": 1, "daily_budget_tokens": 0, "daily_budget_usd": 0}
NEEDED: Mapping[Writer, tuple[str, ...]] = MappingProxyType(
    {
        Writer.DETERMINISTIC: (),
        Writer.GEMINI: ("model", "project"),
        Writer.ENDPOINT: ("endpoint", "project", "location"),
        Writer.OPENAI: ("model", "base_url"),
    }
)
"""What names the model of a writer, by the policy's fields."""
