"""One HTTP connection: what a request brings besides its body is no larger than a head may be, or it ends.

The server's own protocol takes heads of any size, and keeps what follows a body in chunks as further headers.
Imported by the services only, as `service` is.
"""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 65_536
FRAMED_BYTES = 8
"""A byte of a body may come with so many: alone in a chunk it takes six."""


class Connection(HttpToolsProtocol):
    """Counts what arrives of a request and is not its body: the head, frames of chunks, what follows them."""

    max_head_bytes = MAX_HEAD_BYTES
    _surplus_bytes = 0
    _is_in_head = True

    def data_received(self, data: bytes) -> None:
        self._surplus_bytes += len(data)
        super().data_received(data)
        if self._surplus_bytes > self.max_head_bytes and not self.transport.is_closing():
            self.end_too_large()

    def end_too_large(self) -> None:
        """End the connection of a request that brings too much."""
        self.transport.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._surplus_bytes -= FRAMED_BYTES * len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._surplus_bytes = 0
        self._is_in_head = True
        super().on_message_complete()
