"""A real server with made-up use cases, reached through its socket or with certificates."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest

from jaild.adapters.certificates import CertificateAuthority
from jaild.adapters.system.process import ProcessRunner
from jaild.model.access import Grant, Role
from jaild.rpc.tls import TlsFiles
from jaild.server import ApiServer, Tcp
from tests.fakes.use_cases.every import Fakes

GRANTS = {
    "watcher": Grant(roles=(Role.VIEWER,)),
    "web-team": Grant(roles=(Role.PRODUCT,), apps=("web",)),
    "os-team": Grant(roles=(Role.SOURCE,)),
    "boss": Grant(roles=(Role.OPERATOR,)),
    "beta": Grant(roles=(Role.PEER,)),
}
Dial = Callable[[str], grpc.aio.Channel]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TlsFiles]:
    """Certificates of everybody in GRANTS, of the server, and of a stranger."""
    folder = tmp_path_factory.mktemp("certificates")

    async def issue_all() -> dict[str, TlsFiles]:
        authority = CertificateAuthority(ProcessRunner(), folder)
        return {name: await authority.issue(name, ["127.0.0.1"]) for name in (*GRANTS, "server", "stranger")}

    return asyncio.run(issue_all())


@pytest.fixture
def fakes() -> Fakes:
    return Fakes()


@pytest.fixture
async def server(fakes: Fakes, tmp_path: Path, certificates: dict[str, TlsFiles]) -> AsyncIterator[ApiServer]:
    api = ApiServer(
        fakes.services(),
        fakes.audit,
        socket=tmp_path / "s",
        grants=GRANTS,
        tcp=Tcp(address="127.0.0.1:0", tls=certificates["server"]),
    )
    await api.start()
    yield api
    await api.stop(0)


@pytest.fixture
async def local(server: ApiServer, tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    assert server is not None
    async with grpc.aio.insecure_channel(f"unix:{tmp_path / 's'}") as channel:
        yield channel


@pytest.fixture
async def dial(server: ApiServer, certificates: dict[str, TlsFiles]) -> AsyncIterator[Dial]:
    """Return a channel with somebody's certificate."""
    async with AsyncExitStack() as stack:
        # gRPC shares connections between channels of equal arguments, credentials included by identity.
        numbers = itertools.count()

        def as_somebody(name: str) -> grpc.aio.Channel:
            channel = grpc.aio.secure_channel(
                f"127.0.0.1:{server.port}",
                certificates[name].channel_credentials(),
                options=[("jaild.test", next(numbers))],
            )
            stack.push_async_callback(channel.close, None)
            return channel

        yield as_somebody
