"""GET /metrics: who may read it, and that no client holds it up for long."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from jaild import config
from jaild.adapters.peers import GrpcPeers
from jaild.adapters.system.clock import SystemClock
from jaild.engine.supervisor import Supervisor
from jaild.metrics.endpoint import Answer, Endpoint
from jaild.metrics.listener import Listener
from jaild.model.access import Grant, Role
from jaild.model.errors import JaildError, UnavailableError
from jaild.reloading import FileConfiguration
from jaild.rpc.tls import TlsFiles
from jaild.server import ApiServer
from tests.fakes.use_cases.every import Fakes

GRANTS = {
    "web-team": Grant(roles=(Role.METRICS,)),
    "watcher": Grant(roles=(Role.VIEWER,)),
    "beta": Grant(roles=(Role.PEER,)),
}
GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
BODY = b"x 1\n" * 1_000_000  # more than the kernel's buffers take


async def exposed(headers: Mapping[str, str]) -> Answer:
    return BODY, {"Content-Type": f"text/plain; asked={headers.get('accept', '')}"}


async def ignored(kind: str, target: str, message: str) -> None:
    """Tell nobody."""


@pytest.fixture
def supervisor() -> Supervisor:
    return Supervisor(SystemClock(), ignored)


@pytest.fixture
async def plain(supervisor: Supervisor) -> AsyncIterator[Endpoint]:
    found = Endpoint(Listener(address="127.0.0.1:0"), {}, supervisor, exposed)
    found.start()
    yield found
    await found.stop()


async def answer_to(
    port: int, request: bytes, tls: ssl.SSLContext | None = None, heard: list[str] | None = None
) -> tuple[str, bytes]:
    """The status line and headers, and the body; the server's name is added to `heard`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    if tls is not None and heard is not None:
        heard += [value for part in writer.get_extra_info("peercert")["subject"] for _, value in part]
    try:
        writer.write(request)
        head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
    finally:
        writer.close()
    return head.decode(), body


def shown(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=files.authority)
    context.load_cert_chain(files.certificate, files.key)
    return context


async def test_one_path_is_read_whole_and_everything_else_is_refused(plain: Endpoint) -> None:
    head, body = await answer_to(plain.port, GET.replace(b"\r\n\r\n", b"\r\nAccept: openmetrics\r\n\r\n"))
    assert head.startswith("HTTP/1.1 200 ")
    assert "Content-Type: text/plain; asked=openmetrics" in head
    assert body == BODY
    for request, status in {
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n": "404",
        b"GET /metrics?a=b HTTP/1.0\r\n\r\n": "200",
        b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc": "405",
        b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n": "405",
        b"\x16\x03\x01 tls\r\n\r\n": "400",
        b"GET /metrics HTTP/1.1\r\n" + b"a: b\r\n" * 4000: "431",
        b"": "",
    }.items():
        reader, writer = await asyncio.open_connection("127.0.0.1", plain.port)
        writer.write(request)
        writer.write_eof()
        assert (await reader.read(-1)).decode()[9:12] == status, request[:40]
        writer.close()


async def test_clients_that_are_slow_or_silent_lose_their_places_in_time(
    supervisor: Supervisor,
) -> None:
    plain = Endpoint(Listener(address="127.0.0.1:0"), {}, supervisor, exposed, seconds=0.2)
    plain.start()
    silent = [await asyncio.open_connection("127.0.0.1", plain.port) for _ in range(8)]
    slow = [await asyncio.open_connection("127.0.0.1", plain.port) for _ in range(8)]
    for _, writer in slow:  # it asks, and reads nothing
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(GET)
    assert (await answer_to(plain.port, GET))[1] == BODY  # waits for a place
    for reader, writer in silent:
        assert await reader.read(-1) == b""
        writer.close()
    for _, writer in slow:
        writer.transport.abort()
    await plain.stop()


