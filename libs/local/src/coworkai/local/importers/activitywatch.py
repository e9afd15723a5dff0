"""ActivityWatch exports: a whole server, one bucket, a list of buckets, or a bare list of events (JSON).

bucket type              becomes
currentwindow            activities: app (Android: package) and title, intervals exactly as recorded
web.tab.current          the address of the browser window it was in, intervals of windows untouched;
                         activities of their own where the host recorded no windows
afkstatus                device posture at the end of each stretch: idle for its length, or not idle
os.lockscreen.unlocks    device posture: unlocked, not idle
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate
from pathlib import Path

import msgspec
from msgspec import Struct

from coworkai.common.events import Activity, DevicePosture
from coworkai.local.importers import Counts, RecordFiles, UnknownFormat, identity

REMEDY = "in ActivityWatch, Raw Data, use 'Export all buckets as JSON', or 'Export as JSON' of one bucket"
WINDOW, WEB, AFK, UNLOCK = "currentwindow", "web.tab.current", "afkstatus", "os.lockscreen.unlocks"
NO_HOST = "unknown"


class Data(Struct, gc=False):
    """The fields of an event's `data` that any of the bucket types has."""

    app: str | None = None
    title: str | None = None
    package: str | None = None
    url: str | None = None
    status: str | None = None
    incognito: bool | None = None


class Event(Struct, gc=False):
    """`timestamp` has up to nanoseconds and is rounded to microseconds; `duration` is in seconds."""

    timestamp: datetime
    data: Data
    duration: float = 0.0
    id: int | None = None

    @property
    def start(self) -> datetime:
        return self.timestamp

    @property
    def end(self) -> datetime:
        return self.timestamp + timedelta(microseconds=round(self.duration * 1_000_000))


class Bucket(Struct):
    type: str
    events: msgspec.Raw
    id: str = ""
    hostname: str = NO_HOST

    def read(self) -> list[Event]:
        """The events, oldest first.

        Raises UnknownFormat when one is none.
        """
        try:
            events = msgspec.json.decode(self.events, type=list[Event])
        except msgspec.DecodeError as error:
            raise UnknownFormat(f"bucket {self.id or self.type}: {error}", remedy=REMEDY) from None
        events.reverse()  # exports begin with the newest; equal times keep the order they happened in
        events.sort(key=lambda event: event.timestamp)
        return events


class _Export(Struct):
    """A server's export has `buckets`; a bucket's own has its fields at the top."""

    buckets: dict[str, Bucket] | list[Bucket] | None = None
    type: str | None = None
    events: msgspec.Raw = msgspec.Raw()
    id: str = ""
    hostname: str = NO_HOST


def convert(files: Sequence[Path], out: Path, user: str | None) -> Counts:
    """Writes the records of `files` into `out`. `user` is the collector's id of the person, else the host.

    Decodes one bucket at a time. Raises UnknownFormat when a file is no ActivityWatch export.
    """
    with RecordFiles(out) as records:
        for file in files:
            buckets = _read(file)
            for host in dict.fromkeys(bucket.hostname for bucket in buckets):
                own = [bucket for bucket in buckets if bucket.hostname == host]
                _Host(host, user or host, records).convert(own)
        return records.counts


def _read(file: Path) -> list[Bucket]:
    content = file.read_bytes().lstrip(b"\xef\xbb\xbf \t\r\n")
    try:
        if content.startswith(b"["):
            return _read_list(content)
        export = msgspec.json.decode(content, type=_Export)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnknownFormat(f"{file.name} is no ActivityWatch export: {error}", remedy=REMEDY) from None
    if export.buckets is not None:
        return list(export.buckets.values() if isinstance(export.buckets, dict) else export.buckets)
    if export.type is not None and bytes(export.events):
        return [Bucket(export.type, export.events, export.id, export.hostname)]
    raise UnknownFormat(f"{file.name} has neither buckets nor events", remedy=REMEDY)


def _read_list(content: bytes) -> list[Bucket]:
    """A list of buckets, or of events of one bucket whose type shows in their data."""
    try:
        return msgspec.json.decode(content, type=list[Bucket])
    except msgspec.ValidationError:
        first = next(iter(msgspec.json.decode(content, type=list[Event])), None)
    if first is None or first.data.app is not None or first.data.package is not None:
        kind = WINDOW
    elif first.data.url is not None:
        kind = WEB
    else:
        kind = AFK if first.data.status is not None else UNLOCK
    return [Bucket(kind, msgspec.Raw(content))]


