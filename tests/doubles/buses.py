"""The two buses that run on one machine, as real processes: the embedded one, and Google's emulator."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

EMULATOR_JAR = Path(
    "/usr/lib/google-cloud-sdk/platform/pubsub-emulator/lib/cloud-pubsub-emulator-0.8.20-all.jar"
)


@contextmanager
def embedded_bus(data_dir: Path, settings: Mapping[str, str] | None = None) -> Iterator[tuple[str, int]]:
    """The embedded bus over `data_dir`; its base URL and process id. May be killed inside the block."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    log = (data_dir / "bus.log").open("ab")
    process = subprocess.Popen(
        [sys.executable, "-m", "coworkai.local.bus"],
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("COWORKAI_")},
            "COWORKAI_DATA_DIR": str(data_dir),
            "COWORKAI_LISTEN_FD": str(listener.fileno()),
            **{f"COWORKAI_{name.upper()}": value for name, value in (settings or {}).items()},
        },
        pass_fds=[listener.fileno()],
        stdout=log,
        stderr=log,
    )
    listener.close()
    log.close()
    try:
        _wait_until_answering(f"{url}/readyz", process)
        yield url, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


@contextmanager
def emulator() -> Iterator[str]:
    """Google's Pub/Sub emulator on a free port; its base URL."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        ["java", "-jar", str(EMULATOR_JAR), "--host=127.0.0.1", f"--port={port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_answering(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def _wait_until_answering(url: str, process: subprocess.Popen[bytes], timeout_s: float = 60) -> None:
    give_up_at = time.monotonic() + timeout_s
    while True:
        assert process.poll() is None, f"ended with {process.returncode} before it answered"
        try:
            if httpx.get(url, timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            assert time.monotonic() < give_up_at, f"{url} does not answer"
        time.sleep(0.05)