async def test_a_certificate_decides_and_a_new_one_counts_for_the_next_connection(
    supervisor: Supervisor, certificates: dict[str, TlsFiles], tmp_path: Path
) -> None:
    own = tuple(tmp_path / part for part in ("certificate", "key", "authority"))

    def install(files: TlsFiles) -> None:
        for place, source in zip(own, (files.certificate, files.key, files.authority), strict=True):
            place.write_bytes(source.read_bytes())

    heard: list[str] = []  # the names in the server's certificates

    async def status(name: str) -> str:
        context = shown(certificates[name]) if name else nobody
        try:
            return (await answer_to(served.port, GET, context, heard))[0][9:12] or "refused"
        except OSError:
            return "refused"

    install(certificates["server"])
    nobody = ssl.create_default_context(cafile=own[2])
    path = tmp_path / "jaild.yaml"
    path.write_text(
        f"metrics: {{address: '127.0.0.1:0', tls: {{certificate: {own[0]}, key: {own[1]}, authority: {own[2]}}}}}\n"
    )
    running = config.load(path, {})
    assert running.metrics is not None
    served = Endpoint(running.metrics, GRANTS, supervisor, exposed)
    served.start()
    reloading = FileConfiguration(lambda: config.load(path, {}), running, GrpcPeers({}))
    reloading.serves(ApiServer(Fakes().services(), Fakes().audit, socket=tmp_path / "s"), served)
    assert [await status(name) for name in ("web-team", "watcher", "beta", "stranger")] == ["200", "200", "403", "403"]
    assert await status("") == "refused"

    install(certificates["beta"])
    path.write_text(path.read_text() + "grants: {web-team: {roles: [metrics]}}\n")
    assert (await reloading.reload(validate_only=False)).applied == ("grants.web-team", "metrics.tls")
    assert (await status("web-team"), await status("watcher"), heard[-1]) == ("200", "403", "beta")
    path.write_text("metrics: {address: '127.0.0.1:0'}\n")  # never open to all without a restart
    assert (await reloading.reload(validate_only=False)).needs_restart == ("metrics.tls",)
    assert (await status("web-team"), heard[-1]) == ("403", "beta")
    await served.stop()


async def test_a_socket_of_the_host_is_for_its_programs_and_taken_over_from_the_last_daemon(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    socket, file = tmp_path / "metrics.sock", tmp_path / "kept"
    for _ in range(2):  # the first leaves its socket behind
        endpoint = Endpoint(Listener(address=f"unix:{socket}"), {}, supervisor, exposed)
        endpoint.start()
        reader, writer = await asyncio.open_unix_connection(socket)
        writer.write(GET)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()
        await endpoint.stop()
    assert socket.is_socket()
    file.write_text("not a socket")
    with pytest.raises(UnavailableError) as refused:
        Endpoint(Listener(address=f"unix:{file}"), {}, supervisor, exposed).start()
    assert (refused.value.reason, file.read_text()) == ("LISTEN_FAILED", "not a socket")
    assert Listener(address=f"unix:{socket}").url == f"unix:{socket}"


def test_where_it_listens_is_refused_with_why(tmp_path: Path) -> None:
    path = tmp_path / "jaild.yaml"
    for text, refusal in {
        "{address: '127.0.0.1:9464'}": "",
        "{address: '[::1]:9464'}": "",
        "{address: 'localhost:0'}": "",
        "{address: '0.0.0.0:9464', insecure: true}": "",
        "{address: '0.0.0.0:9464'}": "open to other hosts",
        "{address: 'site.example:9464'}": "open to other hosts",
        "{address: '9464'}": "no address",
        "{address: '127.0.0.1:99999'}": "no address",
        "{address: '127.0.0.1:1', every: 0}": "every",
    }.items():
        path.write_text(f"metrics: {text}")
        if refusal:
            with pytest.raises(JaildError, match=refusal):
                config.load(path, {})
        else:
            assert config.load(path, {}).metrics is not None
