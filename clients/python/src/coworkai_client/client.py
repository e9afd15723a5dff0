"""The client: every operation of the API, and exports from the asking to the files."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from coworkai_client.credentials import ApiKey
from coworkai_client.models import ExportJob, ExportState, NewExport
from coworkai_client.operations import Operations
from coworkai_client.transport import Retries, Transport

POLL_S = 0.5


class ExportFailed(Exception):
    """An export ended without files, or not in time."""


class Client(Operations):
    """Calls the API as one principal. Close it, or use it in a `with` statement.

    `credentials`: an API key or token as text, or `ClientCredentials`. `timeout_s` is of one attempt.
    """

    def __init__(
        self,
        base_url: str,
        credentials: str | httpx.Auth,
        *,
        timeout_s: float = 60.0,
        retries: Retries | None = None,
        kept_answers: int = 128,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(
            base_url=base_url,
            auth=ApiKey(credentials) if isinstance(credentials, str) else credentials,
            timeout=timeout_s,
            transport=transport,
            headers={"user-agent": "coworkai-client-python/1"},
        )
        super().__init__(Transport(self._http, retries or Retries(), kept_answers))

    def export(self, asked: NewExport, *, timeout_s: float = 600.0) -> ExportJob:
        """Make an export and wait until its files can be fetched. Raises ExportFailed, ApiError."""
        job = self.create_export(asked)
        give_up_at = time.monotonic() + timeout_s
        while job.state in {ExportState.QUEUED, ExportState.RUNNING}:
            if time.monotonic() >= give_up_at:
                raise ExportFailed(f"{job.export_id} is not ready within {timeout_s} s")
            self.transport.retries.sleep(POLL_S)
            job = self.get_export(job.export_id)
        if job.state is not ExportState.READY:
            raise ExportFailed(f"{job.export_id} is {job.state}: {job.error_code}")
        return job

    def download(self, job: ExportJob, folder: Path) -> list[Path]:
        """Fetch the files of an export into a folder. Raises ExportFailed, httpx.HTTPStatusError."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for file in job.files:
            if file.url is None:
                raise ExportFailed(f"{job.export_id} has no addresses: ask for it again")
            path = folder / Path(file.name).name
            # Signed addresses are of a store, which must not be sent the key.
            with httpx.stream("GET", file.url, timeout=self._http.timeout) as response:
                response.raise_for_status()
                with path.open("wb") as out:
                    for chunk in response.iter_bytes():
                        out.write(chunk)
            paths.append(path)
        return paths

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
