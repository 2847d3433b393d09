"""What a test's host on FreeBSD is made of, as far as it can be tried elsewhere: what is asked, ended, taken away."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from jaild.adapters.zfs.embedded import pool_name_for
from tests import freebsd_userland
from tests.demo.programs import ProgramError
from tests.e2e import freebsd_ground
from tests.e2e.freebsd_ground import FreebsdGround


class Machine:
    """A machine with a jail of ours and one of somebody else, and a pool that is busy at first."""

    def __init__(self, folder: Path) -> None:
        self.ran: list[str] = []
        self.jails = f"7 {folder}/run/trees/edge-1/2\n8 {folder}/run/trees/edge-10/1\n9 /jails/theirs\n"
        self.mounts = f"tank/x {folder}/zfs zfs rw 0 0\n/x {folder}/run/trees/edge-1/2 nullfs ro 0 0\n"
        self.mounts += f"tmpfs {folder}/run/trees/edge-1/2/tmp tmpfs rw 0 0\n"
        self.pool = pool_name_for(folder)
        self.processes: dict[str, str] = {}
        self.busy = 1

    def run(self, argv: Sequence[str]) -> str:
        self.ran.append(" ".join(argv))
        match argv:
            case "jail", "-R", jid:
                self.jails = "".join(line for line in self.jails.splitlines(keepends=True) if line.split()[0] != jid)
            case "zpool", "export", *_:
                self.busy -= 1
                if self.busy >= 0:
                    raise ProgramError(argv, 1, "pool is busy")
        said = {
            "jls jid": self.jails,
            "mount -p": self.mounts,
            "ifconfig -l": "lo0 jle0\n",
            "ps -axo": "JID PID\n0 1\n7 70\n7 71\n8 80\n9 90\n" if self.jails else "JID PID\n0 1\n",
            "ps -axwwo": "PID PPID COMMAND\n" + "".join(f"{pid} {rest}\n" for pid, rest in self.processes.items()),
            "zpool list": f"zroot\n{self.pool}\n" if self.busy >= 0 else "zroot\n",
        }
        return said.get(" ".join(argv[:2]), "")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    monkeypatch.setattr(freebsd_ground, "run", machine.run)
    return machine


@pytest.mark.usefixtures("machine")
def test_processes_of_a_jail_are_those_in_its_trees(tmp_path: Path) -> None:
    ground = FreebsdGround(tmp_path, "")
    assert ground.jail_processes("edge-1") == [70, 71]
    assert ground.jail_processes() == [70, 71, 80]


def test_processes_of_a_host_are_also_those_that_name_it_but_not_its_daemon_whose_parent_we_are(
    machine: Machine, tmp_path: Path
) -> None:
    machine.processes = {
        "1": "0 /sbin/init",
        "11": f"{os.getpid()} python -m jaild --embedded {tmp_path}",
        "12": f"11 daemon: {tmp_path}/run/runs/edge-1.2/pid",
        "13": f"1 zfs receive {machine.pool}/jaild/jails/edge-1",
    }
    assert FreebsdGround(tmp_path, "").processes() == [12, 13, 70, 71, 80]


def test_a_host_without_power_has_neither_jails_nor_mounts_nor_interfaces_nor_its_pool(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FreebsdGround, "processes", lambda _: [])
    FreebsdGround(tmp_path, "jle0").cut_power()
    done = [line for line in machine.ran if line.split()[1] in {"-R", "-f", "jle0", "export"}]
    tree = f"{tmp_path}/run/trees/edge-1/2"
    assert done == [
        *("jail -R 7", "jail -R 8", f"umount -f {tree}/tmp", f"umount -f {tree}", "ifconfig jle0 destroy"),
        *(f"zpool export -f {machine.pool}",) * 2,
    ]


def test_whatever_a_destroyed_host_left_is_told(machine: Machine, tmp_path: Path) -> None:
    ground = FreebsdGround(tmp_path, "")
    left = ["jail 7", "jail 8", "70", "71", "80"]
    assert ground.left() == [*left, *(line.split()[1] for line in machine.mounts.splitlines()), machine.pool]
    machine.jails, machine.mounts, machine.busy = "9 /jails/theirs\n", "tank / zfs rw 0 0\n", -1
    assert ground.left() == []


def test_a_tiny_userland_has_this_machines_programs_with_their_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    found = subprocess.run(["ldd", "/bin/sh"], check=True, capture_output=True, text=True).stdout
    library = next(word for word in found.split() if word.startswith("/") and "libc" in word)
    monkeypatch.setattr(freebsd_userland, "PROGRAMS", ("/bin/sh",))
    monkeypatch.setattr(freebsd_userland, "LINKER", library)
    monkeypatch.setattr(freebsd_userland, "run", lambda _: f"[vdso]\n{library}\n{library}\n")
    items = {str(item.name): item for item in freebsd_userland.base_items("2", {"own.conf": "own\n"})}
    assert items["bin/sh"].data[:4] == b"\x7fELF"
    assert items["etc/motd"].data == b"tiny 2\n"
    assert items["etc/own.conf"].data == b"own\n"
    assert b'USERLAND_VERSION="' in items["bin/freebsd-version"].data
    before: set[str] = set()
    for name in items:  # a folder comes before what is in it
        assert str(Path(name).parent) in before | {"."}, name
        before.add(name)
