"""The program that makes a health check from inside a jail's network, here in the network of the test."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator

import pytest

from jaild.adapters.runtime import inside
from jaild.adapters.system.process import ProcessRunner
from jaild.model.jails.spec import HttpCheck, TcpCheck


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A server that answers every request with 204."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.0 204 nothing\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def said(check: HttpCheck | TcpCheck) -> str:
    return (await ProcessRunner().run(inside.argv(check, "127.0.0.1"))).text


async def test_it_says_nothing_of_what_is_well(port: int) -> None:
    assert await said(HttpCheck(port=port, path="/up?a=b c")) == ""
    assert await said(TcpCheck(port=port)) == ""


async def test_it_says_what_is_wrong(port: int) -> None:
    assert (await said(TcpCheck(port=1))).startswith(f"tcp 127.0.0.1:1: [Errno {errno.ECONNREFUSED}] ")
    assert "is not HTTP" not in await said(HttpCheck(port=port))


def test_the_jail_to_enter_is_told_where_one_has_to_be() -> None:
    linux, freebsd = inside.argv(TcpCheck(port=80), "10.0.0.5"), inside.argv(TcpCheck(port=80), "10.0.0.5", jid=7)
    assert (linux[4], freebsd[4]) == ("", "7")
    assert linux[5:] == freebsd[5:] == ("tcp", "10.0.0.5", "80", "", "2.0")
