"""Port: asking a service from outside whether it is there."""

from __future__ import annotations

from typing import Protocol


class Probe(Protocol):
    """Health checks over the network. Both return '' when it is well, else what was wrong, for people."""

    async def tcp(self, address: str, port: int, timeout: float) -> str:
        """Open a connection within `timeout` seconds."""

    async def http(self, address: str, port: int, path: str, timeout: float) -> str:
        """GET `path`; well is a status from 200 to 399 within `timeout` seconds."""
