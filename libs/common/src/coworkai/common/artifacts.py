"""The artefact store: files for people and downstream stages, under one root a tenant (domain, section 6).

Paths are relative to the lake's root and `/`-separated; every segment from data is percent-encoded.
Writes are atomic: a reader sees the whole file or none.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import quote, unquote, urlparse

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import GCSStore, LocalStore, ObjectStore, S3Store

from coworkai.common.errors import NotFound, SettingsError, StorageUnavailable
from coworkai.common.settings import CommonSettings

if TYPE_CHECKING:
    from obstore.store import ClientConfig, GCSConfig, S3Config

_CLIENT_OPTIONS = frozenset(
    {
        "allow_http",
        "allow_invalid_certificates",
        "connect_timeout",
        "default_content_type",
        "http1_only",
        "http2_only",
        "pool_idle_timeout",
        "pool_max_idle_per_host",
        "proxy_url",
        "timeout",
        "user_agent",
    }
)
"""Options of the HTTP client; delta-rs takes them beside the store's own, obstore apart from them."""
_WRITERS = 8
_SIGNERS = 32
_MULTIPART_BYTES = 8 * 1024 * 1024


class ArtifactStore:
    """Objects below `root`: a folder path, `file://`, `gs://bucket/prefix` or `s3://bucket/prefix`.

    Every method raises StorageUnavailable when the store does not answer.
    """

    def __init__(self, root: str, storage_options: Mapping[str, str] | None = None) -> None:
        self._store = _open(root, storage_options or {})
        self._folder = str(self._store.prefix) if isinstance(self._store, LocalStore) else None

    @classmethod
    def from_settings(cls, settings: CommonSettings) -> ArtifactStore:
        """The store at the lake's root."""
        return cls(settings.lake_uri, settings.storage_options)

    @property
    def writers(self) -> int:
        """How many threads keep the store busy: a folder answers at once."""
        return 1 if isinstance(self._store, LocalStore) else _WRITERS

    def put(self, path: str, content: bytes) -> None:
        """Write or replace the whole object."""
        if any(part in {"", ".", ".."} for part in path.split("/")):
            raise StorageUnavailable("the artefact store takes no path with an empty or relative part")
        with _errors(path):
            if self._folder is not None:
                _replace(f"{self._folder}/{path}", content)
            else:
                obstore.put(self._store, path, content, use_multipart=len(content) > _MULTIPART_BYTES)

    def get(self, path: str) -> bytes:
        """Content of the object. Raises NotFound."""
        with _errors(path):
            return bytes(obstore.get(self._store, path).bytes())

    def size(self, path: str) -> int:
        """Bytes of the object. Raises NotFound."""
        with _errors(path):
            return obstore.head(self._store, path)["size"]

    def exists(self, path: str) -> bool:
        try:
            with _errors(path):
                obstore.head(self._store, path)
        except NotFound:
            return False
        return True

    def list(self, prefix: str) -> list[str]:
        """Paths of all objects below the folder `prefix`, sorted."""
        with _errors(prefix):
            stream = obstore.list(self._store, prefix)
            return sorted(meta["path"] for chunk in stream for meta in chunk)

    def delete(self, paths: Sequence[str]) -> None:
        """Delete the objects; those that are gone already are fine."""
        for path in paths:
            try:
                with _errors(path):
                    obstore.delete(self._store, path)
            except NotFound:
                continue

    def sign(self, path: str, ttl_s: int) -> str:
        """Address that reads the object without credentials for `ttl_s` seconds.

        A local folder has no server: its answer is the file's own `file://` address. Raises NotFound.
        """
        if isinstance(self._store, LocalStore):
            file = Path(str(self._store.prefix)) / path
            if not file.is_file():
                raise NotFound(f"no artefact {path}")
            return file.as_uri()
        if not isinstance(self._store, GCSStore | S3Store):
            raise SettingsError("this artefact store cannot sign addresses")
        with _errors(path):
            obstore.head(self._store, path)
            return obstore.sign(self._store, "GET", _signable(self._store, path), timedelta(seconds=ttl_s))

    @property
    def folder(self) -> Path | None:
        """The local folder that the objects are in; None for a bucket."""
        return None if self._folder is None else Path(self._folder)

    async def sign_all(self, paths: Sequence[str], ttl_s: int) -> Sequence[str]:
        """Addresses that read the objects of a bucket without credentials for `ttl_s` seconds, in order.

        Whether the objects exist is not looked at. Raises SettingsError for a local folder.
        """
        store = self._store
        if not isinstance(store, GCSStore | S3Store):
            raise SettingsError("this artefact store cannot sign addresses")
        # Some credentials sign by a request to their issuer, one for every address.
        at_once = asyncio.Semaphore(_SIGNERS)

        async def signed(path: str) -> str:
            async with at_once:
                return await obstore.sign_async(
                    store, "GET", _signable(store, path), timedelta(seconds=ttl_s)
                )

        with _errors("to sign"):
            return await asyncio.gather(*(signed(path) for path in paths))


def _signable(store: GCSStore | S3Store, path: str) -> str:
    """The path as the store's signer wants it: that of Google's does not escape it, and Google checks the
    signature of the escaped one (`=` is in every partition's name)."""
    return quote(path, safe="/~") if isinstance(store, GCSStore) else path


