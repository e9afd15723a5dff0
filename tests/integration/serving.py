"""A server in a thread, on a port of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

STOPS_WITHIN_S = 30.0


@contextmanager
def serving(app: Any, protocol: type[asyncio.Protocol]) -> Iterator[int]:
    """The port of the application, whose connections `protocol` handles."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, http=protocol, lifespan="off", log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            thread.join(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(STOPS_WITHIN_S)
