"""The lab's wire and agent, without a machine: the agent on one end of a socket, in a thread."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jaild.model.errors import DeadlineExceededError, InternalError, UnavailableError
from tests.lab import agent
from tests.lab.frames import WINDOW
from tests.lab.processes import LabProcesses
from tests.lab.wire import Wire

_CAT = ("cat",)


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[tuple[Wire, socket.socket]]:
    """This end of the wire, and the machine's."""
    path = tmp_path / "wire"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        wire = Wire(path)
        end, _ = listening.accept()
    serving = threading.Thread(target=lambda: agent.serve(agent.Port(end.fileno())))
    serving.start()
    yield wire, end
    wire.close()
    serving.join()
    end.close()


@pytest.fixture
def wire(ends: tuple[Wire, socket.socket]) -> Wire:
    return ends[0]


@pytest.fixture
def processes(wire: Wire) -> LabProcesses:
    assert wire.wait_up(10)
    return LabProcesses(wire)


async def test_output_both_streams_and_status_come_back(processes: LabProcesses) -> None:
    done = await processes.run(["sh", "-c", "cat; echo err >&2; exit 3"], stdin=b"in", check=False)
    assert (done.stdout, done.stderr, done.status) == (b"in", b"err\n", 3)


async def test_more_than_a_window_goes_through_both_ways(processes: LabProcesses) -> None:
    data = bytes(range(256)) * (3 * WINDOW // 256)
    assert (await processes.run(_CAT, stdin=data)).stdout == data


async def test_a_program_that_reads_nothing_holds_up_nobody_else_and_can_be_killed(processes: LabProcesses) -> None:
    async with processes.start(["sleep", "60"]) as stuck:
        writing = asyncio.create_task(stuck.write(bytes(2 * WINDOW)))
        assert (await processes.run(["echo", "others"])).stdout == b"others\n"
        assert not writing.done()
        stuck.kill()
        assert (await stuck.wait()).status == -9
        with pytest.raises(BrokenPipeError):
            await writing


async def test_output_that_nobody_reads_holds_up_nobody_else(processes: LabProcesses) -> None:
    async with processes.start(["cat", "/dev/zero"]):
        assert (await processes.run(["echo", "others"])).stdout == b"others\n"


async def test_output_that_is_read_after_the_end_of_the_program_is_whole(processes: LabProcesses) -> None:
    async with processes.start(["head", "-c", "100000", "/dev/zero"]) as child:
        assert (await child.wait()).status == 0
        assert b"".join([piece async for piece in child.read()]) == bytes(100000)


async def test_a_program_that_closes_its_input_breaks_the_pipe(processes: LabProcesses) -> None:
    async with processes.start(["sh", "-c", "exec <&-; echo closed; sleep 60"]) as child:
        async for _ in child.read():
            break
        with pytest.raises(BrokenPipeError):
            await child.write(bytes(2 * WINDOW))


async def test_a_program_that_is_not_there_is_named(processes: LabProcesses) -> None:
    with pytest.raises(UnavailableError) as caught:
        await processes.run(["no-such-program"])
    assert caught.value.resource == "no-such-program"


async def test_a_bad_status_raises_with_what_was_said_and_a_deadline_kills(processes: LabProcesses) -> None:
    with pytest.raises(InternalError, match="bad luck"):
        await processes.run(["sh", "-c", "echo bad luck >&2; exit 1"])
    with pytest.raises(DeadlineExceededError):
        await processes.run(["sleep", "60"], timeout=0.1)


async def test_a_machine_that_goes_away_ends_every_wait(
    ends: tuple[Wire, socket.socket], processes: LabProcesses
) -> None:
    running = asyncio.create_task(processes.run(["sleep", "60"]))
    assert (await processes.run(["true"])).status == 0
    await asyncio.to_thread(ends[1].shutdown, socket.SHUT_RDWR)
    with pytest.raises(ConnectionResetError):
        await running
    with pytest.raises(ConnectionResetError):
        await processes.run(["true"])
