"""Anomalies of telemetry health, computed when read (docs/domain.md section 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from coworkai.common.health_anomalies import DEFAULT_RULES, MEASURES, AnomalyRules, health_anomalies
from coworkai.common.tables import SILVER_HEALTH

TODAY = date(2024, 2, 1)


def rows(values: Sequence[Mapping[str, Any]], last: date = TODAY, **fields: Any) -> list[dict[str, Any]]:
    """One row a day, the last on `last`."""
    return [
        {
            "tenant_id": "acme",
            "user_id": "ann",
            "device_id": "laptop",
            "source": "activities",
            "records": 100,
            "duplicates": 0,
            "quarantined": 0,
            "late_records": 0,
            "drift_fields": [],
            **fields,
            **value,
            "date": last - timedelta(days=len(values) - 1 - number),
        }
        for number, value in enumerate(values)
    ]


def flags(*records: list[dict[str, Any]], rules: AnomalyRules = DEFAULT_RULES) -> pl.DataFrame:
    frame = pl.DataFrame([row for part in records for row in part], schema=SILVER_HEALTH.schema)
    return health_anomalies(frame, [TODAY], rules)


def flag(found: pl.DataFrame, measure: str, **keys: Any) -> dict[str, Any]:
    keys = {"user_id": "ann", "source": "activities", "measure": measure, **keys}
    [row] = found.filter(pl.col(name) == value for name, value in keys.items()).to_dicts()
    return row


def test_a_day_far_from_the_workers_own_weeks_is_an_anomaly() -> None:
    values = [{"records": 100 + n % 5} for n in range(28)] + [{"records": 10}]
    row = flag(flags(rows(values)), "records")
    assert (row["value"], row["median_28d"], row["mad_28d"], row["days_28d"]) == (10.0, 102.0, 1.0, 28)
    assert row["mad_z"] == pytest.approx((10 - 102) / (102 * 0.05))
    assert row["is_anomaly"]


def test_the_day_itself_and_days_before_the_weeks_are_no_baseline() -> None:
    values = [{"records": 900}] * 3 + [{"records": 100}] * 28 + [{"records": 500}]
    row = flag(flags(rows(values)), "records")
    assert (row["median_28d"], row["days_28d"]) == (100.0, 28)


def test_a_short_history_flags_nothing() -> None:
    week = [{"records": 100}] * 6 + [{"records": 1}]
    assert not flag(flags(rows(week)), "records")["is_anomaly"]
    assert flag(flags(rows([{"records": 100}, *week])), "records")["is_anomaly"]
    first = flag(flags(rows([{"records": 1}])), "records")
    assert (first["median_28d"], first["mad_z"], first["is_anomaly"]) == (None, None, False)


def test_duplicates_after_weeks_without_any_are_flagged_but_a_few_are_not() -> None:
    for today, expected in ((3, False), (4, True)):
        values = [{"duplicates": 0}] * 20 + [{"duplicates": today}]
        assert flag(flags(rows(values)), "duplicates")["is_anomaly"] is expected


def test_other_people_do_not_matter() -> None:
    mine = rows([{"records": 100}] * 20)
    theirs = rows([{"records": 5}] * 20, user_id="bob")
    alone = flags(mine)
    assert flags(mine, theirs).filter(pl.col("user_id") == "ann").equals(alone)


def test_a_missing_source_is_compared_with_the_days_it_sent() -> None:
    sent = rows([{}] * 20, last=TODAY - timedelta(days=1))
    missing = rows([{"records": 0}], device_id=None, is_missing=True)
    row = flag(flags(sent, missing), "records")
    assert (row["value"], row["median_28d"], row["is_anomaly"]) == (0.0, 100.0, True)


def test_devices_make_one_value_the_worst_of_skew_delay_gap_and_drift_the_best_of_coverage() -> None:
    laptop = rows([{"clock_skew_s": -9.0, "delay_s": 5.0, "coverage": 0.5, "longest_gap_s": 1.0}])
    phone = rows([{"clock_skew_s": 8.0, "delay_s": 60.0, "coverage": 0.1}], device_id="phone")
    found = flags(laptop, phone)
    expected = {
        "records": 200.0,
        "clock_skew_s": -9.0,
        "delay_s": 60.0,
        "coverage": 0.5,
        "overlapped_s": None,
    }
    assert {name: flag(found, name)["value"] for name in expected} == expected


def test_rows_of_nobody_have_no_weeks_to_compare_with() -> None:
    assert flags(rows([{}] * 20, user_id=None)).is_empty()


def test_there_is_one_row_for_every_measure_whatever_the_order_of_rows() -> None:
    history = rows([{"records": n} for n in range(40)])
    found = flags(history)
    assert found["measure"].to_list() == sorted(MEASURES)
    assert flags(history[::-1]).equals(found)


def test_the_numbers_are_settings() -> None:
    values = [{"records": 50}] * 20 + [{"records": 100}] * 5 + [{"records": 120}]
    rules = AnomalyRules(baseline_days=5, min_days=5, threshold=3.9)
    assert flag(flags(rows(values), rules=rules), "records")["is_anomaly"]
    assert not flag(
        flags(rows(values), rules=AnomalyRules(baseline_days=5, min_days=6, threshold=3.9)), "records"
    )["is_anomaly"]
