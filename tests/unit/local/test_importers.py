"""Other trackers' exports keep their times to the microsecond, and what is no export is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from tests.factories import at

from coworkai.common.errors import Terminal
from coworkai.common.events import Activity, DevicePosture, Source
from coworkai.local.importers import UnknownFormat, activitywatch, rescuetime

DATA = Path(__file__).parents[2] / "data"
ANDROID = DATA / "activitywatch-android.json"


def records(out: Path, source: Source) -> list[dict[str, str]]:
    return [json.loads(line) for line in (out / f"{source}.ndjson").read_bytes().splitlines()]


def activities(out: Path) -> list[Activity]:
    return [
        msgspec.convert({k: v for k, v in record.items() if k != "_device_id"}, Activity)
        for record in records(out, Source.ACTIVITIES)
    ]


def postures(out: Path) -> list[DevicePosture]:
    return [
        msgspec.convert({k: v for k, v in record.items() if k != "_device_id"}, DevicePosture)
        for record in records(out, Source.DEVICE_POSTURE)
    ]


Write = Callable[[str, object], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file: text as it is, anything else as JSON."""

    def write(name: str, content: object) -> Path:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return write


def bucket(kind: str, *events: Mapping[str, object], name: str = "") -> dict[str, object]:
    return {"id": name or f"aw-{kind}", "type": kind, "hostname": "desk-1", "events": list(events)}


def event(start: str, seconds: float, **data: object) -> dict[str, object]:
    return {"timestamp": f"2026-03-02T{start}+00:00", "duration": seconds, "data": data}


# ----------------------------------------------------------------------------------------- ActivityWatch
def test_intervals_of_a_real_phone_are_carried_over_to_the_microsecond(tmp_path: Path) -> None:
    export = json.loads(ANDROID.read_text(encoding="utf-8"))
    events = export["buckets"]["aw-watcher-android-test"]["events"]
    counts = activitywatch.convert([ANDROID], tmp_path, "phone-owner")
    assert counts.records == {Source.ACTIVITIES: 60, Source.DEVICE_POSTURE: 4}
    wanted = sorted(
        (start, start + timedelta(microseconds=round(item["duration"] * 1e6)))
        for item in events
        for start in [datetime.fromisoformat(item["timestamp"])]
    )
    found = activities(tmp_path)
    assert sorted((record.start, record.end) for record in found) == wanted
    assert len({record.event_id for record in found}) == 60
    assert {record.user_id for record in found} == {"phone-owner"}


def test_a_phone_app_is_its_package_and_an_unlock_is_evidence_of_presence(tmp_path: Path) -> None:
    activitywatch.convert([ANDROID], tmp_path, None)
    first = activities(tmp_path)[0]
    assert (first.exec.count("."), first.os, first.user_id) == (2, "android", "unknown")
    assert all(record.idle_s == 0 and not record.locked for record in postures(tmp_path))


def test_importing_an_export_again_gives_the_same_bytes(tmp_path: Path) -> None:
    written = []
    for _ in range(2):
        activitywatch.convert([ANDROID], tmp_path, None)
        written.append([path.read_bytes() for path in sorted(tmp_path.iterdir())])
    assert written[0] == written[1]


def test_nanoseconds_are_rounded_to_microseconds(write: Write, tmp_path: Path) -> None:
    item = {"timestamp": "2026-03-02T09:00:00.123456789Z", "duration": 1.0000004, "data": {"app": "code"}}
    activitywatch.convert([write("aw.json", bucket("currentwindow", item))], tmp_path, None)
    (record,) = activities(tmp_path)
    assert record.start.microsecond == 123457
    assert record.end - record.start == timedelta(seconds=1)


FIREFOX = "aw-watcher-web-firefox"
WINDOW = event("09:00:00", 60, app="code.exe", title="main.py")


@pytest.mark.parametrize(
    "export",
    [
        {"buckets": {"a": bucket("currentwindow", WINDOW)}},
        {"buckets": [bucket("currentwindow", WINDOW)]},
        bucket("currentwindow", WINDOW),
        [bucket("currentwindow", WINDOW)],
        [WINDOW],
    ],
    ids=["server", "server with a list", "bucket", "buckets", "events"],
)
def test_every_shape_of_export_is_read(export: object, write: Write, tmp_path: Path) -> None:
    activitywatch.convert([write("aw.json", export)], tmp_path, "ana")
    (record,) = activities(tmp_path)
    assert (record.exec, record.title, record.os) == ("code.exe", "main.py", "windows")
    assert (record.start, record.end) == (at("09:00", _day), at("09:01", _day))


