"""Record files to messages: batches of one device, broken lines apart, everything else byte for byte."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from coworkai.common.bus import MAX_DATA_BYTES
from coworkai.common.errors import NotFound, Terminal
from coworkai.common.events import Source
from coworkai.local.bus.publisher import EmbeddedPublisher
from coworkai.local.sender import (
    DEFAULT_DEVICE,
    MAX_BATCH_RECORDS,
    MAX_EMBEDDED_BYTES,
    Outgoing,
    check_sizes,
    messages,
    record_files,
    unknown_files,
)

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def of_lines(folder: Path, *lines: bytes) -> list[Outgoing]:
    path = folder / "activities.ndjson"
    path.write_bytes(b"\n".join(lines) + b"\n")
    return list(messages(Source.ACTIVITIES, path, "acme", lambda: NOW))


def records(outgoing: Outgoing) -> list[object]:
    found: list[object] = json.loads(outgoing.message.data)["records"]
    return found


def test_lines_without_envelope_are_one_batch_sent_now_by_the_local_device(tmp_path: Path) -> None:
    (batch,) = of_lines(tmp_path, b'{"n":1}', b'{"n":2}')
    assert json.loads(batch.message.data) == {
        "tenant_id": "acme",
        "device_id": DEFAULT_DEVICE,
        "collector": "coworkai-send/1",
        "sent_at": "2026-03-02T09:00:00Z",
        "records": [{"n": 1}, {"n": 2}],
    }
    assert batch.message.attributes["tenant_id"] == "acme"
    assert "coworkai-published-at" not in batch.message.attributes


def test_envelope_keys_go_to_the_envelope_and_leave_the_record(tmp_path: Path) -> None:
    line = (
        b'{"n":1.50,"_device_id":"d1","_sent_at":"2026-03-01T08:00:00Z",'
        b'"_published_at":"2026-03-01T08:00:02Z","t":"\\u00e9"}'
    )
    (batch,) = of_lines(tmp_path, line)
    assert b'"records":[{"n":1.50,"t":"\\u00e9"}]' in batch.message.data
    header = json.loads(batch.message.data)
    assert (header["device_id"], header["sent_at"]) == ("d1", "2026-03-01T08:00:00Z")
    assert batch.message.attributes["coworkai-published-at"] == "2026-03-01T08:00:02Z"


def test_a_batch_ends_where_the_device_or_the_time_changes_and_at_500_records(tmp_path: Path) -> None:
    one, other = b'{"_device_id":"a"}', b'{"_device_id":"b"}'
    batches = of_lines(tmp_path, *([one] * (MAX_BATCH_RECORDS + 1)), other, one)
    assert [batch.records for batch in batches] == [MAX_BATCH_RECORDS, 1, 1, 1]


@pytest.mark.parametrize("broken", [b'{"n":', b"not json", b'{"a":1}{"b":2}', b"[" * 5_000])
def test_a_line_that_would_break_its_batch_goes_alone_as_it_is(broken: bytes, tmp_path: Path) -> None:
    alone, batch = of_lines(tmp_path, b'{"n":1}', broken, b'{"n":2}')
    assert alone.message.data == broken
    assert alone.message.attributes["tenant_id"] == "acme"
    assert records(batch) == [{"n": 1}, {"n": 2}]


def test_json_that_is_no_object_stays_in_the_batch_for_ingest_to_judge(tmp_path: Path) -> None:
    (batch,) = of_lines(tmp_path, b'{"n":1}', b"42", b'["x"]', b"null")
    assert records(batch) == [{"n": 1}, 42, ["x"], None]


def test_text_that_is_no_utf8_stays_in_its_batch_byte_for_byte(tmp_path: Path) -> None:
    (batch,) = of_lines(tmp_path, b'{"n":1,"_device_id":"d"}', b'{"n":"caf\xe9","_device_id":"d"}')
    assert b'"records":[{"n":1},{"n":"caf\xe9"}]' in batch.message.data


def test_a_byte_order_mark_is_no_part_of_the_first_record(tmp_path: Path) -> None:
    (batch,) = of_lines(tmp_path, b'\xef\xbb\xbf{"n":1,"_device_id":"d"}', b'{"n":2,"_device_id":"d"}')
    assert records(batch) == [{"n": 1}, {"n": 2}]


def test_empty_lines_are_nothing_and_every_byte_of_the_file_is_accounted_for_otherwise(
    tmp_path: Path,
) -> None:
    batches = of_lines(tmp_path, b'{"n":1}', b"{", b'{"n":2,"_device_id":"d"}')
    assert sum(batch.file_bytes for batch in batches) == (tmp_path / "activities.ndjson").stat().st_size
    assert of_lines(tmp_path, b"", b"  ") == []


def test_a_publish_time_that_is_none_is_left_out(tmp_path: Path) -> None:
    (batch,) = of_lines(tmp_path, b'{"_published_at":"yesterday"}')
    assert "coworkai-published-at" not in batch.message.attributes


def test_a_line_larger_than_a_message_may_be_is_named_without_its_content(tmp_path: Path) -> None:
    with pytest.raises(Terminal, match="line 2") as raised:
        of_lines(tmp_path, b"{}", b'{"t":"' + b"secret" * (MAX_DATA_BYTES // 6 + 1) + b'"}')
    assert "secret" not in str(raised.value)


def test_a_line_that_only_its_envelope_makes_too_large_is_named_too(tmp_path: Path) -> None:
    with pytest.raises(Terminal, match="line 2"):
        of_lines(tmp_path, b"{}", b'{"t":"' + b"x" * (MAX_DATA_BYTES - 10) + b'"}')


def test_sizes_are_checked_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "chat.ndjson").write_bytes(b"{}\n" + b"x" * 20 + b"\n{}\n")
    check_sizes(record_files(tmp_path), max_bytes=20)
    with pytest.raises(Terminal, match=r"chat\.ndjson, line 2: 20 bytes"):
        check_sizes(record_files(tmp_path), max_bytes=19)


def test_on_the_embedded_bus_a_line_that_is_too_large_goes_alone_for_ingest_to_quarantine(
    tmp_path: Path,
) -> None:
    large = b'{"t":"' + b"x" * MAX_DATA_BYTES + b'"}'
    path = tmp_path / "chat.ndjson"
    path.write_bytes(b'{"n":1}\n' + large + b'\n{"n":2}\n')
    sent = list(messages(Source.CHAT, path, "acme", lambda: NOW, MAX_EMBEDDED_BYTES))
    assert [outgoing.records for outgoing in sent] == [1, 1, 1]
    received: list[tuple[int, list[int]]] = []

    def bus(request: httpx.Request) -> httpx.Response:
        sizes = [len(base64.b64decode(each["data"])) for each in json.loads(request.content)["messages"]]
        received.append((len(sizes), sizes))
        return httpx.Response(200, json={"messageIds": ["1"] * len(sizes)})

    publisher = EmbeddedPublisher("http://bus", "local", transport=httpx.MockTransport(bus))
    asyncio.run(publisher.publish_many("telemetry-chat", [outgoing.message for outgoing in sent]))
    assert [count for count, _sizes in received] == [1, 1, 1]
    assert [sizes[0] for _count, sizes in received] == [len(outgoing.message.data) for outgoing in sent]


def test_jobs_are_sent_whole_as_they_are_and_first(tmp_path: Path) -> None:
    content = '\ufeffuser_id,name\r\nana,"A\n""B"""\r\n'.encode()
    (tmp_path / "jobs.csv").write_bytes(content)
    (tmp_path / "chat.ndjson").write_bytes(b"{}\n")
    (tmp_path / "jobs-2026-03-09.csv").write_bytes(content)
    jobs, later_jobs, chat = record_files(tmp_path)
    assert [jobs.path.name, later_jobs.path.name] == ["jobs.csv", "jobs-2026-03-09.csv"]
    assert (jobs.source, later_jobs.source, chat.source) == (Source.JOBS, Source.JOBS, Source.CHAT)
    (outgoing,) = messages(jobs.source, jobs.path, "acme", lambda: NOW)
    assert outgoing.message.data == content
    assert outgoing.message.attributes == {
        "tenant_id": "acme",
        "device_id": DEFAULT_DEVICE,
        "collector": "coworkai-send/1",
        "sent_at": "2026-03-02T09:00:00Z",
    }


def test_a_folder_without_record_files_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no record files"):
        record_files(tmp_path)


def test_files_that_look_like_record_files_under_another_name_are_told_apart(tmp_path: Path) -> None:
    known = ["chat.ndjson", "device-posture.ndjson", "jobs.csv", "jobs-2026-03-09.csv"]
    for name in [*known, "keystroke.ndjson", "Jobs.csv", "readme.md", ".chat.ndjson"]:
        (tmp_path / name).touch()
    (tmp_path / "folder.csv").mkdir()
    assert [path.name for path in unknown_files(tmp_path)] == ["Jobs.csv", "keystroke.ndjson"]
