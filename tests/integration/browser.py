"""A real Chromium, driven over its debugging protocol, that notes every request it makes."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def installed() -> str | None:
    """The browser's command on this machine."""
    return next((path for path in map(shutil.which, COMMANDS) if path), None)


class Tab:
    """One page. `events` are those of the protocol, in order."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """What a method of the protocol returns."""
        number = next(self._numbers)
        self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            told = json.loads(self._connection.recv(timeout=60))
            if told.get("id") == number:
                assert "error" not in told, told
                result: dict[str, Any] = told["result"]
                return result
            self.events.append(told)

    def wait_for(self, event: str) -> None:
        """Wait until there has been such an event."""
        while event not in (one.get("method") for one in self.events):
            self.events.append(json.loads(self._connection.recv(timeout=60)))

    def open(self, url: str, width: int = 1440, height: int = 1200) -> None:
        """Open an address in a window of this size and wait until it has loaded."""
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call("Page.navigate", url=url)
        self.wait_for("Page.loadEventFired")

    def told(self, event: str) -> list[Mapping[str, Any]]:
        """Parameters of all events of a kind."""
        return [one["params"] for one in self.events if one.get("method") == event]

    def evaluate(self, expression: str) -> Any:
        """The value of some JavaScript in the page."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def screenshot(self, file: Path) -> None:
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def tab(command: str, profile: Path) -> Iterator[Tab]:
    """A page of a browser with a new profile in that folder; the browser ends on leaving."""
    arguments = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
    ]
    with subprocess.Popen(
        [command, *arguments, f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank"],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            address = next(line.split()[-1] for line in process.stderr if "DevTools listening on" in line)
            with connect(address, max_size=None) as browser:
                target = Tab(browser).call("Target.createTarget", url="about:blank")["targetId"]
            host = address.split("/")[2]
            with connect(f"ws://{host}/devtools/page/{target}", max_size=None) as connection:
                yield Tab(connection)
        finally:
            process.terminate()
