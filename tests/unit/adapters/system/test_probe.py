"""Health checks over the network: a service may answer whatever it likes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from jaild.adapters.system.probe import SocketProbe


@asynccontextmanager
async def service(answer: bytes) -> AsyncIterator[int]:
    """Serve `answer` to everybody, and yield the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def asked(answer: bytes) -> str:
    async with service(answer) as port:
        return await SocketProbe().http("127.0.0.1", port, "/", 5.0)


async def test_a_good_status_is_healthy() -> None:
    assert await asked(b"HTTP/1.0 204 No Content\r\n\r\n") == ""
    assert await asked(b"HTTP/1.0 200") == ""


async def test_a_bad_status_is_told() -> None:
    assert "'HTTP/1.1 503 Sorry'" in await asked(b"HTTP/1.1 503 Sorry\r\n\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        b"x" * (70 << 10),
        b"HTTP/1.1 2" + b"0" * (70 << 10),
        b"",
        b"\n",
        b"HTTP/1.1 \xb2\xb2\xb2 superscript\r\n",
        b"HTTP/1.1\r\n",
        b"\xff\xfe\x00\r\n",
    ],
    ids=[
        "70 KiB, no newline",
        "a status of 70 KiB",
        "nothing",
        "a newline",
        "superscripts",
        "no status",
        "bytes",
    ],
)
async def test_an_answer_that_is_no_http_is_a_failed_check(answer: bytes) -> None:
    problem = await asked(answer)
    assert problem.startswith("http://127.0.0.1:")
    assert "answered" in problem
    assert len(problem) < 200


@pytest.mark.parametrize(
    ("answer", "status", "good"),
    [
        (b"HTTP/1.0 204 No Content", None, True),
        (b"HTTP/1.0 302 Found", None, False),
        (b"HTTP/1.0 302 Found", 302, True),
        (b"HTTP/1.0 200 OK", 204, False),
    ],
)
async def test_a_call_is_done_when_the_status_is_the_one_that_was_expected(
    answer: bytes, status: int | None, *, good: bool
) -> None:
    async with service(answer) as port:
        problem = await SocketProbe().call("PUT", "127.0.0.1", port, "/drain?a=1", status, 5.0)
    assert (problem == "") is good
    assert good or problem.startswith(f"PUT http://127.0.0.1:{port}/drain?a=1: answered")


async def test_a_call_sends_its_method_its_path_and_no_body() -> None:
    sent: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await SocketProbe().call("POST", "127.0.0.1", port, "/a", None, 5.0) == ""
    assert sent == [b"POST /a HTTP/1.0\r\nHost: 127.0.0.1\r\nUser-Agent: jaild\r\nContent-Length: 0\r\n\r\n"]


async def test_a_call_that_is_not_answered_ends_at_its_time() -> None:
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert "no answer within 0.05 s" in await SocketProbe().call("POST", "127.0.0.1", port, "/a", None, 0.05)
