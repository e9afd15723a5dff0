"""The control store: its tables (`schema`), the database that holds them, and the control plane over both."""

from coworkai.common.control.control import (
    FIRST_RETRY,
    INGEST_KEY_PREFIX,
    LAST_RETRY,
    LLM_CALL_LOST,
    Capture,
    Control,
    DirtyDay,
    Identity,
    Lane,
    Lease,
    Spend,
    Stage,
    Tenant,
)
from coworkai.common.control.database import Database

__all__ = [
    "FIRST_RETRY",
    "INGEST_KEY_PREFIX",
    "LAST_RETRY",
    "LLM_CALL_LOST",
    "Capture",
    "Control",
    "Database",
    "DirtyDay",
    "Identity",
    "Lane",
    "Lease",
    "Spend",
    "Stage",
    "Tenant",
]
