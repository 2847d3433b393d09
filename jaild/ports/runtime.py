"""Port: the container runtime. Mounts a generation's tree, runs a jail in it, finds again what is running.

A *run* is one generation of one jail as a running thing, named `<jail>.<generation>`. Two runs of a jail may exist at
once (the next is built while the old one serves), but only one may be started.
Errors: `NotFoundError` (RUN_NOT_FOUND), `AlreadyExistsError` (RUN_EXISTS), `FailedPreconditionError` (RUN_NOT_RUNNING,
TREE_BUSY, and what `examine` finds), `ResourceExhaustedError` (LIMIT_UNSUPPORTED where a limit cannot be kept),
`InternalError` (COMMAND_FAILED).
"""

from __future__ import annotations

import signal
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jaild.model.jails.mounts import Mount
from jaild.model.jails.spec import HttpCheck, Limits, Network, TcpCheck
from jaild.model.layers.records import Family
from jaild.model.problems import Problem
from jaild.ports.process import TerminalSize


@dataclass(frozen=True, kw_only=True)
class HostFacts:
    """What the host offers."""

    runtime: str  # runc 1.1.5, jail(8) ...
    family: Family
    kernel: str  # uname -r
    osreldate: int  # FreeBSD's kern.osreldate; 0 on Linux
    machine: str  # amd64, arm64
    memory: int  # bytes
    cpus: int


class Demands(Protocol):
    """What a jail asks of its host beyond its layers. A `JailSpec` is this, and so is a `RunSpec`."""

    @property
    def network(self) -> Network:
        """How it is reached."""

    @property
    def limits(self) -> Limits:
        """What it may use."""

    @property
    def allow(self) -> tuple[str, ...]:
        """What it may do beyond what every jail may: of `jaild.model.jails.spec.PRIVILEGES`."""

    @property
    def devfs_ruleset(self) -> str | None:
        """FreeBSD: which ruleset its /dev has."""


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """All that a run needs; nothing is looked up elsewhere."""

    jail: str
    generation: int
    uid: str  # of the jail: interface names and MAC addresses derive from it, so they move with the jail
    mounts: tuple[Mount, ...]  # parents first; the first is the root
    command: tuple[str, ...]
    environment: Mapping[str, str]
    user: str  # name or uid[:gid], resolved in the tree's own /etc/passwd
    hostname: str
    network: Network
    limits: Limits
    allow: tuple[str, ...] = ()
    devfs_ruleset: str | None = None
    osrelease: str  # FreeBSD: the base's version; '' on Linux
    osreldate: int
    linker_hints: bool = (
        False  # FreeBSD: its own rc.d/ldconfig tells the linker of /usr/local before the command starts
    )
    log: Path  # stdout and stderr are appended here
    stop_signal: str
    stop_timeout: float  # seconds

    @property
    def name(self) -> str:
        """`<jail>.<generation>`."""
        return f"{self.jail}.{self.generation}"


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run that the runtime knows."""

    jail: str
    generation: int
    uid: str
    running: bool  # False: created and not started, or ended
    pid: int  # of its first process (FreeBSD: the jid); 0 when not running
    started: float  # seconds since the epoch; 0.0 when not started
    exit_status: int | None = None  # known once it ended; -N for signal N
    out_of_memory: bool = False  # the system killed a process of it for lack of memory, as far as it tells that


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a run uses, as the system counted it last."""

    max_age: float = 0.0  # seconds that the figures may be old: so seldom does the system count. 0: they are of now
    memory: int  # bytes; 0 also while a run is younger than `max_age`, and not counted yet
    cpu_seconds: float
    processes: int
    cpus: float | None = None  # how many it keeps busy now, where the system itself tells
    read_rate: int | None = None  # bytes a second from and to file systems, where the system counts that
    write_rate: int | None = None


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What went over a run's own network since that was made, in bytes and as the jail sees it."""

    received: int
    sent: int


