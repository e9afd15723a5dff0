"""Publishing to the embedded bus, which takes what Pub/Sub refuses: ingest quarantines it by its size."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from itertools import groupby

import msgspec

from coworkai.common.bus import MAX_DATA_BYTES, OutgoingMessage, Publisher


class EmbeddedPublisher(Publisher):
    """A publisher without Pub/Sub's limit of a message's size: a larger one is a request of its own."""

    async def publish_many(self, topic: str, messages: Sequence[OutgoingMessage]) -> list[str]:
        """Publish in order; returns the ids in order. Raises as `Publisher.publish_many`."""
        message_ids: list[str] = []
        for is_large, together in groupby(messages, key=_is_large):
            if not is_large:
                message_ids += await super().publish_many(topic, list(together))
                continue
            for message in together:
                message_ids += await self._send(topic, _request(message))
        return message_ids


def _is_large(message: OutgoingMessage) -> bool:
    return len(message.data) > MAX_DATA_BYTES


def _request(message: OutgoingMessage) -> bytes:
    data = base64.b64encode(message.data).decode()
    return msgspec.json.encode({"messages": [{"data": data, "attributes": dict(message.attributes)}]})
