"""One worker's day: the stretches it is made of, and the records that a collector sends of them.

    talk ├──┤ meeting ├────┤ focus ├─────────┤ away ┄┄ focus ├────┤ lunch ┄┄┄┄ talk ├──┤ focus ├──────┤

Focus is long stays in one app with side glances, talk is quick switching between mail and chat, a meeting is
one long window with others opened over it, and away and lunch leave nothing but device posture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from random import Random
from typing import NamedTuple
from uuid import UUID

from coworkai.common.events import Source
from coworkai.local.sample import words
from coworkai.local.sample.apps import APPS, MIXES, Mix, Window, window
from coworkai.local.sample.people import Os, Role, Worker
from coworkai.local.sample.words import Planter, phrase

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
POSTURE_EVERY_S = 15 * 60
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Value = str | float | bool | datetime | list[str] | list[dict[str, str | float]] | None
Record = dict[str, Value]


class Sent(NamedTuple):
    """A record, and when the collector had it complete (microseconds since 1970, device clock)."""

    source: Source
    ready_us: int
    record: Record


class Kind(Enum):
    FOCUS = auto()
    TALK = auto()
    MEETING = auto()
    AWAY = auto()
    LUNCH = auto()


class Stretch(NamedTuple):
    """Seconds from the start of the shift."""

    kind: Kind
    start_s: float
    end_s: float


class Front(NamedTuple):
    """A window in front, microseconds since 1970."""

    app: str
    start_us: int
    end_us: int
    window: Window


@dataclass(frozen=True, slots=True)
class Shift:
    """`starts_at` is the true start, UTC; the device shows `clock_error_us` more."""

    worker: Worker
    starts_at: datetime
    clock_error_us: int = 0

    @property
    def base_us(self) -> int:
        return (self.starts_at - EPOCH) // timedelta(microseconds=1) + self.clock_error_us


def instant(us: int) -> datetime:
    return EPOCH + timedelta(microseconds=us)


def event_id(random: Random) -> str:
    return str(UUID(int=random.getrandbits(128), version=4))


def plan(random: Random, role: Role) -> list[Stretch]:
    """The stretches of one shift of about eight hours, one in six with a session in the evening."""
    mix = MIXES[role]
    stretches = [Stretch(Kind.TALK, 0, random.uniform(8, 20) * 60)]
    _fill(random, mix, stretches, until_s=random.uniform(3.1, 3.9) * 3600)
    _add(stretches, Kind.LUNCH, random.uniform(32, 85) * 60)
    _fill(random, mix, stretches, until_s=random.uniform(7.7, 8.6) * 3600)
    if random.random() < 1 / 6:
        _add(stretches, Kind.AWAY, random.uniform(1.6, 3) * 3600)
        _add(stretches, Kind.TALK, random.uniform(12, 40) * 60)
    return stretches


def _fill(random: Random, mix: Mix, stretches: list[Stretch], *, until_s: float) -> None:
    while stretches[-1].end_s < until_s:
        (kind,) = random.choices(
            (Kind.FOCUS, Kind.TALK, Kind.MEETING, Kind.AWAY), weights=(5, 3, mix.meetings, 1)
        )
        low, high = _LENGTH_MIN[kind]
        _add(stretches, kind, random.uniform(low, high) * 60)


_LENGTH_MIN = {Kind.FOCUS: (25, 80), Kind.TALK: (6, 22), Kind.MEETING: (20, 55), Kind.AWAY: (4, 14)}


def _add(stretches: list[Stretch], kind: Kind, length_s: float) -> None:
    start_s = stretches[-1].end_s
    stretches.append(Stretch(kind, start_s, start_s + length_s))


@dataclass
class WorkDay:
    """Writes the records of one shift."""

    random: Random
    planter: Planter
    shift: Shift
    stretches: list[Stretch] = field(init=False)

    def __post_init__(self) -> None:
        self.stretches = plan(self.random, self.shift.worker.role)

    def records(self) -> Iterator[Sent]:
        """Every record of the shift, source by source."""
        fronts = list(self._fronts())
        for front in fronts:
            yield Sent(Source.ACTIVITIES, front.end_us, self._activity(front))
        for minute_us, typed_into in self._typed(fronts):
            yield from self._keystrokes(minute_us, typed_into)
        yield from self._chats(fronts)
        yield from self._manifests()
        yield from self._posture()

    # ------------------------------------------------------------------------------------- windows
    def _fronts(self) -> Iterator[Front]:
        mix = MIXES[self.shift.worker.role]
        for stretch in self.stretches:
            match stretch.kind:
                case Kind.FOCUS:
                    yield from self._focus(stretch, mix)
                case Kind.TALK:
                    yield from self._series(stretch, mix.talk)
                case Kind.MEETING:
                    yield from self._meeting(stretch, mix)
                case Kind.AWAY | Kind.LUNCH:
                    pass

    def _focus(self, stretch: Stretch, mix: Mix) -> Iterator[Front]:
        main, at_s = self.random.choice(mix.focus), stretch.start_s
        while at_s < stretch.end_s:
            stay_s = max(30.0, APPS[main].dwell_s * self.random.lognormvariate(0, 0.6))
            end_s = min(at_s + stay_s, stretch.end_s)
            yield from self._front(main, at_s, end_s)
            at_s = end_s + self.random.uniform(0, 2)
            if at_s < stretch.end_s and self.random.random() < 0.7:
                end_s = at_s + self.random.uniform(6, 75)
                yield from self._front(self.random.choice(mix.side), at_s, end_s)
                at_s = end_s

    def _series(self, stretch: Stretch, apps: tuple[str, ...]) -> Iterator[Front]:
        at_s = stretch.start_s
        while at_s < stretch.end_s:
            app = self.random.choice(apps)
            end_s = at_s + max(8.0, APPS[app].dwell_s * self.random.lognormvariate(0, 0.7))
            yield from self._front(app, at_s, end_s)
            at_s = end_s + self.random.uniform(0, 1)

    def _meeting(self, stretch: Stretch, mix: Mix) -> Iterator[Front]:
        yield from self._front("zoom", stretch.start_s, stretch.end_s)
        for _ in range(self.random.randrange(5)):
            at_s = self.random.uniform(stretch.start_s, stretch.end_s)
            yield from self._front(self.random.choice(mix.side), at_s, at_s + self.random.uniform(15, 120))

    def _front(self, app: str, start_s: float, end_s: float) -> Iterator[Front]:
        """A window, now and then reported too long (it overlaps the next), or again with no length."""
        base_us = self.shift.base_us
        unit_us = 1 if self.shift.worker.os is Os.LINUX else 1000
        start_us = base_us + int(start_s * SECOND_US) // unit_us * unit_us
        end_us = base_us + int(end_s * SECOND_US) // unit_us * unit_us
        fault = self.random.random()
        if fault < 0.07:
            end_us += self.random.randrange(1, 25) * SECOND_US
        seen = window(app, self.shift.worker, self.random, self.planter)
        yield Front(app, start_us, end_us, seen)
        if fault > 0.99:
            yield Front(app, end_us, end_us, seen)

    def _activity(self, front: Front) -> Record:
        seen = front.window
        record: Record = self._head()
        record |= {"start": instant(front.start_us), "end": instant(front.end_us), "exec": seen.exec}
        record["title"] = seen.title
        if seen.url is not None:
            record["url"] = seen.url
        record["os"] = self.shift.worker.os
        return record

    # ------------------------------------------------------------------------------------- typing
    def _typed(self, fronts: list[Front]) -> Iterator[tuple[int, Window]]:
        """Minutes in which something was typed: in front, in another app, before the day, and over lunch."""
        random = self.random
        for front in fronts:
            typing = APPS[front.app].typing
            first_us = front.start_us // MINUTE_US * MINUTE_US
            for minute_us in range(first_us, front.end_us, MINUTE_US):
                draw = random.random()
                if draw < typing:
                    yield minute_us, front.window
                elif draw > 0.992:
                    yield minute_us, self._window("notes")
        if random.random() < 0.15:
            early_us = self.shift.base_us - random.randrange(10, 25) * MINUTE_US
            yield early_us // MINUTE_US * MINUTE_US, self._window("notes")
        for stretch in self.stretches:
            if stretch.kind is Kind.LUNCH and random.random() < 0.2:
                middle_us = self.shift.base_us + int((stretch.start_s + stretch.end_s) / 2) * SECOND_US
                middle_us = middle_us // MINUTE_US * MINUTE_US
                for offset in range(random.randrange(1, 4)):
                    yield middle_us + offset * MINUTE_US, self._window("notes")
                if random.random() < 0.5:
                    yield middle_us, self._window("slack")

    def _keystrokes(self, minute_us: int, typed_into: Window) -> Iterator[Sent]:
        random = self.random
        text = phrase(random, random.randrange(2, 12))
        text += random.choice(words.CONTROL_TOKENS)
        draw = random.random()
        if draw < 0.02:
            text += f" {self.planter.any()} "
        elif draw < 0.03:
            text += random.choice(words.LOOKALIKES)
        text += phrase(random, random.randrange(1, 5))
        copied = random.random() < 0.07
        if copied:
            text += "<Ctrl + c>"
        record = self._head()
        record |= {
            "minute": instant(minute_us),
            "exec": typed_into.exec,
            "title": typed_into.title,
            "text": text,
        }
        if typed_into.url is not None:
            record["url"] = typed_into.url
        record["os"] = self.shift.worker.os
        yield Sent(Source.KEYSTROKES, minute_us + MINUTE_US, record)
        if copied:
            yield from self._clipboard(minute_us + random.randrange(60) * SECOND_US, typed_into)

    def _clipboard(self, at_us: int, seen: Window) -> Iterator[Sent]:
        random = self.random
        text = self.planter.any() if random.random() < 0.1 else phrase(random, random.randrange(1, 9))
        action = "CUT" if random.random() < 0.1 else "COPY"
        for moment_us, name in ((at_us, action), (at_us + random.randrange(2, 90) * SECOND_US, "PASTE")):
            record = self._head()
            record |= {"at": instant(moment_us), "action": name, "exec": seen.exec}
            record |= {"content_type": "text/plain", "text": text}
            yield Sent(Source.CLIPBOARD, moment_us, record)

    # ----------------------------------------------------------------------- chat, manifests, posture
    def _chats(self, fronts: list[Front]) -> Iterator[Sent]:
        random = self.random
        asked = [front for front in fronts if front.app == "assistant"]
        places = asked or random.sample(fronts, k=min(1, len(fronts)))
        conversation = f"conv-{random.getrandbits(32):08x}"
        for front in places:
            prompt = self.planter.fill(random.choice(words.PROMPTS))
            reply = words.REPLY.format(*random.sample(words.REPLIED, 3))
            for offset_s, role, text in ((2, "user", prompt), (9, "assistant", reply)):
                at_us = front.start_us + offset_s * SECOND_US
                record = self._head()
                record |= {"at": instant(at_us), "conversation_id": conversation, "assistant": "ChatGPT"}
                record |= {"role": role, "text": text}
                yield Sent(Source.CHAT, at_us, record)

    def _manifests(self) -> Iterator[Sent]:
        random = self.random
        goals = random.sample(words.GOALS, random.randrange(2, 5))
        if random.random() < 0.06:
            goals[0] = f"{goals[0]} and write to {self.planter.email()}"
        areas = random.sample(words.FOCUS_AREAS, 2)
        name, unit, low, high = random.choice(words.KPIS)
        target = random.randrange(low, high)
        day_start_us, day_end_us = self.shift.base_us, self._offset_us(self.stretches[-1].end_s)
        declared: list[dict[str, str | float]] = [{"name": name, "target": float(target), "unit": unit}]
        if random.random() < 0.96:
            yield self._manifest("SOD", day_start_us + 2 * MINUTE_US, goals, areas, declared)
            if random.random() < 0.05:
                goals = [*goals, random.choice(words.GOALS)]
                yield self._manifest("SOD", day_start_us + 55 * MINUTE_US, goals, areas, declared)
        if random.random() < 0.92:
            done = [
                goal.upper() if random.random() < 0.2 else goal for goal in goals if random.random() < 0.7
            ]
            actual = float(random.randrange(low, high + 2))
            reported: list[dict[str, str | float]] = [{"name": name.lower(), "actual": actual, "unit": unit}]
            reflection = random.choice(words.REFLECTIONS)
            sent = self._manifest("EOD", day_end_us - 2 * MINUTE_US, done, areas[:1], reported)
            if reflection is not None:
                sent.record["reflection"] = reflection
            yield sent

    def _manifest(
        self,
        kind: str,
        at_us: int,
        goals: list[str],
        areas: list[str],
        kpis: list[dict[str, str | float]],
    ) -> Sent:
        record = self._head()
        record |= {"kind": kind, "at": instant(at_us), "goals": goals, "focus_areas": areas, "kpis": kpis}
        return Sent(Source.MANIFESTS, at_us, record)

    def _posture(self) -> Iterator[Sent]:
        random, worker = self.random, self.shift.worker
        at_s, battery = 0.0, random.uniform(60, 100)
        for stretch in self.stretches:
            while at_s < stretch.end_s:
                idle_s, locked = self._idle(stretch, at_s)
                battery = max(5.0, battery - random.uniform(0, 2))
                at_us = self._offset_us(at_s)
                record = self._head()
                record |= {"device_id": worker.device_id, "at": instant(at_us), "os": worker.os}
                record |= {"os_version": _OS_VERSION[worker.os], "cpu_pct": round(random.uniform(2, 70), 1)}
                record |= {"mem_pct": round(random.uniform(35, 85), 1), "battery_pct": round(battery, 1)}
                record |= {"on_ac": battery < 20, "idle_s": round(idle_s, 1), "locked": locked}
                record["agent_version"] = "4.2.0"
                yield Sent(Source.DEVICE_POSTURE, at_us, record)
                at_s += POSTURE_EVERY_S

    def _idle(self, stretch: Stretch, at_s: float) -> tuple[float, bool]:
        since_s = at_s - stretch.start_s
        match stretch.kind:
            case Kind.LUNCH:
                return since_s, since_s > 300
            case Kind.AWAY:
                return since_s, False
            case Kind.MEETING:
                return min(since_s, self.random.uniform(0, 700)), False
            case Kind.FOCUS | Kind.TALK:
                return min(
                    since_s, self.random.uniform(0, 60) * (6 if self.random.random() < 0.1 else 1)
                ), False

    # ------------------------------------------------------------------------------------- parts
    def _head(self) -> Record:
        return {"event_id": event_id(self.random), "user_id": self.shift.worker.user_id}

    def _window(self, app: str) -> Window:
        return window(app, self.shift.worker, self.random, self.planter)

    def _offset_us(self, at_s: float) -> int:
        return self.shift.base_us + int(at_s) * SECOND_US


_OS_VERSION = {Os.WINDOWS: "10.0.26100", Os.MACOS: "15.3", Os.LINUX: "6.11"}
