"""The configuration file read again while the daemon runs: whole or not at all (implements `ports.configuration`).

Grants, peers, certificates and event sinks count from the next call, connection and delivery on; what is under way goes
on. All else the daemon was put together by: it is told, and counts after a restart.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import msgspec

from jaild.adapters.peers import GrpcPeers
from jaild.config import Config
from jaild.model.access import Grant
from jaild.model.errors import UnavailableError
from jaild.model.sinks.settings import SinkSettings
from jaild.model.views import Reloaded
from jaild.rpc.tls import Pem, TlsFiles
from jaild.server import ApiServer

_Pems = Mapping[str, Pem]  # what stands in the files that a setting names
_Files = Mapping[str, tuple[bytes, ...]]  # the same of event sinks
_LISTEN, _METRICS = "listen.tls", "metrics.tls"


class Serves(Protocol):
    """What answers where the metrics are asked for."""

    def replace(self, grants: Mapping[str, Grant], context: ssl.SSLContext | None, /) -> None:
        """Ask these grants, and show this certificate (None: the one in force), from the next connection on."""


class Sinks(Protocol):
    """What sends events."""

    def check(self, settings: Mapping[str, SinkSettings], /) -> None:
        """Raise what keeps one from being made."""

    async def replace(self, settings: Mapping[str, SinkSettings], /) -> None:
        """Send by these from now on."""


class FileConfiguration:
    """What `load` reads, and what of it the daemon runs with."""

    def __init__(self, load: Callable[[], Config], running: Config, peers: GrpcPeers) -> None:
        self._load = load
        self._running = running
        self._peers = peers
        self._pems: _Pems = {}
        self._files: _Files = {}
        self._server: ApiServer | None = None
        self._metrics: Serves | None = None
        self._sinks: Sinks | None = None
        self._one_at_a_time = asyncio.Lock()

    def serves(self, server: ApiServer, metrics: Serves | None = None, sinks: Sinks | None = None) -> None:
        """Take what listens and sends by it, before it does."""
        self._metrics, self._sinks = metrics, sinks
        found = {}
        for setting, tls in self._running.tls_files().items():
            with suppress(UnavailableError):  # a peer's, which is told when it is connected to
                found[setting] = tls.read()
        self._server, self._pems, self._files = server, found, _files_of(self._running)

    async def reload(self, *, validate_only: bool) -> Reloaded:
        """Read the file again; see the port."""
        async with self._one_at_a_time:
            new, pems, files = await asyncio.to_thread(self._read)
            before, after = _settings(self._running, self._pems, self._files), _settings(new, pems, files)
            changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
            now = {key for key in changed if key.startswith(("grants.", "peers.", "event_sinks."))}
            if self._running.listen is not None and new.listen is not None:
                now |= changed & {_LISTEN}
            if _tls_of_metrics(self._running) is not None and _tls_of_metrics(new) is not None:
                now |= changed & {_METRICS}
            if not validate_only and now:
                await self._apply(new, pems, now)
                self._files = files
            return Reloaded(applied=tuple(sorted(now)), needs_restart=tuple(sorted(changed - now)))

    def _read(self) -> tuple[Config, _Pems, _Files]:
        new = self._load()
        if self._sinks is not None:
            self._sinks.check(new.event_sinks)
        return new, {setting: tls.read() for setting, tls in new.tls_files().items()}, _files_of(new)

    async def _apply(self, new: Config, pems: _Pems, now: set[str]) -> None:
        peers = {key.split(".")[1] for key in now if key.startswith("peers.")}
        running = self._running
        listen = running.listen
        if listen is not None and new.listen is not None:
            listen = msgspec.structs.replace(listen, tls=new.listen.tls)
        metrics, tls, context = running.metrics, _tls_of_metrics(new), None
        if metrics is not None and metrics.tls is not None and tls is not None:
            metrics, context = msgspec.structs.replace(metrics, tls=tls), tls.server_context()
        running = msgspec.structs.replace(
            running,
            grants=new.grants,
            peers=new.peers,
            event_sinks=new.event_sinks,
            listen=listen,
            metrics=metrics,
        )
        grants = running.grants_here
        await self._peers.replace(new.peers, changed=peers)  # what can still be refused goes first
        if self._sinks is not None and any(key.startswith("event_sinks.") for key in now):
            await self._sinks.replace(new.event_sinks)
        if self._server is not None:
            self._server.replace(grants, pems[_LISTEN] if listen is not None else None)
        if self._metrics is not None:
            self._metrics.replace(grants, context)
        self._running, self._pems = running, pems


def _tls_of_metrics(config: Config) -> TlsFiles | None:
    return config.metrics.tls if config.metrics is not None else None


def _files_of(config: Config) -> _Files:
    return {f"event_sinks.{name}": tuple(map(_content, sink.files)) for name, sink in config.event_sinks.items()}


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # told when it is delivered to
        return b""


def _settings(config: Config, pems: _Pems, files: _Files) -> dict[str, Any]:
    """Return what is set, by the names under which it is told; None is as good as nothing."""
    found: dict[str, Any] = {}
    for name in Config.__struct_fields__:
        value = getattr(config, name)
        if isinstance(value, msgspec.Struct):
            found |= {f"{name}.{field}": getattr(value, field) for field in value.__struct_fields__}
        elif isinstance(value, dict):
            found |= {f"{name}.{key}": each for key, each in value.items()}
        else:
            found[name] = value
    return found | {setting: (found.get(setting), of) for setting, of in {**pems, **files}.items()}
