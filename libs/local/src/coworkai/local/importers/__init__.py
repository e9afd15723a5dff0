"""Exports of other time trackers, converted to record files that `coworkai process` and `send` take.

A converter reads its files and writes `activities.ndjson` and `device-posture.ndjson`: one record a line,
with the envelope key `_device_id`. Identities are UUIDv5 of what identifies the original event, so that
importing the same export twice adds nothing. Times and durations are carried over as they are; what is wrong
with them is for ingest to judge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self
from uuid import UUID, uuid5

import msgspec

from coworkai.common.errors import Terminal
from coworkai.common.events import Activity, DevicePosture, Source

IMPORT_NAMESPACE = UUID("1b0b4e2e-4d53-5f3c-9a51-6a2f0c5d7a11")


class UnknownFormat(Terminal):
    """The file is not an export that the converter knows."""

    code = "unknown_format"


@dataclass(frozen=True)
class Counts:
    """Records written by source, original events left out by reason, files that held others before."""

    records: Mapping[Source, int]
    skipped: Mapping[str, int] = field(default_factory=dict)
    replaced: Sequence[Path] = ()


@dataclass
class RecordFiles(AbstractContextManager["RecordFiles"]):
    """The record files of one import and the counts of what went in.

    They are written beside and take their names when all went well; after a failure the folder is as it was.
    """

    out: Path
    skipped: Counter[str] = field(default_factory=Counter)
    _written: Counter[Source] = field(default_factory=Counter)
    _files: dict[Source, BinaryIO] = field(default_factory=dict)
    _replaced: list[Path] = field(default_factory=list)
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        self.out.mkdir(parents=True, exist_ok=True)
        try:
            for source in (Source.ACTIVITIES, Source.DEVICE_POSTURE):
                self._files[source] = self._stack.enter_context(self._unfinished(source).open("wb"))
        except BaseException:
            self._discard()
            raise
        self._replaced = [
            path for path in map(self._path, self._files) if path.is_file() and path.stat().st_size > 0
        ]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._stack.close()
            if kind is None:
                for source in self._files:
                    self._unfinished(source).replace(self._path(source))
        finally:
            self._discard()

    def _discard(self) -> None:
        self._stack.close()
        for source in self._files:
            self._unfinished(source).unlink(missing_ok=True)

    def _path(self, source: Source) -> Path:
        return self.out / f"{source}.ndjson"

    def _unfinished(self, source: Source) -> Path:
        return self.out / f".{source}.ndjson.part"

    def add(self, record: Activity | DevicePosture, device: str) -> None:
        source = Source.ACTIVITIES if isinstance(record, Activity) else Source.DEVICE_POSTURE
        fields = {key: value for key, value in msgspec.structs.asdict(record).items() if value is not None}
        self._files[source].write(msgspec.json.encode(fields | {"_device_id": device}) + b"\n")
        self._written[source] += 1

    @property
    def counts(self) -> Counts:
        return Counts(dict(self._written), dict(self.skipped), tuple(self._replaced))


def identity(*parts: object) -> str:
    """The event id of what `parts` identify."""
    return str(uuid5(IMPORT_NAMESPACE, msgspec.json.encode([str(part) for part in parts]).decode()))
