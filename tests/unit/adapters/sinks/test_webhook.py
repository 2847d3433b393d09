"""Webhooks, on a real HTTP server."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jaild.adapters.sinks.making import SinkAdapters
from jaild.adapters.sinks.webhook import signature
from jaild.adapters.system.process import ProcessRunner
from jaild.model.errors import UnavailableError
from jaild.model.sinks.records import Notice, notice
from jaild.model.sinks.settings import SinkSettings
from jaild.model.views import Event
from jaild.ports.sinks import Sink
from jaild.rpc.tls import TlsFiles
from tests.hosts.receiving import SECRET, receiving

EVENT = Event(sequence=812, time=1.5, kind="jail.exited", target="jails/web", message="Ümlaut", detail={"status": "1"})
NOTICE: Notice = notice("alpha", "f00d", EVENT, 2)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(SECRET + b"\n")
    return path


def sink(url: str, secret: Path, **said: Any) -> Sink:
    told = {"webhook": {"url": url, "secret": str(secret), "timeout": 5, **said}}
    return SinkAdapters(ProcessRunner()).make(
        msgspec.convert(told, SinkSettings, dec_hook=lambda kind, value: kind(value))
    )


async def test_an_event_is_posted_as_json_with_a_signature_over_the_time_and_the_body(secret: Path) -> None:
    with receiving() as received:
        await sink(f"http://127.0.0.1:{received.port}/hook/x?team=ops", secret).deliver(NOTICE)
        assert received.events == [
            {
                "host": "alpha",
                "host_id": "f00d",
                "sequence": 812,
                "time": "1970-01-01T00:00:01.500000Z",
                "kind": "jail.exited",
                "target": "jails/web",
                "message": "Ümlaut",
                "detail": {"status": "1"},
                "missed": 2,
            }
        ]
        assert (received.path, received.keys) == ("/hook/x?team=ops", ["f00d-812"])
        assert abs(received.times[0] - time.time()) < 60


def test_the_signature_is_the_one_of_the_documentation() -> None:
    assert signature(b"s" * 32, 1764500000, b'{"host":"alpha"}') == (
        "t=1764500000,v1=" + "03d5866197d7e8bcfcc505d8ddbe257b01c3ffaea8b167c32e2d481904c46df3"
    )


async def test_whatever_is_no_2xx_is_a_refusal_and_no_redirect_is_followed(secret: Path) -> None:
    with receiving() as received:
        to = sink(f"http://127.0.0.1:{received.port}/", secret)
        received.status, received.body = 503, b"later, " * 1000
        with pytest.raises(UnavailableError, match="answered 503: later, later") as refused:
            await to.deliver(NOTICE)
        assert len(refused.value.message) < 300
        received.status, received.headers = 307, {"Location": f"http://127.0.0.1:{received.port}/other"}
        with pytest.raises(UnavailableError, match="answered 307"):
            await to.deliver(NOTICE)
        assert received.path == "/"
        (secret).write_bytes(b"x" * 32)
        received.status = 204
        with pytest.raises(UnavailableError, match="answered 403"):
            await sink(f"http://127.0.0.1:{received.port}/", secret).deliver(NOTICE)


async def test_an_answer_that_repeats_the_address_is_told_without_it(secret: Path) -> None:
    with receiving() as received:
        received.status, received.body = 404, b"Cannot POST /T000/token?key=hidden"
        with pytest.raises(UnavailableError, match=r"answered 404: Cannot POST /\.\.\.") as refused:
            await sink(f"http://127.0.0.1:{received.port}/T000/token?key=hidden", secret).deliver(NOTICE)
    assert not [word for word in ("token", "hidden") if word in str(refused.value)]


async def test_a_name_that_nobody_can_have_is_told_as_an_address(secret: Path) -> None:
    with pytest.raises(UnavailableError) as failed:
        await sink("https://pager..example/", secret).deliver(NOTICE)
    assert failed.value.reason == "SINK_UNREACHABLE"


async def test_who_shows_another_certificate_is_told_nothing(secret: Path, certificates: dict[str, TlsFiles]) -> None:
    with receiving(certificates["server"]) as received:
        url = f"https://127.0.0.1:{received.port}/"
        with pytest.raises(UnavailableError, match="certificate"):
            await sink(url, secret).deliver(NOTICE)  # the system's authorities do not know it
        assert received.events == []
        authority = str(certificates["server"].authority)
        await sink(url, secret, authority=authority).deliver(NOTICE)
        assert received.keys == ["f00d-812"]
        with pytest.raises(UnavailableError, match="localhost"):  # which the certificate does not name
            await sink(f"https://localhost:{received.port}/", secret, authority=authority).deliver(NOTICE)


async def test_who_says_nothing_costs_no_more_than_the_time_that_is_set(secret: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            writer.write(b"HTTP/1.1 200")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(UnavailableError, match=r"no answer within 0\.2 s"):
            await sink(f"http://127.0.0.1:{port}/", secret, timeout=0.2).deliver(NOTICE)


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH_9.2\r\n", b"", b"HTTP/1.1 200 " + b"x" * 100_000])
async def test_who_speaks_no_http_has_not_taken_it(secret: Path, said: bytes) -> None:
    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(other, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(UnavailableError) as failed:
            await sink(f"http://127.0.0.1:{port}/", secret).deliver(NOTICE)
    assert failed.value.reason == "SINK_UNREACHABLE"


async def test_nobody_there_is_told_without_what_the_address_may_hold(secret: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(UnavailableError) as failed:
            await sink(f"http://127.0.0.1:{taken.getsockname()[1]}/T000/token", secret).deliver(NOTICE)
    assert failed.value.reason == "SINK_UNREACHABLE"
    assert "token" not in str(failed.value)


@pytest.mark.parametrize(("content", "why"), [(None, "No such file"), (b"short\n", "has 5 bytes")])
def test_a_secret_that_is_not_there_or_too_short_makes_no_sink(tmp_path: Path, content: bytes | None, why: str) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnavailableError, match=why) as refused:
        sink("https://pager.example/", path)
    assert refused.value.reason == "SINK_UNUSABLE"


def test_nor_does_an_authority_that_is_none(secret: Path) -> None:
    with pytest.raises(UnavailableError) as refused:
        sink("https://pager.example/", secret, authority=str(secret))
    assert refused.value.reason == "SINK_UNUSABLE"
