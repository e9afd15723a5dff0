"""Typed client of the CoworkAI partner API: `Client` to call it, `models` for what it answers."""

from coworkai_client import models
from coworkai_client.client import Client, ExportFailed
from coworkai_client.credentials import ApiKey, ClientCredentials
from coworkai_client.transport import ApiError, Bulk, BulkFormat, Page, Pages, Retries, TablePages

__all__ = [
    "ApiError",
    "ApiKey",
    "Bulk",
    "BulkFormat",
    "Client",
    "ClientCredentials",
    "ExportFailed",
    "Page",
    "Pages",
    "Retries",
    "TablePages",
    "models",
]
