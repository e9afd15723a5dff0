"""Logs, traces and metrics of a service.

Logs are one JSON object a line in Cloud Logging's field names. Invariant: no telemetry content in a log. An
exception is logged as its type and the lines it passed through; its message only when it is one of ours,
which never hold content. Records of other libraries keep their template, not its arguments.

Trace context travels in message attributes (W3C `traceparent`), so one trace leads from a push to Gold.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime

import msgspec
from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from coworkai.common.errors import CoworkError
from coworkai.common.settings import CommonSettings, LogFormat

LogValue = str | int | float | bool | Mapping[str, "LogValue"] | list["LogValue"] | None

_NAMESPACE = "coworkai"
_PROPAGATOR = TraceContextTextMapPropagator()
_SEVERITY = {logging.CRITICAL: "CRITICAL", logging.ERROR: "ERROR", logging.WARNING: "WARNING"}
_TRUSTED = ("coworkai", "uvicorn")
"""Loggers whose formatted messages hold no content: ours, and addresses and signals of the server."""


# --------------------------------------------------------------------------------------------- logs


class Logger:
    """Structured logger: a constant message and named fields.

    `error` adds the exception's type and the lines it passed through, never its message (unless it is ours).
    """

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, message: str, *, error: BaseException | None = None, **fields: LogValue) -> None:
        self._log(logging.DEBUG, message, error, fields)

    def info(self, message: str, *, error: BaseException | None = None, **fields: LogValue) -> None:
        self._log(logging.INFO, message, error, fields)

    def warning(self, message: str, *, error: BaseException | None = None, **fields: LogValue) -> None:
        self._log(logging.WARNING, message, error, fields)

    def error(self, message: str, *, error: BaseException | None = None, **fields: LogValue) -> None:
        self._log(logging.ERROR, message, error, fields)

    def exception(self, message: str, **fields: LogValue) -> None:
        """An error with the exception that is being handled."""
        self._log(logging.ERROR, message, sys.exc_info()[1], fields)

    def critical(self, message: str, *, error: BaseException | None = None, **fields: LogValue) -> None:
        self._log(logging.CRITICAL, message, error, fields)

    def _log(
        self, level: int, message: str, error: BaseException | None, fields: Mapping[str, LogValue]
    ) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", message, exc_info=error, extra={"fields": fields})


def get_logger(name: str) -> Logger:
    """Logger for a module: `log = get_logger(__name__)`; `log.info("committed", rows=20)`."""
    return Logger(name if name.startswith(_NAMESPACE) else f"{_NAMESPACE}.{name}")


class JsonFormatter(logging.Formatter):
    """One JSON object in Cloud Logging's special fields, with the current trace and span."""

    def __init__(self, service: str, project: str) -> None:
        super().__init__()
        self._service = service
        self._project = project

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "severity": _SEVERITY.get(record.levelno, "INFO" if record.levelno >= logging.INFO else "DEBUG"),
            "message": _message(record),
            "time": _time(record),
            "logging.googleapis.com/labels": {"service": self._service, "logger": record.name},
        }
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            entry["logging.googleapis.com/trace"] = f"projects/{self._project}/traces/{span.trace_id:032x}"
            entry["logging.googleapis.com/spanId"] = f"{span.span_id:016x}"
            entry["logging.googleapis.com/trace_sampled"] = span.trace_flags.sampled
        entry |= {name: value for name, value in _fields(record).items() if name not in entry}
        if (error := _error(record)) is not None:
            entry["error"] = error
        return msgspec.json.encode(entry, enc_hook=str).decode()


class TextFormatter(logging.Formatter):
    """One line for a terminal: time, severity, service, message, fields."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        line = f"{_time(record)} {record.levelname:<7} {self._service} {_message(record)}{fields}"
        if (error := _error(record)) is not None:
            line += "".join(f"\n  {name}: {value}" for name, value in error.items())
        return line


def _message(record: logging.LogRecord) -> str:
    if record.name.partition(".")[0] not in _TRUSTED:
        return str(record.msg).partition("\n")[0]
    message = record.getMessage().rstrip()
    if "\n" not in message:
        return message
    # The server logs an app that fails to start as a whole traceback: keep its type, and our own messages.
    last = message.rpartition("\n")[2]
    return last if last.startswith(f"{_NAMESPACE}.") else last.partition(":")[0]


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> Mapping[str, LogValue]:
    fields: Mapping[str, LogValue] = getattr(record, "fields", {})
    return fields


def _error(record: logging.LogRecord) -> dict[str, object] | None:
    if not record.exc_info or record.exc_info[1] is None:
        return None
    return describe_error(record.exc_info[1])


def describe_error(error: BaseException) -> dict[str, object]:
    """Type, place and cause of an exception without its message; with it when the exception is ours."""
    frames = traceback.extract_tb(error.__traceback__)
    described: dict[str, object] = {
        "type": f"{type(error).__module__}.{type(error).__qualname__}",
        "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }
    if isinstance(error, CoworkError):
        described["message"] = error.message
    if isinstance(error, BaseExceptionGroup):
        described["errors"] = [describe_error(inner) for inner in error.exceptions]
    if (cause := error.__cause__) is not None:
        described["cause"] = describe_error(cause)
    return described


# --------------------------------------------------------------------------------------------- set-up


def setup(service: str, settings: CommonSettings) -> None:
    """Direct this process's logs, traces and metrics; once, at the start of a service.

    Logs go to stdout. Metrics are served by `prometheus_text`; with `otlp_endpoint`, traces and metrics are
    also sent there.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        JsonFormatter(service, settings.project)
        if settings.log_format is LogFormat.JSON
        else TextFormatter(service)
    )
    logging.basicConfig(handlers=[handler], level=settings.log_level, force=True)
    for chatty in ("httpx", "httpcore", "google", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.WARNING)

    resource = Resource.create({"service.name": service, "service.namespace": _NAMESPACE})
    tracer_provider = TracerProvider(resource=resource)
    readers: list[MetricReader] = [PrometheusMetricReader()]
    if settings.otlp_endpoint is not None:
        # A fifth of a second to import, for those who use it.
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        base = settings.otlp_endpoint.rstrip("/")
        tracer_provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{base}/v1/traces")))
        readers.append(PeriodicExportingMetricReader(OTLPMetricExporter(f"{base}/v1/metrics")))
    trace.set_tracer_provider(tracer_provider)
    metrics.set_meter_provider(MeterProvider(metric_readers=readers, resource=resource))


def shutdown() -> None:
    """Send what is still buffered; the last thing a service does."""
    tracer_provider = trace.get_tracer_provider()
    if isinstance(tracer_provider, TracerProvider):
        tracer_provider.shutdown()
    meter_provider = metrics.get_meter_provider()
    if isinstance(meter_provider, MeterProvider):
        meter_provider.shutdown()


# --------------------------------------------------------------------------------------------- emitting


def tracer() -> trace.Tracer:
    return trace.get_tracer(_NAMESPACE)


def meter() -> metrics.Meter:
    return metrics.get_meter(_NAMESPACE)


def inject(attributes: MutableMapping[str, str], context: Context | None = None) -> None:
    """Write the current trace context (or `context`) into message attributes."""
    _PROPAGATOR.inject(attributes, context=context)


def extract(attributes: Mapping[str, str]) -> Context:
    """The trace context of message attributes; an empty one where they carry none."""
    return _PROPAGATOR.extract(attributes)


def prometheus_text() -> tuple[bytes, str]:
    """The process's metrics in Prometheus's text format, and its content type."""
    return generate_latest(), CONTENT_TYPE_LATEST
