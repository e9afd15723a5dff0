"""A small double of the Google Cloud Storage XML API, the part that delta-rs and obstore speak.

    python -m tests.doubles.gcs --port 0     prints its URL on a line, then serves until it is ended

Objects are in memory; generations rise; a PUT with `x-goog-if-generation-match: 0` creates, or fails with
412: that makes Delta commits atomic. Every reply about an object carries ETag and Last-Modified. Multipart
uploads, copies, ranges, listings with delimiters and pages work. Faults, all off by default, hit mutations of
objects (PUT, copy, completion of an upload):

    latency_s      every request waits this long
    rate_limit_s   a second mutation of one object within this time is answered 429, as the real one does
    before         share of mutations answered 503 and not done
    after          share of mutations done and then answered 503: the client cannot know

`running()` starts one, `storage_options(url)` points delta-rs, Polars and the artefact store at it.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import itertools
import json
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from random import Random
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import uvicorn

KEPT_HEADERS = {
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
}
XML = {"content-type": "application/xml"}
PAGE = 1000
AFTER_PREFIX = "\U0010ffff"
"""Sorts after every key of a common prefix."""


def service_account(url: str) -> str:
    """A service-account JSON that sends a client to `url` without a token."""
    return json.dumps(
        {
            "gcs_base_url": url,
            "disable_oauth": True,
            "client_email": "",
            "private_key": "",
            "private_key_id": "",
        }
    )


def storage_options(url: str) -> dict[str, str]:
    """Options of delta-rs and Polars for `gs://` on the double at `url`."""
    return {"google_service_account_key": service_account(url), "allow_http": "true"}


@dataclass(frozen=True)
class Faults:
    latency_s: float = 0.0
    rate_limit_s: float = 0.0
    before: float = 0.0
    after: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Stored:
    data: bytes
    generation: int
    headers: Mapping[str, str]
    modified: float

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.data, usedforsecurity=False).hexdigest()}"'

    @property
    def reply_headers(self) -> dict[str, str]:
        return {
            **self.headers,
            "etag": self.etag,
            "x-goog-generation": str(self.generation),
            "last-modified": formatdate(self.modified, usegmt=True),
        }


@dataclass
class Upload:
    headers: Mapping[str, str]
    parts: dict[int, bytes] = field(default_factory=dict)


class Reply(NamedTuple):
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


class Request(NamedTuple):
    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


def failure(status: int, code: str) -> Reply:
    return Reply(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode(), XML)


def document(root: str, content: str, headers: Mapping[str, str] | None = None) -> Reply:
    body = f'<?xml version="1.0" encoding="UTF-8"?><{root}>{content}</{root}>'
    return Reply(200, body.encode(), {**XML, **(headers or {})})


class Storage:
    """Buckets, their objects and unfinished uploads. One request at a time."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._random = Random(faults.seed)
        self._objects: dict[str, dict[str, Stored]] = {}
        self._uploads: dict[str, Upload] = {}
        self._generations = itertools.count(1)
        self._upload_ids = itertools.count(1)
        self._mutated: dict[tuple[str, str], float] = {}

    def answer(self, request: Request) -> Reply:
        if not request.key:
            return self._list(request) if request.method == "GET" else Reply(200)
        match request.method:
            case "GET" | "HEAD":
                return self._get(request)
            case "DELETE":
                return self._delete(request)
            case "POST" if "uploads" in request.query:
                return self._begin_upload(request)
            case "POST" if "uploadId" in request.query:
                return self._faulty(request, self._finish_upload)
            case "PUT" if "uploadId" in request.query:
                return self._take_part(request)
            case "PUT" if "x-goog-copy-source" in request.headers:
                return self._faulty(request, self._copy)
            case "PUT":
                return self._faulty(request, lambda r: self._put(r, r.body, _kept(r.headers)))
        return failure(405, "MethodNotAllowed")

    # ------------------------------------------------------------------------------------- mutations
    def _faulty(self, request: Request, mutate: Callable[[Request], Reply]) -> Reply:
        """`mutate`, or the answer of a store that has a bad moment."""
        name = (request.bucket, request.key)
        if time.monotonic() - self._mutated.get(name, float("-inf")) < self._faults.rate_limit_s:
            return failure(429, "SlowDown")
        draw = self._random.random()
        if draw < self._faults.before:
            return failure(503, "ServiceUnavailable")
        reply = mutate(request)
        if reply.status == 200:
            self._mutated[name] = time.monotonic()
            if draw > 1 - self._faults.after:
                return failure(503, "ServiceUnavailable")
        return reply

    def _put(self, request: Request, data: bytes, headers: Mapping[str, str]) -> Reply:
        objects = self._objects.setdefault(request.bucket, {})
        current = objects.get(request.key)
        wanted = request.headers.get("x-goog-if-generation-match")
        if wanted is not None and int(wanted) != (current.generation if current else 0):
            return failure(412, "PreconditionFailed")
        stored = Stored(data, next(self._generations), headers, time.time())
        objects[request.key] = stored
        return Reply(200, b"", stored.reply_headers)

    def _copy(self, request: Request) -> Reply:
        bucket, _, key = unquote(request.headers["x-goog-copy-source"]).lstrip("/").partition("/")
        source = self._objects.get(bucket, {}).get(key)
        return self._put(request, source.data, source.headers) if source else failure(404, "NoSuchKey")

    def _delete(self, request: Request) -> Reply:
        if "uploadId" in request.query:
            self._uploads.pop(request.query["uploadId"], None)
            return Reply(204)
        removed = self._objects.get(request.bucket, {}).pop(request.key, None)
        return Reply(204) if removed else failure(404, "NoSuchKey")

    def _begin_upload(self, request: Request) -> Reply:
        upload_id = f"upload-{next(self._upload_ids)}"
        self._uploads[upload_id] = Upload(_kept(request.headers))
        return document("InitiateMultipartUploadResult", f"<UploadId>{upload_id}</UploadId>")

    def _take_part(self, request: Request) -> Reply:
        upload = self._uploads.get(request.query["uploadId"])
        if upload is None:
            return failure(404, "NoSuchUpload")
        upload.parts[int(request.query["partNumber"])] = request.body
        digest = hashlib.md5(request.body, usedforsecurity=False).hexdigest()
        return Reply(200, b"", {"etag": f'"{digest}"'})

    def _finish_upload(self, request: Request) -> Reply:
        upload = self._uploads.get(request.query["uploadId"])
        if upload is None:
            return failure(404, "NoSuchUpload")
        numbers = [
            int(e.text or "") for e in ET.fromstring(request.body).iter() if e.tag.endswith("PartNumber")
        ]
        reply = self._put(request, b"".join(upload.parts[number] for number in numbers), upload.headers)
        if reply.status != 200:
            return reply
        del self._uploads[request.query["uploadId"]]
        etag = reply.headers["etag"]
        return document("CompleteMultipartUploadResult", f"<ETag>{escape(etag)}</ETag>", reply.headers)

    # ------------------------------------------------------------------------------------- reads
    def _get(self, request: Request) -> Reply:
        stored = self._objects.get(request.bucket, {}).get(request.key)
        if stored is None:
            return failure(404, "NoSuchKey")
        headers = stored.reply_headers
        if request.headers.get("if-none-match") == stored.etag:
            return Reply(304, b"", headers)
        if request.headers.get("if-match", stored.etag) != stored.etag:
            return failure(412, "PreconditionFailed")
        wanted = request.headers.get("range")
        if wanted is None:
            return Reply(200, stored.data, headers)
        start, stop = _range(wanted, len(stored.data))
        if start >= len(stored.data):
            return failure(416, "InvalidRange")
        headers["content-range"] = f"bytes {start}-{stop - 1}/{len(stored.data)}"
        return Reply(206, stored.data[start:stop], headers)

    def _list(self, request: Request) -> Reply:
        query, objects = request.query, self._objects.get(request.bucket, {})
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        after = max(query.get("start-after", ""), query.get("continuation-token", ""))
        limit = int(query.get("max-keys", PAGE))
        entries: list[str] = []
        last, truncated = "", False
        for key in sorted(key for key in objects if key.startswith(prefix) and key > after):
            if last.endswith(AFTER_PREFIX) and key <= last:
                continue
            if len(entries) == limit:
                truncated = True
                break
            head, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            if cut:
                folder = prefix + head + cut
                last = folder + AFTER_PREFIX
                entries.append(f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>")
            else:
                last = key
                entries.append(_listed(key, objects[key]))
        token = f"<NextContinuationToken>{escape(last)}</NextContinuationToken>" if truncated else ""
        flag = f"<IsTruncated>{str(truncated).lower()}</IsTruncated>"
        return document(
            "ListBucketResult", f"<Name>{escape(request.bucket)}</Name>{flag}{token}{''.join(entries)}"
        )


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in headers.items() if k in KEPT_HEADERS or k.startswith("x-goog-meta-")}


