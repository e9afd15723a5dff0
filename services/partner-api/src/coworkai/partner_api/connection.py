"""One HTTP connection: requests arrive in time and within a size, and answers are read, or it ends.

The server's own protocol waits for ever for a head, and holds an answer for as long as its client does not
read it. Bodies are the edge's part.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct

from coworkai.common.connection import Connection
from coworkai.partner_api.problems import Code, Refused, answer
from coworkai.partner_api.settings import PartnerApiSettings

HEAD_ROOM = 2
"""The edge answers what is too large for it; beyond this factor nothing more of a head is read."""
_REASONS = {400: "Bad Request", 431: "Request Header Fields Too Large"}


def protocol(settings: PartnerApiSettings) -> type[asyncio.Protocol]:
    """The protocol of connections under these settings."""

    class Limited(_Connection):
        head_timeout_s = settings.head_timeout_s
        send_timeout_s = settings.send_timeout_s
        max_head_bytes = HEAD_ROOM * settings.max_header_bytes

    return Limited


class _Connection(Connection):
    head_timeout_s: float
    send_timeout_s: float
    _stall_timer: asyncio.TimerHandle | None = None
    _unread_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        self._end_stall()
        super().connection_lost(exc)

    def end_too_large(self) -> None:
        if self._head_timer is None:
            super().end_too_large()
        else:
            self._refuse(Refused(Code.HEADERS_TOO_LARGE, "the head of the request is too large"))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect_head()

    def on_headers_complete(self) -> None:
        self._end_head()
        super().on_headers_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        self._end_stall()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        self._refuse(Refused(Code.BAD_REQUEST, "the request is no HTTP"))

    def _expect_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_timeout_s, self._give_up)

    def _end_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        self.transport.close()

    def _expect_reading(self) -> None:
        self._unread_bytes = self.transport.get_write_buffer_size()
        self._stall_timer = self.loop.call_later(self.send_timeout_s, self._check_reading)

    def _check_reading(self) -> None:
        if self.transport.get_write_buffer_size() == self._unread_bytes:
            # Neither we nor the system go on holding what the client does not read.
            connection = self.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        else:
            self._expect_reading()

    def _end_stall(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _refuse(self, refused: Refused) -> None:
        self._end_head()
        request_id = f"req_{secrets.token_hex(12)}"
        whole = answer(refused, request_id, "/")
        head = [
            f"HTTP/1.1 {whole.status} {_REASONS[whole.status]}",
            *(f"{name}: {value}" for name, value in whole.headers.items()),
            f"content-length: {len(whole.body)}",
            f"x-request-id: {request_id}",
            "connection: close",
        ]
        self.transport.write("\r\n".join(head).encode() + b"\r\n\r\n" + whole.body)
        self.transport.close()
