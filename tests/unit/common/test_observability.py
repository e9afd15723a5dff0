"""Logs in Cloud Logging's fields, without telemetry content; trace context through message attributes."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from coworkai.common.errors import StorageUnavailable
from coworkai.common.observability import JsonFormatter, TextFormatter, extract, get_logger, inject

SECRET = "alice@example.com typed hunter2"


def fail() -> None:
    raise ValueError(SECRET)


def fail_because_of_a_failure() -> None:
    try:
        fail()
    except ValueError as error:
        raise KeyError(SECRET) from error


class Captured(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.setFormatter(JsonFormatter("ingest", "acme"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    @property
    def last(self) -> dict[str, Any]:
        entry: dict[str, Any] = json.loads(self.lines[-1])
        return entry


@pytest.fixture
def captured(caplog: pytest.LogCaptureFixture) -> Captured:
    handler = Captured()
    logging.getLogger().addHandler(handler)
    # First, for it remembers the handler's level, and gives it back after the test.
    caplog.set_level(logging.DEBUG)
    caplog.handler.setLevel(logging.CRITICAL)
    return handler


@pytest.fixture(autouse=True)
def _detach() -> Any:
    before = list(logging.getLogger().handlers)
    yield
    logging.getLogger().handlers[:] = before


def test_a_log_line_has_cloud_loggings_fields_and_ours(captured: Captured) -> None:
    get_logger("ingest.bronze").info("committed", table="bronze/chat", rows=20)
    entry = captured.last
    assert entry["severity"] == "INFO"
    assert entry["message"] == "committed"
    assert entry["time"].endswith("Z")
    assert entry["logging.googleapis.com/labels"] == {
        "service": "ingest",
        "logger": "coworkai.ingest.bronze",
    }
    assert (entry["table"], entry["rows"]) == ("bronze/chat", 20)


def test_a_field_cannot_replace_one_of_the_lines_own(captured: Captured) -> None:
    get_logger("x").info("kept", severity="NONE")
    assert captured.last["severity"] == "INFO"


def test_a_log_line_inside_a_span_names_its_trace(captured: Captured) -> None:
    with TracerProvider().get_tracer("test").start_as_current_span("push") as span:
        get_logger("x").warning("slow")
    context = span.get_span_context()
    assert captured.last["logging.googleapis.com/trace"] == f"projects/acme/traces/{context.trace_id:032x}"
    assert captured.last["logging.googleapis.com/spanId"] == f"{context.span_id:016x}"


def test_a_foreign_exception_is_logged_without_its_message(captured: Captured) -> None:
    try:
        fail_because_of_a_failure()
    except KeyError:
        get_logger("x").exception("failed")
    assert SECRET not in captured.lines[-1]
    assert captured.last["error"]["type"] == "builtins.KeyError"
    assert captured.last["error"]["cause"]["type"] == "builtins.ValueError"
    assert "test_observability.py" in captured.last["error"]["frames"][0]


def test_an_exception_of_ours_is_logged_with_its_message(captured: Captured) -> None:
    get_logger("x").error("failed", error=StorageUnavailable("bronze/chat could not be opened"))
    assert captured.last["error"]["message"] == "bronze/chat could not be opened"


def test_other_libraries_keep_their_template_and_lose_their_arguments(captured: Captured) -> None:
    logging.getLogger("asyncio").error(f"Task failed\nfuture: <Task exception=ValueError('{SECRET}')>")
    logging.getLogger("somelib").error("bad value: %s", SECRET)
    assert json.loads(captured.lines[-2])["message"] == "Task failed"
    assert json.loads(captured.lines[-1])["message"] == "bad value: %s"
    assert SECRET not in "".join(captured.lines)


def test_an_app_that_does_not_start_tells_its_reason_only_when_it_is_ours(captured: Captured) -> None:
    server = logging.getLogger("uvicorn.error")
    server.error("Traceback (most recent call last):\n  File x\nValueError: " + SECRET)
    assert captured.last["message"] == "ValueError"
    server.error("Traceback:\n  File x\ncoworkai.common.errors.SettingsError: no key")
    assert captured.last["message"] == "coworkai.common.errors.SettingsError: no key"


def test_text_lines_hold_the_same_without_content() -> None:
    try:
        fail()
    except ValueError as error:
        record = logging.LogRecord(
            "coworkai.x", logging.ERROR, __file__, 1, "%s", ("failed",), (ValueError, error, None)
        )
    record.fields = {"rows": 3}
    line = TextFormatter("runner").format(record)
    assert "failed rows=3" in line
    assert "builtins.ValueError" in line
    assert SECRET not in line


def test_trace_context_travels_in_message_attributes() -> None:
    attributes: dict[str, str] = {"tenant_id": "acme"}
    with TracerProvider().get_tracer("test").start_as_current_span("push") as span:
        inject(attributes)
    far_side = trace.get_current_span(extract(attributes)).get_span_context()
    assert far_side.trace_id == span.get_span_context().trace_id
    assert far_side.is_remote
    assert not trace.get_current_span(extract({})).get_span_context().is_valid