_day = date(2026, 3, 2)


def test_a_browser_window_gets_the_address_of_its_tab_and_keeps_its_times(
    write: Write, tmp_path: Path
) -> None:
    export = {
        "buckets": {
            "w": bucket(
                "currentwindow",
                event("09:00:00", 60, app="Google Chrome", title="Docs"),
                event("09:01:00", 60, app="code", title="main.py"),
                event("09:02:00", 0, app="chrome.exe", title="News"),
            ),
            "t": bucket(
                "web.tab.current",
                event("08:59:00", 70, url="https://a.example/", title="Mail"),
                event("09:00:10", 130, url="https://b.example/", title="Docs"),
                name="aw-watcher-web-chrome_desk-1",
            ),
        }
    }
    activitywatch.convert([write("aw.json", export)], tmp_path, None)
    found = activities(tmp_path)
    assert [record.url for record in found] == ["https://b.example/", None, "https://b.example/"]
    assert [(record.end - record.start).total_seconds() for record in found] == [60, 60, 0]


def test_tabs_of_another_browser_give_no_address(write: Write, tmp_path: Path) -> None:
    export = [
        bucket("currentwindow", event("09:00:00", 60, app="Google Chrome", title="x")),
        bucket("web.tab.current", event("09:00:00", 60, url="https://a.example/"), name=FIREFOX),
    ]
    activitywatch.convert([write("aw.json", export)], tmp_path, None)
    assert [record.url for record in activities(tmp_path)] == [None]


def test_tabs_without_windows_are_activities_but_never_private_ones(write: Write, tmp_path: Path) -> None:
    tabs = bucket(
        "web.tab.current",
        event("09:00:00", 60, url="https://a.example/", title="A"),
        event("09:01:00", 60, url="https://secret.example/", title="S", incognito=True),
        name=FIREFOX,
    )
    counts = activitywatch.convert([write("aw.json", tabs)], tmp_path, None)
    (record,) = activities(tmp_path)
    assert (record.exec, record.url) == ("firefox", "https://a.example/")
    assert counts.skipped == {"incognito": 1}


def test_away_stretches_become_idle_evidence_of_their_exact_length(write: Write, tmp_path: Path) -> None:
    afk = bucket(
        "afkstatus", event("09:00:00", 600.25, status="afk"), event("09:10:00.250", 60, status="not-afk")
    )
    activitywatch.convert([write("aw.json", afk)], tmp_path, None)
    away, back = postures(tmp_path)
    assert (away.at, away.idle_s) == (at("09:10:00.250", _day), 600.25)
    assert back.idle_s == 0
    assert away.device_id == "desk-1"


def test_a_bucket_of_an_unknown_type_is_skipped_and_counted(write: Write, tmp_path: Path) -> None:
    export = [bucket("app.editor.activity", event("09:00:00", 1)), bucket("currentwindow", WINDOW)]
    counts = activitywatch.convert([write("aw.json", export)], tmp_path, None)
    assert counts.skipped == {"bucket type app.editor.activity": 1}
    assert counts.records == {Source.ACTIVITIES: 1}


def test_events_equal_in_all_stay_several(write: Write, tmp_path: Path) -> None:
    path = write("aw.json", [WINDOW, WINDOW])
    activitywatch.convert([path], tmp_path, None)
    assert len({record.event_id for record in activities(tmp_path)}) == 2


@pytest.mark.parametrize(
    "content", ["", "not json", "{}", '{"buckets": 3}', '{"buckets":{"a":{"type":"x"}}}', "[1]"]
)
def test_what_is_no_activitywatch_export_is_refused_with_a_remedy(
    content: str, write: Write, tmp_path: Path
) -> None:
    with pytest.raises(UnknownFormat) as refused:
        activitywatch.convert([write("aw.json", content)], tmp_path / "out", None)
    assert refused.value.remedy


# -------------------------------------------------------------------------------------------- RescueTime
HISTORY = '''\
2026-03-02 09:00:00 -0800,Visual Studio Code,main.py - fleet,Software Development,Editing & IDEs,1500
2026-03-02 09:00:00 -0800,github.com,"Pull request, ""routing""",Software Development,General,1800
2026-03-02 09:00:00 -0800,Phone Call,No Details,Communication,Voice,900
2026-03-02 10:00:00 -0800,github.com,No Details,Software Development,General,60
'''


