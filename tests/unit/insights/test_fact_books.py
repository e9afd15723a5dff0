"""Fact books: what is offered of a worker's days, and that it is exactly what Gold says."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest
from tests.unit.insights.gold_rows import (
    DAY,
    START,
    accounting,
    at,
    block,
    blocks,
    chat,
    declared,
    focus,
    gold,
    jobs,
    kpi,
    kpis,
    message,
    pairs,
    shuffled,
    slices,
    usage,
)

from coworkai.common.fact_ids import fact_name
from coworkai.insights.fact_books import DEFAULT_RULES, FactRules, GoldFrames, worker_books
from coworkai.insights.facts import FIELDS, FactBook, FactKind, FieldUnit

BEFORE = DAY - timedelta(days=1)


def only(frames: GoldFrames, rules: FactRules = DEFAULT_RULES) -> FactBook:
    (book,) = worker_books(frames, DAY, START, rules)
    return book


def values(book: FactBook, kind: FactKind, *names: str) -> list[tuple[object, ...]]:
    return [tuple(fact[name] for name in names) for fact in book.of(kind)]


def rich() -> GoldFrames:
    """Two workers with something of every kind, on two days."""
    past = [kpi("focus_s", 600.0 * n, DAY - timedelta(days=n)) for n in range(1, 9)]
    return gold(
        kpi_daily=kpis(
            kpi("active_s", 7_200.0),
            kpi("focus_s", 5_400.0),
            kpi("after_hours_s", None),
            kpi("active_s", 3_600.0, user="bo"),
            *past,
        ),
        workblocks=blocks(
            block(0, "09:00", "10:30"),
            block(1, "12:00", "12:30"),
            block(0, "09:00", "09:20", BEFORE),
            block(1, "13:00", "14:00", BEFORE),
            block(0, "09:00", "10:00", user_id="bo", workblock_id="wb:bo:1:00"),
        ),
        focus_blocks=focus(
            {"started_at": at("09:00"), "ended_at": at("10:30"), "duration_s": 5_400.0, "app": "code"},
        ),
        atomic_slices=slices(
            {
                "sequence": 1,
                "started_at": at("09:00"),
                "ended_at": at("09:30"),
                "duration_s": 1800.0,
                "app": "code",
            },
            {
                "sequence": 2,
                "started_at": at("09:30"),
                "ended_at": at("10:30"),
                "duration_s": 3600.0,
                "app": "chrome",
            },
        ),
        usage_statistics=usage(
            {"kind": "app", "rank": 1, "name": "code", "duration_s": 1800.0, "day_share": 0.25},
            {"kind": "url", "rank": 1, "name": "https://a.b/c", "duration_s": 60.0, "day_share": 0.01},
        ),
        day_accounting=accounting(
            {"raw_s": 7_300.0, "kept_s": 7_200.0, "overlapped_s": 100.0}, {"user_id": "bo"}
        ),
        manifests=pairs(
            {
                "goals": ["ship", "rest"],
                "goals_done": ["ship"],
                "focus_areas": ["billing"],
                "kpis": [declared("Calls", 4.0, 5.0, 1.25, "calls")],
            }
        ),
        chat=chat(
            message(1, "09:00", "the billing export fails"),
            message(2, "09:05", "test the billing export"),
            message(3, "09:07", "billing again", BEFORE),
        ),
        jobs=jobs({"time_zone": "Europe/Rome"}),
    )


def test_every_kind_has_ids_that_parse_and_all_its_fields_in_its_units() -> None:
    book = next(worker_books(rich(), DAY, START))
    assert {fact.kind for fact in book.facts.values()} == set(FactKind) - {FactKind.GROUP}
    for identifier, fact in book.facts.items():
        name = fact_name(identifier)
        assert fact.fact_id == identifier
        assert (name.kind, name.on or fact.date) == (fact.kind, fact.date)
        assert list(fact.fields) == list(FIELDS[fact.kind])
        for field, unit in FIELDS[fact.kind].items():
            assert unit is None or fact.fields[field].unit is unit


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    expected = list(worker_books(rich(), DAY, START))
    found = list(worker_books(shuffled(rich(), seed), DAY, START))
    assert found == expected
    assert [list(book.facts) for book in found] == [list(book.facts) for book in expected]


def test_every_worker_with_anything_in_the_window_has_a_book_and_no_other() -> None:
    frames = gold(
        kpi_daily=kpis(
            kpi("active_s", 1.0, DAY, "new"),
            kpi("active_s", 1.0, START, "early"),
            kpi("active_s", 1.0, START - timedelta(days=1), "gone"),
        ),
        chat=chat(message(1, "09:00", "hello", user_id="talker")),
    )
    assert [book.subject for book in worker_books(frames, DAY, START)] == ["early", "new", "talker"]


def test_a_measure_has_its_value_unit_and_row() -> None:
    fact = only(gold(kpi_daily=kpis(kpi("focus_s", 5_400.25)))).kpi("focus_s")
    assert fact is not None
    assert fact.fact_id == "kpi:ana:2024-01-10:focus_s"
    assert (fact["value"], fact.unit("value")) == (5_400.25, FieldUnit.SECONDS)
    assert (fact.table, fact.version, dict(fact.key)) == (
        "gold/kpi_daily",
        7,
        {"user_id": "ana", "date": "2024-01-10", "measure": "focus_s"},
    )


def test_a_null_never_becomes_a_number() -> None:
    book = only(
        gold(
            kpi_daily=kpis(kpi("active_s", None), kpi("goals_declared", 1.0)),
            manifests=pairs({"goals": ["a"], "kpis": [declared("Calls", None, None, None)]}),
            chat=chat(message(1, "09:00", None)),
        )
    )
    assert book.kpi("active_s") is None
    assert values(book, FactKind.TARGET, "target", "actual", "attainment") == [(None, None, None)]
    assert values(book, FactKind.CHAT, "text", "status") == [(None, None)]
    (day,) = book.of(FactKind.DAY)
    assert (day["raw_s"], day["keystroke_minutes"], day["first_at"]) == (None, None, None)


def test_earlier_days_are_told_of_headline_measures_only() -> None:
    book = only(
        gold(kpi_daily=kpis(kpi("active_s", 1.0, BEFORE), kpi("keys", 9.0, BEFORE), kpi("keys", 8.0)))
    )
    assert values(book, FactKind.KPI, "date", "value") == [(DAY, 8.0), (BEFORE, 1.0)]


class TestBaselines:
    def test_a_value_stands_against_the_median_of_the_days_before(self) -> None:
        past = [kpi("focus_s", 100.0 * n, DAY - timedelta(days=n)) for n in range(1, 8)]
        book = only(gold(kpi_daily=kpis(kpi("focus_s", 600.0), *past)))
        fact = book.baseline("focus_s")
        assert fact is not None
        assert [fact[name] for name in ("median", "difference", "change", "days", "direction")] == [
            400.0,
            200.0,
            0.5,
            7,
            "above",
        ]
        assert fact["z"] == pytest.approx(0.6745)

    def test_with_six_days_there_is_none_but_how_many_there_are(self) -> None:
        past = [kpi("focus_s", 100.0, DAY - timedelta(days=n)) for n in range(1, 7)]
        book = only(gold(kpi_daily=kpis(kpi("focus_s", 600.0), *past)))
        assert book.baseline("focus_s") is None
        assert values(book, FactKind.BASELINE, "median", "difference", "direction", "days") == [
            (None, None, None, 6)
        ]

    def test_a_median_of_zero_has_a_difference_and_no_share(self) -> None:
        past = [kpi("focus_s", 0.0, DAY - timedelta(days=n)) for n in range(1, 9)]
        book = only(gold(kpi_daily=kpis(kpi("focus_s", 60.0), *past)))
        assert values(book, FactKind.BASELINE, "difference", "change", "z") == [(60.0, None, None)]


class TestBlocks:
    def test_all_of_the_primary_day_and_the_longest_of_earlier_ones(self) -> None:
        book = next(worker_books(rich(), DAY, START))
        assert [fact.fact_id for fact in book.of(FactKind.BLOCK)] == [
            f"wb:ana:{DAY.toordinal()}:00",
            f"wb:ana:{DAY.toordinal()}:01",
            f"wb:ana:{BEFORE.toordinal()}:01",
        ]

    def test_pauses_lie_between_them(self) -> None:
        book = next(worker_books(rich(), DAY, START))
        assert values(book, FactKind.PAUSE, "started_at", "ended_at", "duration_s") == [
            (at("10:30"), at("12:00"), 5_400.0)
        ]

    def test_focus_blocks_are_numbered_in_time(self) -> None:
        rows = focus(
            {"started_at": at("11:00"), "ended_at": at("11:30"), "duration_s": 1_790.0, "app": "code"},
            {"started_at": at("09:00"), "ended_at": at("09:40"), "duration_s": 2_400.0, "app": "word"},
        )
        book = only(
            gold(focus_blocks=rows, kpi_daily=kpis(kpi("focus_blocks", 2.0), kpi("focus_s", 4_190.0)))
        )
        assert [fact.fact_id for fact in book.of(FactKind.FOCUS)] == [
            "focus:ana:2024-01-10:1",
            "focus:ana:2024-01-10:2",
        ]
        assert values(book, FactKind.FOCUS, "app", "duration_s") == [("word", 2_400.0), ("code", 1_790.0)]


class TestSlicesAndUsage:
    def test_the_longest_slices_of_the_primary_day(self) -> None:
        book = next(worker_books(rich(), DAY, START, FactRules(slices=1)))
        assert [fact.fact_id for fact in book.of(FactKind.SLICE)] == ["slice:wb:ana:1:00#2"]

    def test_a_page_is_the_url_or_else_the_title(self) -> None:
        rows = [
            {"sequence": 1, "duration_s": 3.0, "url": "https://a.b", "title": "A", "app": "x"},
            {"sequence": 2, "duration_s": 2.0, "title": "B", "app": "x"},
            {"sequence": 3, "duration_s": 1.0, "app": "x"},
        ]
        assert values(only(gold(atomic_slices=slices(*rows))), FactKind.SLICE, "page") == [
            ("https://a.b",),
            ("B",),
            (None,),
        ]

    def test_usage_by_kind_and_rank(self) -> None:
        book = next(worker_books(rich(), DAY, START))
        assert [fact.fact_id for fact in book.of(FactKind.USAGE)] == [
            "usage:ana:2024-01-10:app:1",
            "usage:ana:2024-01-10:url:1",
        ]


class TestManifests:
    def test_goals_are_done_or_open_and_unreported_without_an_evening(self) -> None:
        both = {"goals": ["ship", "rest"], "goals_done": ["ship"]}
        assert values(only(gold(manifests=pairs(both))), FactKind.GOAL, "name", "status") == [
            ("ship", "done"),
            ("rest", "open"),
        ]
        silent = both | {"goals_done": [], "is_eod_missing": True}
        assert values(only(gold(manifests=pairs(silent))), FactKind.GOAL, "status") == [
            ("unreported",),
            ("unreported",),
        ]

    def test_goals_that_read_alike_keep_ids_of_their_own(self) -> None:
        book = only(gold(manifests=pairs({"goals": ["ship", "ship "]})))
        assert [fact.fact_id for fact in book.of(FactKind.GOAL)] == [
            "goal:ana:2024-01-10:1",
            "goal:ana:2024-01-10:2",
        ]

    @pytest.mark.parametrize(
        ("target", "actual", "attainment", "status"),
        [
            (4.0, 4.0, 1.0, "met"),
            (4.0, 3.0, 0.75, "missed"),
            (4.0, None, None, "unreported"),
            (None, 3.0, None, None),
            (0.0, 3.0, None, None),
        ],
    )
    def test_a_target_is_met_from_an_attainment_of_one_on(
        self, target: float | None, actual: float | None, attainment: float | None, status: str | None
    ) -> None:
        book = only(gold(manifests=pairs({"kpis": [declared("Calls", target, actual, attainment)]})))
        assert values(book, FactKind.TARGET, "name", "target", "actual", "status") == [
            ("Calls", target, actual, status)
        ]

    def test_no_more_are_offered_than_the_limit(self) -> None:
        many = {"goals": [f"goal {n}" for n in range(500)], "focus_areas": [f"area {n}" for n in range(500)]}
        book = only(gold(manifests=pairs(many)), FactRules(declared=20))
        assert len(book.of(FactKind.GOAL)) == len(book.of(FactKind.AREA)) == 20

    def test_facts_of_an_artefact_name_its_path(self) -> None:
        (fact,) = only(gold(manifests=pairs({"goals": ["ship"]}))).of(FactKind.GOAL)
        path = "tenants/acme/artifacts/workblock_processing/date=2024-01-10/batch_run6/manifests.parquet"
        assert (fact.table, fact.version) == (path, None)


class TestChat:
    def test_a_message_keeps_its_id_whatever_arrives_later(self) -> None:
        first = message(5, "09:00", "hello there")
        alone = only(gold(chat=chat(first))).of(FactKind.CHAT)
        later = only(gold(chat=chat(first, message(4, "08:00", "earlier")))).of(FactKind.CHAT)
        assert alone[0] in later

    def test_of_too_many_messages_blockers_and_then_the_newest_are_offered_in_order_of_time(self) -> None:
        said = [message(n, f"09:{n:02}", "it is stuck" if n == 3 else "plan") for n in range(20)]
        book = only(gold(chat=chat(*said)), FactRules(messages=3))
        assert values(book, FactKind.CHAT, "occurred_at", "status") == [
            (at("09:03"), "blocker"),
            (at("09:18"), None),
            (at("09:19"), None),
        ]
        assert values(book, FactKind.CHATS, "messages", "conversations", "blockers") == [(20, 1, 1)]

    def test_of_earlier_days_only_blockers_are_offered(self) -> None:
        book = only(
            gold(chat=chat(message(1, "09:00", "plan", BEFORE), message(2, "09:01", "it fails", BEFORE)))
        )
        assert values(book, FactKind.CHAT, "text") == [("it fails",)]
        assert values(book, FactKind.CHATS, "date", "messages") == [(BEFORE, 2)]


class TestDays:
    def test_what_arrived_is_told_of_the_primary_day_and_of_earlier_ones_with_anything(self) -> None:
        book = next(worker_books(rich(), DAY, START))
        told = values(book, FactKind.DAY, "date", "has_telemetry", "has_manifests", "has_chat")
        assert told[:2] == [(DAY, True, True, True), (BEFORE, False, False, True)]

    def test_a_worker_of_whom_nothing_arrived_that_day_is_told_so(self) -> None:
        (day,) = only(gold(kpi_daily=kpis(kpi("active_s", 1.0, START)))).of(FactKind.DAY, DAY)
        assert (day["has_telemetry"], day["has_manifests"], day["has_chat"]) == (False, False, False)

    def test_where_an_artefact_is_not_there_nothing_is_said_of_it(self) -> None:
        frames = gold(kpi_daily=kpis(kpi("active_s", 1.0)), missing={DAY: frozenset({"chat_history"})})
        (day,) = only(frames).of(FactKind.DAY)
        assert (day["has_chat"], day["has_manifests"]) == (None, False)

    def test_of_a_day_that_could_not_be_computed_nothing_is_said(self) -> None:
        failed = pl.DataFrame({"date": [DAY], "user_id": ["ana"]})
        (day,) = only(gold(incomplete=failed)).of(FactKind.DAY)
        assert (day["is_incomplete"], day["has_telemetry"], day["has_chat"]) == (True, None, None)


class TestZone:
    def test_the_organisations_newest_that_is_one_else_the_tenants(self) -> None:
        told = jobs(
            {"time_zone": "Europe/Rome", "date": START},
            {"time_zone": "Asia/Tokyo", "date": BEFORE},
            {"time_zone": "Nowhere/At_All", "date": DAY},
        )
        measured = kpis(kpi("active_s", 1.0))
        assert only(gold(kpi_daily=measured, jobs=told)).zone == "Asia/Tokyo"
        assert only(gold(kpi_daily=measured, tenant_zone="Europe/Paris")).zone == "Europe/Paris"
