"""What there is of event sinks, and what the daemon says of them."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

import grpc

from jaild.doctor.checks.sinks import SinkFacts
from jaild.model.errors import JaildError
from jaild.model.sinks.settings import SinkSettings
from jaild.ports.sinks import Sinks
from jaild.v1 import host_pb2, host_pb2_grpc

_PATIENCE = 10.0  # seconds


def sinks(settings: Mapping[str, SinkSettings], making: Sinks) -> list[SinkFacts]:
    """Try to make each; nothing is sent."""
    return [_facts(name, each, making) for name, each in sorted(settings.items())]


def _facts(name: str, settings: SinkSettings, making: Sinks) -> SinkFacts:
    try:
        making.make(settings)
    except JaildError as error:
        return SinkFacts(name=name, reason=error.reason, message=error.message, hint=error.hint)
    if settings.webhook is None:
        return SinkFacts(name=name)
    found = settings.webhook.secret.stat()
    return SinkFacts(name=name, secret=str(settings.webhook.secret), uid=found.st_uid, mode=stat.S_IMODE(found.st_mode))


async def warnings(socket: Path) -> list[str]:
    """Ask the daemon what its operator must fix; nothing if it does not answer the call."""
    async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        try:
            host = await host_pb2_grpc.HostStub(channel).GetHost(host_pb2.GetHostRequest(), timeout=_PATIENCE)
        except grpc.aio.AioRpcError:  # another program's socket, or a daemon of another version
            return []
        return list(host.warnings)