@dataclass
class _Host:
    """Converts the buckets of one device."""

    hostname: str
    user: str
    records: RecordFiles
    _repeats: dict[tuple[str, datetime, float, int | None], int] = field(default_factory=dict)

    def convert(self, buckets: Sequence[Bucket]) -> None:
        web = [bucket for bucket in buckets if bucket.type == WEB]
        windows = [bucket for bucket in buckets if bucket.type == WINDOW]
        if windows:
            addresses = [_Addresses(_browser(bucket.id), self._public(bucket.read())) for bucket in web]
            for bucket in windows:
                for event in bucket.read():
                    self._window(bucket, event, addresses)
        else:
            for bucket in web:
                for event in self._public(bucket.read()):
                    self._activity(bucket, event, _browser(bucket.id) or "browser", event.data.url)
        for bucket in buckets:
            if bucket.type in {AFK, UNLOCK}:
                for event in bucket.read():
                    self._posture(bucket, event)
            elif bucket.type not in {WEB, WINDOW}:
                self.records.skipped[f"bucket type {bucket.type}"] += len(bucket.read())

    def _public(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            if event.data.incognito:
                self.records.skipped["incognito"] += 1
            else:
                yield event

    def _window(self, bucket: Bucket, event: Event, addresses: Sequence[_Addresses]) -> None:
        name = event.data.package or event.data.app
        if name is None:
            self.records.skipped["window without app"] += 1
            return
        found = (tabs.address_of(event, name) for tabs in addresses)
        self._activity(bucket, event, name, next((url for url in found if url is not None), None))

    def _activity(self, bucket: Bucket, event: Event, name: str, url: str | None) -> None:
        activity = Activity(
            event_id=self._identity(bucket, event),
            user_id=self.user,
            start=event.start,
            end=event.end,
            exec=name,
            title=event.data.title if event.data.title is not None else event.data.app,
            url=url,
            os=_os(event.data),
        )
        self.records.add(activity, self.hostname)

    def _posture(self, bucket: Bucket, event: Event) -> None:
        posture = DevicePosture(
            event_id=self._identity(bucket, event),
            user_id=self.user,
            device_id=self.hostname,
            at=event.end,
            idle_s=(event.end - event.start).total_seconds() if event.data.status == "afk" else 0.0,
        )
        self.records.add(posture, self.hostname)

    def _identity(self, bucket: Bucket, event: Event) -> str:
        """Events are told apart by their number in the server, without one by how often they occurred."""
        key = (bucket.id or bucket.type, event.start, event.duration, event.id)
        repeat = self._repeats.get(key, 0)
        self._repeats[key] = repeat + 1
        return identity("activitywatch", self.hostname, self.user, *key, repeat)


class _Addresses:
    """The tabs of one browser, to look up which was open in a window."""

    def __init__(self, browser: str | None, events: Iterable[Event]) -> None:
        self._browser = browser
        self._tabs = [event for event in events if event.data.url]
        self._starts = [tab.start for tab in self._tabs]
        self._latest_end = list(accumulate((tab.end for tab in self._tabs), max))

    def address_of(self, window: Event, app: str) -> str | None:
        """Address of the tab that shared most time with the window, one of the same title first."""
        if not _is_browser(app, self._browser):
            return None
        best: tuple[bool, timedelta, str] | None = None
        for index in range(bisect_right(self._starts, window.end) - 1, -1, -1):
            if self._latest_end[index] < window.start:
                break
            tab = self._tabs[index]
            shared = min(tab.end, window.end) - max(tab.start, window.start)
            if shared > timedelta(0) or (window.start == window.end and shared == timedelta(0)):
                candidate = (_same_title(tab, window), shared, tab.data.url or "")
                best = candidate if best is None else max(best, candidate)
        return None if best is None else best[2]


BROWSERS = frozenset(
    {"chrome", "chromium", "firefox", "edge", "brave", "vivaldi", "opera", "safari", "arc", "zen"}
)


def _browser(bucket_id: str) -> str | None:
    """`aw-watcher-web-firefox_host` -> `firefox`; None when the id names no browser."""
    named = re.match(r"aw-watcher-web-([a-z]+)", bucket_id)
    return named[1] if named and named[1] in BROWSERS else None


def _is_browser(app: str, browser: str | None) -> bool:
    words = {word.removeprefix("ms") for word in re.split(r"[^a-z0-9]+", app.lower())}
    return bool(words & (BROWSERS if browser is None else {browser}))


def _same_title(tab: Event, window: Event) -> bool:
    return bool(tab.data.title) and (window.data.title or "").startswith(tab.data.title or "")


def _os(data: Data) -> str | None:
    if data.package is not None:
        return "android"
    return "windows" if (data.app or "").lower().endswith(".exe") else None