@dataclass(frozen=True, kw_only=True)
class Output:
    """A piece of an exec's output, or its end."""

    stdout: bytes = b""
    stderr: bytes = b""
    exit_status: int | None = None  # in the last one only


HANG_UP = 5.0  # seconds that a command on a terminal which was hung up has, before it is killed

# What a running command is given: bytes for its stdin, none for the end of it; another size of its terminal; a signal.
END_OF_STDIN = b""
Input = bytes | TerminalSize | signal.Signals


class Runtime(Protocol):
    """A host's container runtime."""

    async def facts(self) -> HostFacts:
        """Return what the host offers."""

    async def free_memory(self) -> int | None:
        """Return the bytes of the host's memory that new processes could have now; None where that cannot be told."""

    async def prepare_host(self) -> None:
        """Make what all jails share (bridge, cgroup parent), idempotently. Called once when the daemon starts."""

    async def withdraw_host(self) -> list[str]:
        """Take that away again, when there are no runs any more; return what has to stay, with why. Idempotent."""

    async def examine(self, demands: Demands, resource: str) -> tuple[Problem, ...]:
        """Return what of `demands` this host cannot carry out, as errors that a plan shows; nothing is changed.

        `resource` is the jail that they are of. LIMIT_UNSUPPORTED, NETWORK_MISSING, PORT_TAKEN, PORTS_UNSUPPORTED,
        DEVFS_*: `create` raises the same, of what it finds first.
        """

    async def create(self, run: RunSpec) -> None:
        """Mount the tree and make the run ready while another generation of the jail may be serving.

        Clients see nothing of it. On failure everything it made is taken away again.
        """

    async def start(self, jail: str, generation: int) -> Run:
        """Start a created run and return it. Raises if its first process did not come up."""

    async def stop(self, jail: str, generation: int) -> float:
        """Stop a run: its signal, after its timeout SIGKILL; return the seconds it took.

        No error if it has ended, or if there is none: whoever undoes or repairs does not know how far it came.

        Always ends. The tree and the run's record stay, so that it can be started again (`start`) or removed.
        """

    async def remove(self, jail: str, generation: int) -> None:
        """Take away a run that is not running: its record, network and mounts, children first.

        Never deletes through a mount. No error if nothing is left. RUN_RUNNING if it is running.
        """

    async def runs(self) -> list[Run]:
        """Return every run there is, found from the system itself and not from memory."""

    async def find(self, jail: str, generation: int) -> Run | None:
        """Return one run; None if there is no record of it. Looks at no other, however many there are."""

    async def wait(self, jail: str, generation: int) -> Run:
        """Wait until a started run has ended and return it. Event-driven; cancel to stop waiting."""

    def exec(
        self,
        jail: str,
        generation: int,
        command: tuple[str, ...],
        *,
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
        inputs: AsyncIterator[Input] | None = None,
        terminal: TerminalSize | None = None,
    ) -> AsyncGenerator[Output, None]:
        """Run a command in a running run; its last item has the exit status, 128 + N for signal N.

        127: there is no such program, 126: it cannot be executed; an item before it says so. The end of `inputs` is
        the end of its stdin, too. With `terminal` it runs on a terminal of that size: all it writes is stdout, and
        an end of stdin is typed. Closing it (`contextlib.aclosing`) kills the command; on a terminal it is hung up
        first (SIGHUP) and has `HANG_UP` seconds to end.
        """

    async def probe(self, jail: str, generation: int, check: HttpCheck | TcpCheck, address: str) -> str:
        """Make a health check from inside a running run's own network; return what is wrong, '' for nothing."""

    async def usage(self, jail: str, generation: int) -> Usage:
        """Return what a running run uses."""

    async def traffic(self, runs: Collection[Run]) -> Mapping[str, Traffic]:
        """Return it, by jail, of those of some running runs, one of each jail, that have a network of their own.

        One look for the whole host, however many they are.
        """

    async def announce(self, jail: str, generation: int) -> None:
        """Tell the neighbours where the jail's addresses are now (gratuitous ARP, unsolicited NA)."""