def test_history_rows_are_laid_end_to_end_within_their_hour(write: Write, tmp_path: Path) -> None:
    counts = rescuetime.convert([write("rescuetime-activity-history.csv", HISTORY)], tmp_path, "ana")
    assert counts.records == {Source.ACTIVITIES: 4}
    code, site, call, later = activities(tmp_path)
    assert (code.start, code.end) == (at("17:00", _day), at("17:25", _day))
    assert (site.start, site.end) == (at("17:25", _day), at("17:55", _day))
    assert (call.start, call.end) == (at("17:00", _day), at("17:15", _day))
    assert later.start == at("18:00", _day)


def test_a_site_is_a_page_of_a_browser_and_missing_details_are_no_title(write: Write, tmp_path: Path) -> None:
    rescuetime.convert([write("h.csv", HISTORY)], tmp_path, None)
    code, site, call, _ = activities(tmp_path)
    assert (site.exec, site.url, site.title) == ("browser", "https://github.com/", 'Pull request, "routing"')
    assert (code.exec, code.url, code.title) == ("Visual Studio Code", None, "main.py - fleet")
    assert call.title == "Phone Call"


def test_analytic_data_is_read_in_the_accounts_zone_by_five_minutes(write: Write, tmp_path: Path) -> None:
    table = (
        "\ufeffDate,Time Spent (seconds),Number of People,Activity,Document,Category,Productivity\n"
        "2026-03-02T08:05:00,200,1,github.com,Pulls,General Software Development,2\n"
        "2026-03-02T08:05:00,90,1,Slack,,Instant Message,0\n"
        "2026-03-02T08:10:00,300,1,Slack,,Instant Message,0\n"
    )
    rescuetime.convert([write("data.csv", table)], tmp_path, None, time_zone="Europe/Berlin")
    found = activities(tmp_path)
    assert [record.start for record in found] == [at("07:05", _day), at("07:08:20", _day), at("07:10", _day)]
    assert [(record.end - record.start).total_seconds() for record in found] == [200, 90, 300]


def test_overlapping_exports_give_the_same_identities(write: Write, tmp_path: Path) -> None:
    paths = [write("one.csv", HISTORY), write("two.csv", HISTORY)]
    rescuetime.convert(paths, tmp_path / "out", None)
    assert len({record.event_id for record in activities(tmp_path / "out")}) == 4


def test_an_unreadable_row_is_skipped_and_counted(write: Write, tmp_path: Path) -> None:
    counts = rescuetime.convert([write("h.csv", HISTORY + "2026-03-02,cut off\n")], tmp_path, None)
    assert counts.skipped == {"unreadable row": 1}
    assert counts.records == {Source.ACTIVITIES: 4}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "a,b,c\n1,2,3\n",
        "Rank,Time Spent (seconds),Number of People,Activity,Category,Productivity\n1,20,1,x,y,2\n",
        "Date,Time Spent (seconds),Number of People,Activity\n2026-03-02T00:00:00,20000,1,x\n",
    ],
    ids=["empty", "another table", "a ranking", "by the day"],
)
def test_what_does_not_say_when_is_refused_with_a_remedy(content: str, write: Write, tmp_path: Path) -> None:
    with pytest.raises(UnknownFormat) as refused:
        rescuetime.convert([write("x.csv", content)], tmp_path / "out", None)
    assert refused.value.remedy


@pytest.mark.parametrize("zone", ["Atlantis/City", "", "../etc/passwd", "Europe"])
def test_a_zone_that_does_not_exist_is_refused(zone: str, write: Write, tmp_path: Path) -> None:
    with pytest.raises(Terminal):
        rescuetime.convert([write("h.csv", HISTORY)], tmp_path / "out", None, time_zone=zone)


def test_a_window_log_of_another_tool_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownFormat):
        rescuetime.convert([DATA / "window-log.csv"], tmp_path, None)


def test_a_failed_import_leaves_the_folder_as_it_was(tmp_path: Path, write: Write) -> None:
    good = write("good.json", bucket("currentwindow", event("09:00:00", 60, app="code", title="a")))
    broken = write("broken.json", "no export")
    out = tmp_path / "out"
    with pytest.raises(UnknownFormat):
        activitywatch.convert([good, broken], out, "ana")
    assert list(out.iterdir()) == []
    activitywatch.convert([good], out, "ana")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(UnknownFormat):
        activitywatch.convert([good, broken], out, "ben")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_an_import_says_which_files_with_records_it_replaced(tmp_path: Path, write: Write) -> None:
    export = write("export.json", bucket("currentwindow", event("09:00:00", 60, app="code", title="a")))
    out = tmp_path / "out"
    assert activitywatch.convert([export], out, "ana").replaced == ()
    assert activitywatch.convert([export], out, "ana").replaced == (out / "activities.ndjson",)
