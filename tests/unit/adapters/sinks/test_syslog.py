"""Events as syslog messages, on real sockets."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jaild.adapters.sinks.making import SinkAdapters
from jaild.adapters.sinks.syslog import SyslogSink, line_message, message
from jaild.adapters.system.process import ProcessRunner
from jaild.model.errors import UnavailableError
from jaild.model.sinks.records import Notice, notice
from jaild.model.sinks.settings import Syslog
from jaild.model.syslog import Line
from jaild.model.views import Event

EVENT = Event(sequence=812, time=1.5, kind="jail.exited", target="jails/web", message="status 1")
NOTICE: Notice = notice("alpha", "f00d", EVENT, 0)
# RFC 5424, 6: <PRI>VERSION TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA MSG
FORM = re.compile(rb'<(\d+)>1 (\S+) (\S+) (\S+) (\S+) (\S+) (\[meta sequenceId="\d+"\]) (\{.*\})', re.DOTALL)


def settings(address: str, **said: Any) -> Syslog:
    return msgspec.convert({"address": address, "timeout": 5, **said}, Syslog)


def parts(said: bytes) -> list[bytes]:
    match = FORM.fullmatch(said)
    assert match is not None, said
    return list(match.groups())


def test_a_message_has_the_form_of_rfc_5424() -> None:
    its = parts(message(settings("unix:/x", facility="local0", severity="err"), NOTICE, 8192))
    assert its[:4] == [b"131", b"1970-01-01T00:00:01.500000Z", b"alpha", b"jaild"]
    assert its[5:7] == [b"jail.exited", b'[meta sequenceId="812"]']
    assert json.loads(its[7]) == json.loads(NOTICE.json())


@pytest.mark.parametrize("letter", ["x", "ü", "\n", "\x00"])
def test_what_is_too_long_is_made_shorter_and_says_where_it_is_in_whole(letter: str) -> None:
    long = msgspec.structs.replace(NOTICE, message=letter * 4096, detail={"a": letter * 4096, "b": letter * 4096})
    for limit in (8192, 2048):
        said = message(settings("unix:/x"), long, limit)
        assert len(said) <= limit
        assert json.loads(parts(said)[7])["detail"] == {"clipped": "jailctl events --after 811"}


LINE = Line(
    facility="local3",
    severity="info",
    time=1.5,
    host="alpha",
    tag="web",
    jail="u-1",
    position=812,
    text="ü [a]\t".encode(),
)


def test_a_line_of_a_jail_is_a_message_with_its_jail_and_where_it_ends() -> None:
    head = b'<158>1 1970-01-01T00:00:01.500000Z alpha web u-1 - [meta sequenceId="812"] '
    assert line_message(LINE) == head + LINE.text


@pytest.mark.parametrize("scheme", ["unix", "udp"])
async def test_lines_by_datagrams_are_one_each_as_long_as_all_must_take(tmp_path: Path, scheme: str) -> None:
    family = socket.AF_UNIX if scheme == "unix" else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as log:
        log.bind(str(tmp_path / "log") if scheme == "unix" else ("127.0.0.1", 0))
        address = f"unix:{tmp_path}/log" if scheme == "unix" else f"udp://127.0.0.1:{log.getsockname()[1]}"
        sinks = SinkAdapters(ProcessRunner())
        long = msgspec.structs.replace(LINE, text=b"x" * sinks.line_bytes(address), tag="t" * 48, host="h" * 64)
        await sinks.send_lines(address, [LINE, long])
        log.setblocking(False)
        assert log.recv(9000) == line_message(LINE)
        assert log.recv(9000) == line_message(long)
        assert len(line_message(long)) <= 2048


async def test_a_local_socket_gets_one_datagram(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(tmp_path / "log"))
        await SyslogSink(settings(f"unix:{tmp_path}/log")).deliver(NOTICE)
        log.setblocking(False)
        assert parts(log.recv(9000))[5] == b"jail.exited"


async def test_udp_gets_one_datagram() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as log:
        log.bind(("127.0.0.1", 0))
        await SyslogSink(settings(f"udp://127.0.0.1:{log.getsockname()[1]}")).deliver(NOTICE)
        assert parts(log.recv(9000))[5] == b"jail.exited"


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def by_tcp(serve: Serve, **said: Any) -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        await SyslogSink(settings(f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}", **said)).deliver(NOTICE)


async def test_tcp_gets_it_with_its_length_and_is_waited_for_until_it_has_read_to_the_end() -> None:
    got: list[bytes] = []

    async def whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.read())
        writer.close()

    await by_tcp(whole)
    length, _, said = got[0].partition(b" ")
    assert (int(length), parts(said)[5]) == (len(said), b"jail.exited")


async def test_a_receiver_that_does_not_read_to_the_end_has_not_taken_it() -> None:
    async def dies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        # What was read by the time is asyncio's: the kernel is told to break off all the same.
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    with pytest.raises(UnavailableError, match="reset"):
        await by_tcp(dies)
    over = asyncio.Event()

    async def hangs(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    with pytest.raises(UnavailableError, match=r"no end within 0\.2 s"):
        await by_tcp(hangs, timeout=0.2)
    over.set()


async def test_nobody_there_is_told(tmp_path: Path) -> None:
    for address in (f"unix:{tmp_path}/log", "tcp://127.0.0.1:1"):
        with pytest.raises(UnavailableError) as failed:
            await SyslogSink(settings(address)).deliver(NOTICE)
        assert failed.value.reason == "SINK_UNREACHABLE"
