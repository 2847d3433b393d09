"""The page's own process: it binds to loopback, prints the address with the token, and serves until Ctrl-C."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from ipaddress import ip_address

import uvicorn

from jaild.client import AioApi
from jaild.web.app import build
from jaild.web.gate import Keys
from jaild.web.site import Fleet

_GRACE = 1  # seconds that open streams get when it ends


def bound(address: str, port: int) -> socket.socket:
    """Return a socket that listens on a loopback address; port 0: any that is free. Raises `OSError`."""
    family = socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET  # noqa: PLR2004
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        made.listen(128)
    except BaseException:
        made.close()
        raise
    return made


def serve(
    listening: socket.socket,
    daemons: Iterable[tuple[str, Callable[[], AioApi]]],
    interval: float,
    ready: Callable[[str], None],
) -> None:
    """Serve until a signal ends it. `ready` gets the address, token and all."""
    address, port = listening.getsockname()[:2]
    keys = Keys()
    config = uvicorn.Config(
        build(Fleet(daemons, interval), keys),
        access_log=False,
        http="h11",
        interface="asgi3",
        log_config=None,
        loop="asyncio",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE,
        ws="none",
    )
    host = f"[{address}]" if ":" in address else address
    ready(f"http://{host}:{port}/?token={keys.token}")
    uvicorn.Server(config).run([listening])
