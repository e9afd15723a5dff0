"""Models at work: several briefs at a time, on an event loop of their own, for pipelines in threads.

Invariant: a brief that a model could not be asked for is told apart from one that it failed to write: the
first is tried again later, the second is written by facts alone and says why.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from coworkai.common.insight_policy import InsightPolicy, Writer
from coworkai.common.observability import get_logger
from coworkai.insights.llm import BudgetSpent, Model, ModelError, ModelSettings, NotAdmitted, Provider
from coworkai.insights.making import Work
from coworkai.insights.metering import Meter, MeteredCalls
from coworkai.insights.models import open_model
from coworkai.insights.offer import offered
from coworkai.insights.settings import InsightsSettings
from coworkai.insights.write import Written, write_brief

log = get_logger(__name__)
T = TypeVar("T")

OpenModel = Callable[[ModelSettings], Model]


@dataclass(frozen=True, slots=True)
class ModelBrief:
    """What a model's writing came to; `provider_tokens` of the context by the provider's own count."""

    written: Written
    provider_tokens: int | None


Result = ModelBrief | Exception


class Writing(Protocol):
    """Writes the briefs of a tenant that has a model."""

    def write(self, tenant_id: str, policy: InsightPolicy, works: Sequence[Work]) -> list[Result]:
        """A result a work, in order: what was written, or why nothing was.

        NotAdmitted is worth another try later, anything else is a failure of ours.
        """
        ...


class ModelWriting:
    """Models on an event loop in a thread of its own. Safe to share between threads."""

    def __init__(
        self,
        settings: InsightsSettings,
        meter: Meter,
        opened: OpenModel = open_model,
    ) -> None:
        self._settings = settings
        self._meter = meter
        self._open = opened
        self._models: dict[ModelSettings, Model] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="models", daemon=True)
        self._thread.start()

    def write(self, tenant_id: str, policy: InsightPolicy, works: Sequence[Work]) -> list[Result]:
        return self._run(self._write_all(tenant_id, policy, works))

    def close(self) -> None:
        """Let go of the models and the meter, and end the thread."""
        self._run(self._aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _write_all(self, tenant_id: str, policy: InsightPolicy, works: Sequence[Work]) -> list[Result]:
        model = self._model(policy)
        # Of this tenant only: one that waits for its limits must not hold up another.
        slots = asyncio.Semaphore(self._settings.model_calls)
        results = await asyncio.gather(
            *(
                self._write(work, model, self._meter.of(tenant_id, policy, work.brief_id), slots)
                for work in works
            ),
            return_exceptions=True,
        )
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, Exception):
                raise result
        return [result for result in results if isinstance(result, ModelBrief | Exception)]

    async def _write(
        self, work: Work, model: Model, call: MeteredCalls, slots: asyncio.Semaphore
    ) -> ModelBrief:
        context = work.context.markdown if work.context is not None else ""
        async with slots:
            written = await write_brief(
                work.book,
                work.draft,
                offered(work.book, work.draft),
                context=context,
                model=model,
                call=call,
            )
            return ModelBrief(written, await self._count(model, context, call))

    @staticmethod
    async def _count(model: Model, context: str, call: MeteredCalls) -> int | None:
        try:
            return await call.count(model, context)
        except (ModelError, NotAdmitted, BudgetSpent) as error:
            log.warning("context not counted by its provider", error=error)
            return None

    def _model(self, policy: InsightPolicy) -> Model:
        wanted = model_settings(policy, self._settings)
        if wanted not in self._models:
            self._models[wanted] = self._open(wanted)
        return self._models[wanted]

    async def _aclose(self) -> None:
        await asyncio.gather(self._meter.aclose(), *(model.aclose() for model in self._models.values()))


def model_settings(policy: InsightPolicy, settings: InsightsSettings) -> ModelSettings:
    """The model of a tenant's policy, within the service's bounds. Raises SettingsError."""
    key = settings.model_api_key
    return ModelSettings(
        provider=_PROVIDERS[policy.writer],
        model=policy.model or policy.endpoint or "",
        base_url=policy.base_url,
        endpoint=policy.endpoint,
        project=policy.project,
        location=policy.location,
        api_key=key.get_secret_value() if key is not None else None,
        timeout_s=settings.model_timeout_s,
    )


_PROVIDERS = {
    Writer.GEMINI: Provider.GEMINI,
    Writer.ENDPOINT: Provider.ENDPOINT,
    Writer.OPENAI: Provider.OPENAI,
}
