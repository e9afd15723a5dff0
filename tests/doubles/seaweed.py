"""SeaweedFS as an S3 with conditional puts: an independent check of what holds on the GCS double."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

PORTS = (
    "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc",
    "s3.port", "s3.port.grpc", "s3.port.iceberg", "s3.port.lance",
)  # fmt: skip
READY_S = 60.0


def storage_options(url: str) -> dict[str, str]:
    """Options of delta-rs and Polars for `s3://` on the server at `url`."""
    return {
        "aws_endpoint_url": url,
        "aws_access_key_id": "any",
        "aws_secret_access_key": "any",
        "aws_region": "us-east-1",
        "aws_conditional_put": "etag",
        "aws_allow_http": "true",
    }


@contextmanager
def running(folder: Path, bucket: str) -> Iterator[str]:
    """The URL of a server over `folder` with an empty bucket, ended on leaving."""
    weed = Path(sys.executable).with_name("weed")
    ports = _free_ports()
    options = [f"-{name}={port}" for name, port in ports.items()]
    command = [str(weed), "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", *options]
    log = folder / "weed.log"
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            url = f"http://127.0.0.1:{ports['s3.port']}"
            _create_bucket(process, f"{url}/{bucket}", log)
            yield url
        finally:
            process.kill()


def _free_ports() -> dict[str, int]:
    with ExitStack() as stack:
        sockets = {name: stack.enter_context(socket.create_server(("127.0.0.1", 0))) for name in PORTS}
        return {name: listener.getsockname()[1] for name, listener in sockets.items()}


def _create_bucket(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Asks for the bucket until the server is up."""
    deadline, pause = time.monotonic() + READY_S, threading.Event()
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if httpx.put(url, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        pause.wait(0.1)
    raise RuntimeError(f"SeaweedFS did not come up: {log.read_text()[-2000:]}")
