"""One base error with its HTTP status and a stable code, so that every surface reports it the same way.

`Terminal` errors never succeed on a retry, `Transient` ones may: a push endpoint acknowledges the first
(after quarantine) and answers 503 to the second, a command exits with the message and its remedy.
"""

from __future__ import annotations


class CoworkError(Exception):
    """Base of every error the product raises on purpose.

    `code` is stable and machine-readable, `status` the HTTP status it maps to, `remedy` what to do about it.
    Messages never hold telemetry content.
    """

    code = "internal"
    status = 500

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class Terminal(CoworkError):
    """Will fail again however often it is tried."""

    code = "invalid"
    status = 400


class Transient(CoworkError):
    """May succeed later: retried with back-off, then surfaced."""

    code = "unavailable"
    status = 503


class NotFound(Terminal):
    code = "not_found"
    status = 404


class Unauthenticated(Terminal):
    code = "unauthenticated"
    status = 401


class Forbidden(Terminal):
    code = "forbidden"
    status = 403


class StorageUnavailable(Transient):
    """Object storage, a Delta table or the control-plane store did not answer."""

    code = "storage_unavailable"


class Overloaded(Transient):
    """Too much is in flight; the sender should back off."""

    code = "overloaded"
    status = 503


class LeaseLost(Transient):
    """Another runner holds the tenant's lease; this one's work is discarded."""

    code = "lease_lost"
    status = 409


class AccountingError(Terminal):
    """An accounting identity does not hold (domain, section 3); the run fails and publishes nothing."""

    code = "accounting_broken"
    status = 500


class SettingsError(Terminal):
    """A setting is missing or contradicts another one; the service does not start."""

    code = "bad_settings"
    status = 500