def _range(header: str, length: int) -> tuple[int, int]:
    """`bytes=5-9`, `bytes=5-` and `bytes=-5` as start and stop."""
    first, _, last = header.removeprefix("bytes=").partition("-")
    if not first:
        return max(0, length - int(last)), length
    return int(first), min(length, int(last) + 1) if last else length


def _listed(key: str, stored: Stored) -> str:
    modified = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(stored.modified))
    return (
        f"<Contents><Key>{escape(key)}</Key><Generation>{stored.generation}</Generation>"
        f"<LastModified>{modified}.{int(stored.modified % 1 * 1000):03d}Z</LastModified>"
        f"<ETag>{escape(stored.etag)}</ETag><Size>{len(stored.data)}</Size></Contents>"
    )


Message = MutableMapping[str, Any]  # the types of ASGI messages vary
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def application(faults: Faults) -> Callable[[Message, Receive, Send], Awaitable[None]]:
    """The ASGI application of one store."""
    storage = Storage(faults)

    async def serve(scope: Message, receive: Receive, send: Send) -> None:
        body = bytearray()
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body", False):
                break
        path = unquote(scope["raw_path"].decode().partition("?")[0]).lstrip("/")
        bucket, _, key = path.partition("/")
        request = Request(
            method=scope["method"],
            bucket=bucket,
            key=key,
            query=dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True)),
            headers={name.decode().lower(): value.decode() for name, value in scope["headers"]},
            body=bytes(body),
        )
        if faults.latency_s:
            await asyncio.sleep(faults.latency_s)
        reply = storage.answer(request)
        headers = {**reply.headers, "content-length": str(len(reply.body))}
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": reply.status, "headers": encoded})
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else reply.body})

    return serve


@contextmanager
def running(faults: Faults | None = None) -> Iterator[str]:
    """The URL of a double in a process of its own, ended on leaving."""
    options = faults or Faults()
    arguments = [
        f"--{name.replace('_', '-')}={getattr(options, name)}" for name in Faults.__dataclass_fields__
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.doubles.gcs", "--port=0", *arguments], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description="A double of the GCS XML API")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    for name, default in vars(Faults()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    options = vars(parser.parse_args())
    listener = socket.create_server(("127.0.0.1", options.pop("port")))
    sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    config = uvicorn.Config(
        application(Faults(**options)), log_level="error", lifespan="off", access_log=False
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
