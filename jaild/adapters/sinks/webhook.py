"""Events as HTTP requests: POST, JSON, HMAC-SHA256 over the time and the body (implements `jaild.ports.sinks.Sink`).

    Jaild-Signature: t=1764500000,v1=5257a869e7...      v1 = hex(HMAC-SHA256(secret, "1764500000." + body))

The time is in what is signed, so that a receiver can refuse what somebody recorded and sends again (as Stripe has it).
Each event has a connection of its own: they are few, and none that has gone stale in between is met.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ssl
import time
from collections.abc import Sequence
from importlib.metadata import version

import h11

from jaild.model.errors import UnavailableError
from jaild.model.sinks.records import Notice
from jaild.model.sinks.settings import Webhook

_HEAD = 16 << 10  # bytes of an answer's head
_SAID = 4 << 10  # of its body, of which people are shown the beginning
_SHOWN = 200
_PIECE = 16 << 10
_TAKEN = range(200, 300)


class WebhookSink:
    """One receiver. `secret` is the key, `context` None for http."""

    def __init__(self, settings: Webhook, secret: bytes, context: ssl.SSLContext | None) -> None:
        self._settings = settings
        self._secret = secret
        self._context = context

    async def deliver(self, notice: Notice) -> None:
        """Send it. `UnavailableError` (SINK_REFUSED, SINK_UNREACHABLE); redirects are not followed."""
        place, body = self._settings.place, notice.json()
        target = f"{place.path or '/'}?{place.query}" if place.query else place.path or "/"
        headers = [
            ("Host", place.netloc),
            ("User-Agent", f"jaild/{version('jaild')}"),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Idempotency-Key", notice.id),
            ("Jaild-Signature", signature(self._secret, int(time.time()), body)),
            ("Connection", "close"),
        ]
        request = h11.Request(method="POST", target=target, headers=headers)
        try:
            async with asyncio.timeout(self._settings.timeout):
                status, said = await self._answer([request, h11.Data(data=body), h11.EndOfMessage()])
        except TimeoutError as error:
            raise self._unreachable(f"no answer within {self._settings.timeout:g} s") from error
        except (OSError, UnicodeError, h11.ProtocolError) as error:  # UnicodeError: a name that no resolver is asked
            raise self._unreachable(str(error) or type(error).__name__) from error
        if status not in _TAKEN:
            raise UnavailableError(
                "SINK_REFUSED",
                f"{self._settings.destination} answered {status}: {self._shown(said)}",
                hint="see what the receiver says of it: its address, the secret, the time of both hosts",
            )

    def _shown(self, said: bytes) -> str:
        """Return the beginning of an answer, without what it repeats of the address: that may be a secret."""
        text, place = said.decode(errors="replace"), self._settings.place
        for part in (place.query, place.path.strip("/")):
            text = text.replace(part, "...") if part else text
        return text[:_SHOWN]

    def _unreachable(self, why: str) -> UnavailableError:
        return UnavailableError(
            "SINK_UNREACHABLE",
            f"{self._settings.destination}: {why}",
            hint="see whether it listens there, and whose certificate it shows",
        )

    async def _answer(self, request: Sequence[h11.Event]) -> tuple[int, bytes]:
        """Return the status, and of one that refuses the beginning of what it says."""
        place = self._settings.place
        port = place.port or (80 if self._context is None else 443)
        reader, writer = await asyncio.open_connection(place.hostname, port, ssl=self._context)
        try:
            connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD)
            for part in request:
                writer.write(connection.send(part) or b"")
            await writer.drain()
            status, said = 0, b""
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    connection.receive_data(await reader.read(_PIECE))
                elif isinstance(event, h11.Response):
                    status = event.status_code
                    if status in _TAKEN:
                        return status, b""
                elif isinstance(event, h11.Data):
                    said += bytes(event.data)
                if isinstance(event, h11.EndOfMessage) or len(said) > _SAID:
                    return status, said
        finally:
            writer.transport.abort()  # nothing is to come, and a farewell of TLS would be waited for


def signature(secret: bytes, at: int, body: bytes) -> str:
    """Return the header's value for a body that is sent `at` so many seconds since the epoch."""
    signed = hmac.new(secret, f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={signed}"
