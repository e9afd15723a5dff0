"""Usage statistics: names, ties, domains, shares (docs/domain.md, section 4)."""

from __future__ import annotations

import pytest
from tests.doubles.reference_rules import Activity, Keystrokes
from tests.unit.runner.stage1.frames import activity, at, keys, stage1_of

from coworkai.runner.stage1.usage import registrable_domain


def top(
    kind: str, activities: list[Activity], keystrokes: list[Keystrokes] | None = None
) -> list[tuple[object, ...]]:
    usage = stage1_of(activities, keystrokes or []).usage_statistics.filter(kind=kind)
    return usage.select("rank", "name", "duration_s", "day_share").rows()


def test_the_longest_used_comes_first_with_its_share_of_the_day() -> None:
    assert top("app", [activity("code", "09:00", "09:30"), activity("chrome", "09:30", "09:40")]) == [
        (1, "code", 1800, 0.75),
        (2, "chrome", 600, 0.25),
    ]


def test_ties_are_in_order_of_name() -> None:
    names = [
        name
        for _, name, _, _ in top(
            "app", [activity(app, f"09:{n}0", f"09:{n}9") for n, app in enumerate("cab")]
        )
    ]
    assert names == ["a", "b", "c"]


def test_only_the_top_ten_are_listed() -> None:
    many = [
        activity(f"app{n:02d}", f"{9 + n // 6:02d}:{n % 6}0", f"{9 + n // 6:02d}:{n % 6}9") for n in range(12)
    ]
    assert [rank for rank, *_ in top("app", many)] == list(range(1, 11))


def test_a_domain_adds_up_its_hosts_and_addresses() -> None:
    pages = [
        activity("chrome", "09:00", "09:10", url="https://news.bbc.co.uk/a?b#c"),
        activity("chrome", "09:10", "09:20", url="http://user@www.BBC.co.uk:8080/x"),
        activity("chrome", "09:20", "09:25", url="about:blank"),
        activity("chrome", "09:25", "09:30", title="no address"),
    ]
    assert top("domain", pages) == [(1, "bbc.co.uk", 1200, pytest.approx(2 / 3))]
    assert len(top("url", pages)) == 3


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("www.example.com", "example.com"),
        ("Example.COM.", "example.com"),
        ("a.b.co.uk", "b.co.uk"),
        ("me.github.io", "me.github.io"),
        ("co.uk", "co.uk"),
        ("localhost", "localhost"),
        ("192.168.0.1", "192.168.0.1"),
        ("[::1]", "[::1]"),
        ("wiki.corp.internal", "corp.internal"),
        ("<ip:0123456789abcdef01234567>", "<ip:0123456789abcdef01234567>"),
    ],
)
def test_the_domain_is_the_part_that_can_be_registered(host: str, domain: str) -> None:
    assert registrable_domain(host) == domain


def test_overlapping_synthetic_activities_of_a_name_count_once() -> None:
    """chrome and firefox are both at example.org from 09:00 to 09:06."""
    typed = [
        keys(app, f"09:0{minute}", url="https://example.org/")
        for app in ("chrome", "firefox")
        for minute in range(6)
    ]
    assert top("domain", [], typed) == [(1, "example.org", 360, 1)]
    assert top("app", [], typed) == [(1, "chrome", 360, 1), (2, "firefox", 360, 1)]


def test_noise_is_no_usage() -> None:
    assert top("app", [activity("code", "09:00", "09:30"), activity("chrome", "11:00", "11:01")]) == [
        (1, "code", 1800, 1)
    ]


def test_each_day_has_its_own_shares() -> None:
    usage = stage1_of(
        [
            activity("code", "2024-03-11 09:00", "2024-03-11 10:00"),
            activity("code", "2024-03-12 09:00", "2024-03-12 09:30"),
        ]
    ).usage_statistics
    assert usage.select("date", "rank", "duration_s", "day_share").rows() == [
        (at("09:00").date(), 1, 3600, 1),
        (at("2024-03-12 09:00").date(), 1, 1800, 1),
    ]
