"""A FreeBSD host as its programs tell it: jails, mounts, interfaces and processes, with the texts of 13.2's recordings.

`host.processes` is what a runtime runs programs with, `host.events()` what it learns of processes by.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests import jailconf
from tests.fakes.freebsd_kernel import FakeEvents, FakeKernel
from tests.fakes.freebsd_mount_table import MountTable
from tests.fakes.processes import Argv, Hangs, Said, ScriptedProcesses, Told

LONGEST_NAME = 15  # of an interface


@dataclass
class FakeJail:
    jid: int
    name: str
    path: str
    parameters: jailconf.Jail
    dying: bool = False
    counted: bool = False  # by racctd, whose counters rctl(8) shows


@dataclass
class FakeProcess:
    pid: int
    jid: int
    name: str
    deaf: bool = False  # to all but SIGKILL


@dataclass
class FakeInterface:
    name: str
    pair: str = ""  # an epair's other end
    lines: list[str] = field(default_factory=list)  # what ifconfig(8) shows of it below the first line
    jid: int = 0  # whose network it is in
    unit: str = ""  # of a bridge: the name that the kernel made it with, which stays taken when it is renamed


class FreebsdHost:
    """Programs of FreeBSD, in memory, and folders for what is mounted."""

    def __init__(self) -> None:
        self.processes = ScriptedProcesses(self.answer)
        self.kernel = FakeKernel(lambda pid: pid in self.running)
        self.sysctls = {
            "kern.osrelease": "13.2-RELEASE",
            "kern.osreldate": "1302001",
            "hw.machine_arch": "amd64",
            "hw.physmem": "8547123200",
            "hw.ncpu": "4",
            "vm.stats.vm.v_page_size": "4096",
            "vm.stats.vm.v_free_count": "1000000",
            "vm.stats.vm.v_inactive_count": "100000",
            "kstat.zfs.misc.arcstats.size": "1073741824",
            "kstat.zfs.misc.arcstats.c_min": "268435456",
            "kern.racct.enable": "1",
            "net.inet.ip.forwarding": "1",
            "net.inet6.ip6.forwarding": "1",
        }
        self.jails: dict[int, FakeJail] = {}
        self.running: dict[int, FakeProcess] = {}
        self.table = MountTable(lambda place: any(jail.path == place for jail in self.jails.values()))
        self.interfaces = {name: FakeInterface(name) for name in ("em0", "lo0")}
        self.pools: dict[str, bool] = {}  # whether it is imported
        self.datasets: set[str] = set()
        self.rules: list[str] = []
        jails = "100 include 1\n200 include 2\n300 include 3\n400 path fuse unhide\n500 path zfs unhide\n"
        self.rulesets = {1: "100 hide\n", 2: "100 path null unhide\n", 4: jails}
        self.pf = {"info": "Status: Enabled for 0 days 00:10:42", "nat": 'rdr-anchor "jaild/*" all'}
        self.anchors: dict[str, str] = {}
        self.scripts: dict[tuple[str, ...], tuple[int, bytes, bytes]] = {}  # what commands in a jail do
        self.boots_into: tuple[str, ...] = ("syslogd", "cron")
        self.broken: set[str] = set()  # programs that cannot be executed
        self.deaf: set[str] = set()  # programs that heed nothing but SIGKILL
        self.refuse: dict[str, Said] = {}  # by the beginning of a command line
        self.hang: set[str] = set()  # likewise
        self.linger = False  # whether removed jails go on dying: connections of theirs are in TIME_WAIT
        self._last = {"jid": 0, "pid": 1491, "epair": -1}

    def events(self) -> FakeEvents:
        """Return what a new daemon learns of processes by."""
        return FakeEvents(self.kernel, self.kill)

    def kill(self, pid: int, number: signal.Signals) -> None:
        """Send a signal, and note it among the programs that were run."""
        self.processes.calls.append(Told(("kill", f"-{number.name.removeprefix('SIG')}", str(pid)), Said()))
        process = self.running.get(pid)
        if process is not None and (number is signal.SIGKILL or not process.deaf):
            self.exit(pid, 9 if number is signal.SIGKILL else 0)

    def exit(self, pid: int, status: int) -> None:
        """End a process with a status as wait(2) tells it."""
        del self.running[pid]
        self.kernel.exited(pid, status)

    def spawn(self, jid: int, name: str) -> int:
        """Start a process in a jail."""
        pid = self._next("pid")
        self.running[pid] = FakeProcess(pid, jid, name, deaf=name in self.deaf)
        return pid

    def pids(self, jid: int) -> list[int]:
        """Return a jail's processes."""
        return [p.pid for p in self.running.values() if p.jid == jid]

    async def answer(self, argv: Argv, stdin: bytes) -> Said:
        """Do what a program does, and say what it says."""
        line = " ".join(argv)
        for beginning, said in self.refuse.items():
            if line.startswith(beginning):
                return said
        if any(line.startswith(beginning) for beginning in self.hang):
            raise Hangs
        if argv[0] == sys.executable:
            assert argv[1:3] == ("-I", "-S")
            assert argv[5] == "0" or int(argv[5]) in self.jails
            return Said()
        if argv[0] in {"jexec", "pfctl"}:
            return self._jexec(argv, stdin) if argv[0] == "jexec" else self._pfctl(argv, stdin)
        do: Callable[[Argv], Said] = getattr(self, f"_{argv[0]}")
        return do(argv)

    def _next(self, kind: str) -> int:
        self._last[kind] += 1
        return self._last[kind]

    # -- sysctl, modules, mounts

    def _sysctl(self, argv: Argv) -> Said:
        for name in argv[2:]:
            if name not in self.sysctls:
                return Said(stderr=f"sysctl: unknown oid '{name}'\n", status=1)
        return Said("".join(f"{self.sysctls[name]}\n" for name in argv[2:]))

    def _kldload(self, _argv: Argv) -> Said:
        return Said()

    def _devfs(self, argv: Argv) -> Said:
        assert (*argv[:3], argv[4]) == ("devfs", "rule", "-s", "show")
        return Said(self.rulesets.get(int(argv[3]), ""))

    def _mount(self, argv: Argv) -> Said:
        return self.table.mount(argv)

    def _umount(self, argv: Argv) -> Said:
        return self.table.umount(argv)

    # -- jails and processes

    def _jls(self, argv: Argv) -> Said:
        assert argv == ("jls", "-d", "--libxo", "json", "jid", "name", "path", "dying")
        rows = [
            {"jid": str(j.jid), "name": j.name, "path": j.path, "dying": "true" if j.dying else "false"}
            for j in self.jails.values()
        ]
        return Said(json.dumps({"__version": "2", "jail-information": {"jail": rows}}))

    def _ps(self, argv: Argv) -> Said:
        if argv[1:] == ("-ax", "-o", "jid,pid,comm"):
            rows = [f"{p.jid:4d} {p.pid:5d} {p.name}\n" for p in self.running.values()]
            return Said(" JID   PID COMMAND\n" + "    0     1 init\n" + "".join(rows))
        shown = [p for p in self.running.values() if p.jid == int(argv[2])]
        if argv[4] == "pid,rss,time":
            rows = [f"{p.pid:5d} 2084 0:01.25\n" for p in shown]
            return Said("  PID  RSS    TIME\n" + "".join(rows), status=0 if shown else 1)
        return Said("  PID COMMAND\n" + "".join(f"{p.pid:5d} {p.name}\n" for p in shown), status=0 if shown else 1)

    def _jail(self, argv: Argv) -> Said:
        if argv[1] == "-R":
            if (jid := int(argv[2])) not in self.jails:
                return Said(stderr=f'jail: jail "{jid}" not found\n', status=1)
            self.remove(jid)
            return Said()
        (name, parameters), *_ = jailconf.read(Path(argv[2]).read_text()).items()
        assert name == argv[4]
        there = next((j for j in self.jails.values() if j.name == name), None)
        if argv[3] == "-c":
            return Said(stderr=f'jail: "{name}" already exists\n', status=1) if there else self._make(name, parameters)
        if there is None or there.dying:
            return Said(stderr=f'jail: "{name}" not found\n', status=1)
        for addresses in ("ip4.addr", "ip6.addr"):
            self._aliases(parameters.get(addresses, []), there=False)
        self.remove(there.jid)
        return Said(f"{name}: removed\n")

    def _make(self, name: str, parameters: jailconf.Jail) -> Said:
        jid = self._next("jid")
        said = f"{name}: created\n"
        for inner in parameters.get("vnet.interface", []):
            if inner not in self.interfaces:
                error = f"ifconfig: interface {inner} does not exist\njail: {name}: /sbin/ifconfig {inner} vnet {name}"
                return Said(f"{said}{name}: removed\n", f"{error}: failed\n", 1)
            self.interfaces[inner].jid = jid
        for addresses in ("ip4.addr", "ip6.addr"):
            self._aliases(parameters.get(addresses, []), there=True)
        self.jails[jid] = FakeJail(jid, name, parameters["path"][0], parameters)
        if "/bin/sh /etc/rc" in parameters.get("exec.start", []):
            for service in self.boots_into:
                self.spawn(jid, service)
        return Said(said)

    def remove(self, jid: int) -> None:
        """Remove a jail as the kernel does: all in it is killed, its interfaces come back, unless it lingers."""
        for pid in self.pids(jid):
            self.exit(pid, 9)
        if self.linger:
            self.jails[jid].dying = True
            return
        del self.jails[jid]
        for interface in self.interfaces.values():
            interface.jid = 0 if interface.jid == jid else interface.jid

    def _daemon(self, argv: Argv) -> Said:
        assert argv[1:3] == ("-f", "-o")
        assert argv[4] == "-p"
        pid_file, command = Path(argv[5]), argv[8:]
        assert command[0] == "jexec"
        pid_file.touch()
        pid = self._next("pid")
        self.running[pid] = FakeProcess(pid, 0, "daemon")
        loop = asyncio.get_running_loop()
        loop.call_soon(self._written, pid_file, pid)  # after daemon(8) has returned, as it is there
        loop.call_soon(loop.call_soon, self._attached, pid, int(command[1]))
        loop.call_soon(loop.call_soon, loop.call_soon, self._executed, pid, _program(command), pid_file)
        return Said()

    def _written(self, pid_file: Path, pid: int) -> None:
        pid_file.write_text(str(pid))
        self.kernel.written(pid_file)

    def _attached(self, pid: int, jid: int) -> None:
        self.running[pid].jid, self.running[pid].name = jid, "jexec"

    def _executed(self, pid: int, command: Argv, pid_file: Path) -> None:
        if command[0] in self.broken:
            pid_file.unlink()
            self.exit(pid, 127 << 8)
            return
        process = self.running[pid]
        process.name = Path(command[0]).name
        process.deaf = process.name in self.deaf
        self.kernel.executed(pid)

    def _jexec(self, argv: Argv, stdin: bytes) -> Said:
        if int(argv[1]) not in self.jails:
            return Said(stderr=f'jexec: jail "{argv[1]}" not found\n', status=1)
        command = _program(argv)
        if command == ("cat",):
            return Said(stdin.decode())
        status, stdout, stderr = self.scripts[command]
        return Said(stdout.decode(), stderr.decode(), status)

    # -- network

    def _aliases(self, values: list[str], *, there: bool) -> None:
        for value in values:
            name, _, address = value.partition("|")
            self._alias(self.interfaces[name], address, there=there)

    @staticmethod
    def _alias(interface: FakeInterface, address: str, *, there: bool) -> None:
        plain = address.partition("/")[0]
        line = f"\t{'inet6' if ':' in plain else 'inet'} {plain} netmask 0xffffff00 broadcast 10.0.0.255"
        if there:
            interface.lines.append(line)
        elif line in interface.lines:
            interface.lines.remove(line)

    def _ifconfig(self, argv: Argv) -> Said:
        name, words = argv[1], argv[2:]
        here = {n: i for n, i in self.interfaces.items() if not i.jid}
        if name == "-l":
            return Said(" ".join(here) + "\n")
        if words == ("create",):
            return self.create(name)
        if name not in here:
            return Said(stderr=f"ifconfig: interface {name} does not exist\n", status=1)
        return self._changed(here[name], words)

    def create(self, name: str) -> Said:
        if name != "epair":
            units = {interface.unit for interface in self.interfaces.values()}
            if name == "bridge":
                name = next(unit for unit in map("bridge{}".format, itertools.count()) if unit not in units)
            elif name in units:
                return Said(stderr=f"ifconfig: interface {name} already exists\n", status=1)
            self.interfaces[name] = FakeInterface(name, unit=name)
            return Said(f"{name}\n")
        first, second = (f"epair{self._next('epair')}a", f"epair{self._last['epair']}b")
        self.interfaces |= {first: FakeInterface(first, second), second: FakeInterface(second, first)}
        return Said(f"{first}\n")

    def _changed(self, interface: FakeInterface, words: Argv) -> Said:
        member = f"\tmember: {words[1]} flags=143<LEARNING,DISCOVER,AUTOEDGE,AUTOPTP>" if len(words) > 1 else ""
        if not words:
            flags = f"{interface.name}: flags=8843<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST> metric 0 mtu 1500\n"
            return Said(flags + "".join(f"{line}\n" for line in interface.lines))
        if words[0] == "ether":
            words = (*words[2:], "")
        if words[0] == "name":
            return self._renamed(interface, words[1])
        if words[0] == "addm":
            if words[1] not in self.interfaces:
                return Said(stderr=f"ifconfig: BRDGADD {words[1]}: No such file or directory\n", status=1)
            interface.lines.append(member)
        elif words[0] == "deletem":
            return self._not_a_member(interface, member, words[1])
        elif words[0] == "destroy":
            self._destroyed(interface)
        elif words[0] == "description":
            interface.lines.append(f"\tdescription: {words[1]}")
        elif words[-1] in {"alias", "-alias"}:
            self._alias(interface, words[1], there=words[-1] == "alias")
        return Said()

    @staticmethod
    def _not_a_member(bridge: FakeInterface, member: str, name: str) -> Said:
        if member not in bridge.lines:
            return Said(stderr=f"ifconfig: BRDGDEL {name}: No such file or directory\n", status=1)
        bridge.lines.remove(member)
        return Said()

    def _destroyed(self, interface: FakeInterface) -> None:
        del self.interfaces[interface.name]
        self.interfaces.pop(interface.pair, None)
        for other in self.interfaces.values():
            other.lines = [line for line in other.lines if interface.name not in line.split()]

    def _renamed(self, interface: FakeInterface, name: str) -> Said:
        if len(name) > LONGEST_NAME:
            return Said(stderr="ifconfig: ioctl SIOCSIFNAME (set name): File name too long\n", status=1)
        self.interfaces[name] = self.interfaces.pop(interface.name)
        if interface.pair:
            self.interfaces[interface.pair].pair = name
        interface.name = name
        return Said(f"{name}\n")

    def _pfctl(self, argv: Argv, stdin: bytes) -> Said:
        if argv[1] == "-s":
            return Said(f"{self.pf[argv[2]]}\n")
        assert argv[1] == "-a"
        if argv[3:] == ("-f", "-"):
            self.anchors[argv[2]] = stdin.decode()
        else:
            assert argv[3:] == ("-F", "nat")
            self.anchors.pop(argv[2], None)
        return Said(stderr="" if argv[3] == "-f" else "nat cleared\n")

    # -- ZFS, as far as an embedded pool needs it

    def _zpool(self, argv: Argv) -> Said:
        if argv[1] == "list":
            return Said("".join(f"{name}\n" for name, imported in self.pools.items() if imported))
        name = argv[-2] if argv[1] == "create" else argv[-1]
        self.pools[name] = argv[1] != "export"
        return Said()

    def _zfs(self, argv: Argv) -> Said:
        if argv[1] == "create":
            self.datasets.add(argv[-1])
        elif argv[-1] not in self.datasets:
            return Said(stderr=f"cannot open '{argv[-1]}': dataset does not exist\n", status=1)
        return Said()

    def _netstat(self, _argv: Argv) -> Said:
        """Say that 100 bytes came in and 200 went out by each interface."""
        counted = {"received-bytes": 100, "sent-bytes": 200}
        lines = [{"name": name, "network": "<Link#1>", **counted} for name in self.interfaces]
        return Said(json.dumps({"statistics": {"interface": lines}}))

    # -- limits

    def count(self) -> None:
        """Count what jails use, as the kernel does once a second."""
        for jail in self.jails.values():
            jail.counted = True

    def _rctl(self, argv: Argv) -> Said:
        if argv[1] == "-a":
            self.rules += argv[2:]
        elif argv[1] == "-r":
            kept = [rule for rule in self.rules if not rule.startswith(f"{argv[2]}:")]
            if kept == self.rules:
                return Said(stderr=f"rctl: failed to remove rule '{argv[2]}': No such process\n", status=1)
            self.rules = kept
        elif any(jail.counted for jail in self.jails.values() if argv[2] == f"jail:{jail.name}"):
            return Said("cputime=3\nmemoryuse=2134016\nmaxproc=1\nwallclock=7\npcpu=18\n")
        else:
            return Said("cputime=0\nmemoryuse=0\nmaxproc=1\nwallclock=0\npcpu=0\n")
        return Said()

    def _cpuset(self, argv: Argv) -> Said:
        if any(int(cpu) >= int(self.sysctls["hw.ncpu"]) for cpu in argv[2].split(",")):
            return Said(stderr="cpuset: setaffinity: Invalid argument\n", status=1)
        return Said()


def _program(argv: Argv) -> Argv:
    """Return the command of `jexec JID [chroot ... /] /usr/bin/env -i -S 'NAME=${JAILD_0} ...' COMMAND ...`."""
    at = argv.index("-i")
    assert argv[at + 1] == "-S"
    return argv[at + 3 :]
