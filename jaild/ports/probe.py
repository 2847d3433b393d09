"""Port: asking a service from outside whether it is there, or to do something."""

from __future__ import annotations

from typing import Protocol


class Probe(Protocol):
    """Health checks over the network. Both return '' when it is well, else what was wrong, for people."""

    async def tcp(self, address: str, port: int, timeout: float) -> str:
        """Open a connection within `timeout` seconds."""

    async def http(self, address: str, port: int, path: str, timeout: float) -> str:
        """GET `path`; well is a status from 200 to 399 within `timeout` seconds."""


class HostProbe(Probe, Protocol):
    """From the host's own network a service may be asked to do something, too."""

    async def call(self, method: str, address: str, port: int, path: str, status: int | None, timeout: float) -> str:
        """Make an HTTP request without a body; well is `status`, or any from 200 to 299, within `timeout` seconds."""
