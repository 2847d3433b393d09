"""Makes sinks by their settings (implements `jaild.ports.sinks.Sinks`)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence

from jaild.adapters.sinks import syslog
from jaild.adapters.sinks.command import CommandSink
from jaild.model import quantity
from jaild.model.errors import UnavailableError
from jaild.model.sinks.settings import Command, SinkSettings, Syslog, Webhook
from jaild.model.syslog import Line
from jaild.ports.process import Processes
from jaild.ports.sinks import Sink

_SHORTEST = 16  # bytes of a secret
_AT_ONCE = 1000  # lines that are made messages of before others have their turn
_LINES = 30.0  # seconds for some lines of jails


class SinkAdapters:
    """What there is."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    def make(self, settings: SinkSettings) -> Sink:
        """Return one; see the port. `UnavailableError` (WEBHOOK_MISSING) without the library for it."""
        to = settings.to
        if isinstance(to, Syslog):
            return syslog.SyslogSink(to)
        return CommandSink(to, self._processes) if isinstance(to, Command) else _webhook(to)

    def line_bytes(self, address: str) -> int:
        """Return how long a line may be; see the port."""
        return syslog.text_of(address)

    async def send_lines(self, address: str, lines: Sequence[Line]) -> None:
        """Send; see the port."""
        said = list[bytes]()
        for begin in range(0, len(lines), _AT_ONCE):
            said += map(syslog.line_message, lines[begin : begin + _AT_ONCE])
            await asyncio.sleep(0)
        await syslog.send(address, said, _LINES)


def _webhook(settings: Webhook) -> Sink:
    try:
        from jaild.adapters.sinks.webhook import WebhookSink  # noqa: PLC0415 -- of an extra
    except ModuleNotFoundError as error:
        raise UnavailableError(
            "WEBHOOK_MISSING",
            f"the configuration has a webhook, and this Python has no {error.name}",
            hint="install h11 (pip install 'jaild[webhook]'), or take the webhook out",
        ) from error
    return WebhookSink(settings, secret_of(settings), _context(settings))


def secret_of(settings: Webhook) -> bytes:
    """Return the key. `UnavailableError` (SINK_UNUSABLE) if it cannot be read, or is too short to be one."""
    try:
        secret = settings.secret.read_bytes().strip()
    except OSError as error:
        raise _unusable(f"{settings.secret}: {error.strerror}") from error
    if len(secret) < _SHORTEST:
        has = quantity.count(len(secret), "byte")
        raise _unusable(f"{settings.secret} has {has}, no key is shorter than {_SHORTEST}")
    return secret


def _context(settings: Webhook) -> ssl.SSLContext | None:
    if settings.place.scheme == "http":
        return None
    try:
        return ssl.create_default_context(cafile=settings.authority)
    except OSError as error:  # SSLError is one
        raise _unusable(f"{settings.authority}: {error.strerror or error}") from error


def _unusable(what: str) -> UnavailableError:
    return UnavailableError(
        "SINK_UNUSABLE",
        what,
        hint="give the webhook a file with a secret (openssl rand -hex 32), and its authority's certificate as PEM",
    )
