"""`python -m tests.integration.partner_dying AHEAD_S [POINT N]`: a partner API whose clock is ahead.

It kills itself at the N-th time that it comes to a POINT: `after-claim` of an export, `before-` or `after-`
and `put`, `keep` or `finish` of one, or `answer` of a request under an Idempotency-Key. Exports have few rows
a part.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from tests.integration.dying import Dying

from coworkai.common.artifacts import ArtifactStore
from coworkai.common.clock import utc_now
from coworkai.common.service import run
from coworkai.common.settings import load
from coworkai.partner_api import services
from coworkai.partner_api.app import create_app
from coworkai.partner_api.connection import protocol
from coworkai.partner_api.exports import Export, Exporter, ExportStore
from coworkai.partner_api.idempotency import IdempotencyKeys
from coworkai.partner_api.settings import PartnerApiSettings

ROWS_A_PART = 6


def dying_in(kind: type, dying: Dying, points: Sequence[tuple[str, str]]) -> type:
    """The class, with points around its methods: (method, name of the point)."""

    def around(method: str, point: str) -> Any:
        def called(self: Any, *args: Any, **kwargs: Any) -> Any:
            return dying.around(partial(getattr(kind, method), self), point)(*args, **kwargs)

        return called

    return type(f"Dying{kind.__name__}", (kind,), {method: around(method, name) for method, name in points})


def dying_exports(dying: Dying) -> type[ExportStore]:
    class DyingExports(dying_in(ExportStore, dying, [("keep", "keep"), ("finish", "finish")])):  # type: ignore[misc]
        def claim(self) -> Export | None:
            claimed: Export | None = super().claim()
            if claimed is not None:
                dying.at("after-claim")
            return claimed

    return DyingExports


def main(ahead_s: str, point: str = "", times: str = "1") -> None:
    dying = Dying(point, int(times))
    vars(services).update(
        ExportStore=dying_exports(dying),
        ArtifactStore=dying_in(ArtifactStore, dying, [("put", "put")]),
        IdempotencyKeys=dying_in(IdempotencyKeys, dying, [("keep", "answer")]),
        Exporter=partial(Exporter, rows_a_part=ROWS_A_PART),
    )
    settings = load(PartnerApiSettings)

    def clock() -> datetime:
        return utc_now() + timedelta(seconds=float(ahead_s))

    run(create_app(settings, clock), settings, protocol(settings))


if __name__ == "__main__":
    main(*sys.argv[1:])