def _open(root: str, options: Mapping[str, str]) -> ObjectStore:
    url = urlparse(root)
    if url.scheme in {"", "file"}:
        folder = Path(unquote(url.path) if url.scheme else root).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        return LocalStore(prefix=folder)
    client: dict[str, object] = {}
    config: dict[str, str] = {}
    for name, value in options.items():
        option = name.lower().removeprefix("aws_").removeprefix("google_")
        if option in _CLIENT_OPTIONS:
            client[option] = value.lower() == "true" if option.startswith("allow") else value
        else:
            config[name] = value
    try:
        if url.scheme == "gs":
            return GCSStore.from_url(
                root, config=cast("GCSConfig", config), client_options=cast("ClientConfig", client)
            )
        if url.scheme in {"s3", "s3a"}:
            return S3Store.from_url(
                root, config=cast("S3Config", config), client_options=cast("ClientConfig", client)
            )
    except BaseError as error:
        raise SettingsError(f"the artefact store refuses its options ({type(error).__name__})") from None
    raise SettingsError(f"no artefact store for {url.scheme}://", remedy="use a folder, gs:// or s3://")


def _replace(file: str, content: bytes) -> None:
    """Write a local file aside and rename it.

    Many small ones cost less than half of what `obstore` takes. The names aside are its own, so its listings
    leave out what a process that died has left.
    """
    aside = f"{file}#{os.getpid()}{threading.get_ident()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    try:
        handle = os.open(aside, flags, 0o666)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(file), exist_ok=True)  # noqa: PTH103, PTH120
        handle = os.open(aside, flags, 0o666)
    try:
        with os.fdopen(handle, "wb") as opened:
            opened.write(content)
        os.replace(aside, file)  # noqa: PTH105
    except OSError:
        os.unlink(aside)  # noqa: PTH108
        raise


@contextmanager
def _errors(path: str) -> Iterator[None]:
    try:
        yield
    except (NotFoundError, FileNotFoundError):
        raise NotFound(f"no artefact {path}") from None
    except (BaseError, OSError) as error:
        raise StorageUnavailable(f"the artefact store failed ({type(error).__name__})") from None


# --------------------------------------------------------------------------------------------- paths


@dataclass(frozen=True, slots=True)
class ArtifactPaths:
    """Where the artefacts of a tenant are. `batch` is the digest that names a run's outputs."""

    tenant_id: str

    @property
    def root(self) -> str:
        return f"tenants/{_segment(self.tenant_id)}/artifacts"

    @property
    def batch_folders(self) -> tuple[str, ...]:
        """Folders that have a folder a batch somewhere below."""
        return f"{self.root}/workblock_processing", f"{self.root}/chat_history"

    def day(self, on: date) -> str:
        """Folder of all batches of a day's Stage 1."""
        return f"{self.root}/workblock_processing/date={on.isoformat()}"

    def batch(self, on: date, batch: str) -> str:
        return f"{self.day(on)}/batch_{_segment(batch)}"

    def stage1_table(self, on: date, batch: str, name: str) -> str:
        """`name` is workblocks, atomic_slices, manifests or jobs."""
        return f"{self.batch(on, batch)}/{_segment(name)}.parquet"

    def workblock_report(self, on: date, batch: str, user_id: str) -> str:
        return f"{self.batch(on, batch)}/user_{_segment(user_id)}/workblock_report_{on.isoformat()}.md"

    def chat_history_table(self, on: date, batch: str) -> str:
        return f"{self.root}/chat_history/date={on.isoformat()}/batch_{_segment(batch)}/chat_history.parquet"

    def chat_history(self, on: date, user_id: str) -> str:
        day = on.isoformat()
        return f"{self.root}/chat_history/date={day}/user_{_segment(user_id)}/chat_history_{day}.md"

    def manifests_paired(self, on: date) -> str:
        day = on.isoformat()
        return f"{self.root}/manifests/paired/date={day}/manifests_paired_{day}.parquet"

    def insights(self, on: date, user_id: str, kind: str) -> str:
        """`kind` is workblock or chat."""
        day = on.isoformat()
        return f"{self.root}/insights/date={day}/user_{_segment(user_id)}/{_segment(kind)}_insights_{day}.md"

    def context(self, user_id: str, primary: date, start: date, end: date, suffix: str) -> str:
        """`suffix` is md or json."""
        return f"{self._context(user_id, primary)}/context_{start}_to_{end}.{suffix}"

    def context_component_log(self, user_id: str, primary: date, start: date, end: date) -> str:
        return f"{self._context(user_id, primary)}/context_component_log_{start}_to_{end}.json"

    def brief(self, user_id: str, primary: date, start: date, end: date, suffix: str) -> str:
        """`suffix` is json or md."""
        folder = f"{self.root}/brief_consolidated/user_{_segment(user_id)}/primary_date={primary}"
        return f"{folder}/brief_{start}_to_{end}.{suffix}"

    def team_brief(self, team: str, primary: date, start: date, end: date, suffix: str) -> str:
        """`suffix` is json or md."""
        folder = f"{self.root}/brief_consolidated/team_{_segment(team)}/primary_date={primary}"
        return f"{folder}/brief_{start}_to_{end}.{suffix}"

    def briefs_complete(self, primary: date) -> str:
        """Names the run of Stage 2 whose artefacts of the day are all there."""
        return f"{self.root}/brief_consolidated/complete/primary_date={primary}.json"

    def _context(self, user_id: str, primary: date) -> str:
        return f"{self.root}/context_consolidated/user_{_segment(user_id)}/primary_date={primary}"


def _segment(value: str) -> str:
    """One path segment: percent-encoded, dots too where they would climb."""
    return quote(value, safe="=") if value.strip(".") else value.replace(".", "%2E")
