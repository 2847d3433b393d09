"""What jail_get(2), jail_remove(2) and sysctlbyname(3) are given and what their answers become, on a libc that is told.

Offsets and sizes are those that a compiler finds in the headers of 15.1, for amd64 and arm64; 13 and 14 have the same.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import pytest

from jaild.adapters.freebsd import facts as freebsd_facts
from jaild.adapters.freebsd.kernel import Jail
from jaild.adapters.freebsd.kernel_calls import Process
from jaild.adapters.freebsd.kernel_commands import KernelCommands
from jaild.model.errors import FailedPreconditionError, InternalError, UnavailableError
from tests.fakes.freebsd_host import FakeJail, FreebsdHost
from tests.fakes.freebsd_libc import FakeLibc

TREE = "/var/run/jaild/trees/web/1"


@pytest.fixture
def libc() -> Iterator[FakeLibc]:
    host = FreebsdHost()
    yield FakeLibc(host.table, host)
    host.kernel.close()


def test_structures_are_as_large_as_the_kernels_and_their_fields_at_its_places() -> None:
    assert ctypes.sizeof(Process) == 1088
    places = {"ki_structsize": 0, "ki_pid": 72, "ki_comm": 447, "ki_jid": 592}
    assert {name: getattr(Process, name).offset for name in places} == places
    assert Process.ki_comm.size == 20


async def test_all_jails_are_told_in_their_order_and_dying_ones_as_such(libc: FakeLibc) -> None:
    libc.host.jails = {
        7: FakeJail(7, "web_1", TREE, {}, dying=True),
        12: FakeJail(12, "web_1_2", TREE, {}),
        300: FakeJail(300, "x" * 255, "/" + "y" * 1022, {}),
    }
    found = await libc.kernel().jails()
    assert found[:2] == [
        Jail(jid=7, name="web_1", path=TREE, dying=True),
        Jail(jid=12, name="web_1_2", path=TREE, dying=False),
    ]
    assert [(each.jid, len(each.name), len(each.path)) for each in found[2:]] == [(300, 255, 1023)]
    assert found == await KernelCommands(libc.host.processes).jails()


async def test_no_jails_are_an_empty_list_and_another_error_is_told(libc: FakeLibc) -> None:
    assert await libc.kernel().jails() == []
    libc.host.jails = {1: FakeJail(1, "long", "/" * 1024, {})}  # as no kernel would have it
    with pytest.raises(InternalError) as failed:
        await libc.kernel().jails()
    assert (failed.value.reason, failed.value.detail["errno"]) == ("CALL_FAILED", "EINVAL")


async def test_processes_are_told_by_jail(libc: FakeLibc) -> None:
    libc.host.jails = {3: FakeJail(3, "web_1", TREE, {})}
    first, second = libc.host.spawn(3, "nginx"), libc.host.spawn(3, "nginx")
    libc.host.spawn(0, "daemon")
    kernel, commands = libc.kernel(), KernelCommands(libc.host.processes)
    assert await kernel.processes(3) == {first: "nginx", second: "nginx"} == await commands.processes(3)
    assert await kernel.processes(4) == {} == await commands.processes(4)
    assert await kernel.all_processes() == await commands.all_processes()


async def test_processes_that_come_while_they_are_asked_for_are_asked_for_again(libc: FakeLibc) -> None:
    libc.came = 20
    assert len((await libc.kernel().all_processes())[0]) == 21


async def test_processes_of_another_form_are_not_read(libc: FakeLibc) -> None:
    libc.process_size = 1096
    with pytest.raises(UnavailableError) as failed:
        await libc.kernel().all_processes()
    assert failed.value.reason == "RUNTIME_MISSING"


async def test_values_are_texts_and_numbers_and_what_is_unknown_is_left_out(libc: FakeLibc) -> None:
    names = (*freebsd_facts.NAMES, *freebsd_facts.FREE_NAMES, "no.such")
    found = await libc.kernel().values(*names)
    assert found == await KernelCommands(libc.host.processes).values(*names)
    assert "no.such" not in found
    assert freebsd_facts.parse(found).memory == 8547123200


async def test_a_jail_is_removed_by_its_number_and_one_that_is_not_there_is_told(libc: FakeLibc) -> None:
    libc.host.jails = {3: FakeJail(3, "web_1", TREE, {})}
    libc.host.spawn(3, "nginx")
    await libc.kernel().remove_jail(3)
    assert (libc.host.jails, libc.host.running) == ({}, {})
    for kernel in (libc.kernel(), KernelCommands(libc.host.processes)):
        with pytest.raises(FailedPreconditionError) as missing:
            await kernel.remove_jail(3)
        assert missing.value.reason == "RUN_NOT_RUNNING"


async def test_interfaces_are_the_same_either_way(libc: FakeLibc) -> None:
    assert await libc.kernel().interfaces() == await KernelCommands(libc.host.processes).interfaces()
