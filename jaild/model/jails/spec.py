"""A jail's specification, as product teams write it in YAML: what it should be, never the steps.

The types here are the schema: `jaild.model.jails.specfile` reads YAML into them and names the path and line of a
mistake, `jaild.model.jails.validation` holds the rules that types cannot say.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Literal

import msgspec

from jaild.model.syslog import JailFacility, Severity

Positive = Annotated[int, msgspec.Meta(gt=0)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]
PortNumber = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Windows = Annotated[tuple[str, ...], msgspec.Meta(max_length=16)]

# What a spec may ask for beyond what every jail may (`allow`), reviewed one by one. What is not here stays forbidden,
# since it reaches beyond the jail: `mount.*` (the daemon mounts), `chflags` (immutable files in a jail's data outlive
# it), `read_msgbuf` and `vmm` (the host's), `settime` and `adjtime` (the host's clock), `nfsd`, `quotas`, `routing`,
# and child jails.
PRIVILEGES = {
    "raw_sockets": "raw sockets: ping, traceroute; in mode shared-ip it sees the host's packets too",
    "sysvipc": "System V messages, semaphores and shared memory, of the jail's own: PostgreSQL",
    "mlock": "memory that is never paged out: keys, databases; counts against limits.memory",
    "socket_af": "sockets of other families than IPv4, IPv6, local and route",
}


# FreeBSD's own boot: as a command it ends while its services go on, and the spec's environment has no part in it.
SYSTEM_BOOT = (("/bin/sh", "/etc/rc"), ("sh", "/etc/rc"), ("/etc/rc",))


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Unknown keys are mistakes, and defaults are not written."""


class Port(_Strict, frozen=True):
    """A port of the host that leads into the jail, to its first address of the same family."""

    host: PortNumber
    jail: PortNumber | None = None  # the same number if not said
    protocol: Literal["tcp", "udp"] = "tcp"
    address: str | None = None  # of the host; every one of the host's if not said


class Mode(Enum):
    """What of a network a jail has. The values are the first version's words: stored, and sent between hosts.

    Specs and policies have the names of the members (`vnet`, `shared-ip`), and may have the values for one version.
    """

    VNET = "own"  # addresses of its own on a bridge; FreeBSD: vnet, Linux: a network namespace and a veth pair
    SHARED_IP = "shared"  # addresses put on one of the host's interfaces
    HOST = "host"  # the host's own network, no isolation
    NONE = "none"  # a network of its own with nothing but the loopback interface in it

    def __str__(self) -> str:
        """Return the word for people."""
        return self.name.lower().replace("_", "-")

    @classmethod
    def _missing_(cls, value: object) -> Mode | None:
        return next((mode for mode in cls if str(mode) == value), None)


class Network(_Strict, frozen=True):
    """How the jail is reached."""

    mode: Mode = Mode.HOST
    addresses: tuple[str, ...] = ()  # with prefix length: 10.0.0.5/24, 2001:db8::5/64
    gateway: str | None = None
    bridge: str | None = None  # mode vnet; the host's configured bridge if not said
    interface: str | None = None  # mode shared-ip; the host's configured interface if not said
    ports: tuple[Port, ...] = ()  # modes vnet and shared-ip


class Volume(_Strict, frozen=True):
    """Writable space of its own, besides the jail's data."""

    path: str  # absolute, inside the jail
    quota: str | None = None  # bytes, or 10M, 2G, 1T
    recordsize: str | None = None  # as ZFS takes it: 16K


class Limits(_Strict, frozen=True):
    """What the jail may use at most. Absent means no limit."""

    memory: str | None = None  # bytes, or 512M, 2G
    cpus: Annotated[float, msgspec.Meta(gt=0, le=4096)] | None = None  # cores, fractions allowed
    processes: Positive | None = None  # at once
    open_files: Positive | None = None  # of one process
    cpuset: str | None = None  # the CPUs that it runs on, by number: 0-3,6


class HttpCheck(_Strict, frozen=True, tag="http", tag_field="kind"):
    """GET `path` on the jail's first address (or `address`) must answer with a status in 200..399."""

    port: PortNumber
    path: str = "/"
    address: str | None = None
    timeout: Seconds = 2.0


class TcpCheck(_Strict, frozen=True, tag="tcp", tag_field="kind"):
    """A TCP connection to `port` must be accepted."""

    port: PortNumber
    address: str | None = None
    timeout: Seconds = 2.0


class ExecCheck(_Strict, frozen=True, tag="exec", tag_field="kind"):
    """A command run in the jail must end with status 0."""

    command: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    timeout: Seconds = 5.0


class ProcessCheck(_Strict, frozen=True, tag="process", tag_field="kind"):
    """The jail must run: its first process, or on FreeBSD what /etc/rc started. It costs nothing, as that is known."""


NetworkCheck = HttpCheck | TcpCheck
HealthCheck = NetworkCheck | ExecCheck | ProcessCheck


class Readiness(_Strict, frozen=True):
    """When a generation counts as healthy: every check passes `successes` times in a row within `deadline` seconds.

    `failures`: so many tries in a row that failed in the same words end it before the deadline; 0: none do.
    """

    successes: Annotated[int, msgspec.Meta(ge=1, le=100)] = 2
    interval: Seconds = 0.2
    deadline: Seconds = 30.0
    failures: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 0


class Liveness(_Strict, frozen=True):
    """The checks that go on as long as the jail runs: all of them, every `interval` seconds.

    After `failures` rounds in a row in which one failed the jail is unhealthy, after one that passed it is healthy.
    """

    checks: tuple[HealthCheck, ...] = ()  # those of `health` if none is named; without any of them: that it runs
    interval: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 10.0
    failures: Annotated[int, msgspec.Meta(ge=1, le=100)] = 3
    restart: bool = False  # an unhealthy jail is restarted, and `JailSpec.restart` counts it as an end


class Backoff(_Strict, frozen=True):
    """Pauses before restarts, in seconds: the first, doubled after each up to the longest."""

    first: Seconds = 1.0
    longest: Seconds = 60.0


class Restart(_Strict, frozen=True):
    """What is done when the jail ends by itself: at most `max` restarts `within` so many seconds."""

    policy: Literal["always", "on-failure", "never"] = "on-failure"  # a status that is not known is a failure
    max: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 5
    within: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 600.0
    backoff: Backoff = Backoff()


class ExecHook(_Strict, frozen=True, tag="exec", tag_field="kind"):
    """A command run in the jail must end with status 0 within `timeout` seconds."""

    command: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    timeout: Seconds = 30.0
    on_error: Literal["continue", "abort"] = "continue"


class HttpHook(_Strict, frozen=True, tag="http", tag_field="kind"):
    """A call from the host, without a body, must be answered with `status` (any of 200 to 299 if not said)."""

    url: str  # http://ADDRESS[:PORT]/PATH
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    status: Annotated[int, msgspec.Meta(ge=100, le=599)] | None = None
    timeout: Seconds = 30.0
    on_error: Literal["continue", "abort"] = "continue"


Hook = ExecHook | HttpHook
_Hooks = Annotated[tuple[Hook, ...], msgspec.Meta(max_length=8)]


class Hooks(_Strict, frozen=True):
    """What is done while the jail still serves, before it is stopped on purpose, and when it serves again."""

    before_stop: _Hooks = ()
    after_start: _Hooks = ()

    @property
    def drain_time(self) -> float:
        """The seconds that those before a stop may take."""
        return sum(hook.timeout for hook in self.before_stop)


class Boot(_Strict, frozen=True):
    """What happens when the host starts: lower `order` first, jails of one order side by side, but for `after`."""

    autostart: bool = True
    order: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 100
    after: Annotated[tuple[str, ...], msgspec.Meta(max_length=16)] = ()  # jails that are started and healthy before it


class Placement(_Strict, frozen=True):
    """Where the jail belongs when hosts are evacuated: the higher `priority` leaves first.

    Jails whose labels have the same value under the key `apart` are put on different hosts where that is possible.
    """

    priority: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 100
    apart: str | None = None  # a key of `labels`


class Stop(_Strict, frozen=True):
    """How the jail ends: `signal` (or FreeBSD's rc.shutdown), then SIGKILL after `timeout` seconds."""

    signal: str = "TERM"
    timeout: Seconds = 10.0


class Standby(_Strict, frozen=True):
    """Replicas on other hosts: kept up to date, never started by themselves.

    `interval`: seconds of writes that may be lost at most when this host is. A round begins after half of it.
    """

    peers: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=8)]
    interval: Annotated[float, msgspec.Meta(ge=1, le=604_800)] = 60.0


class Syslog(_Strict, frozen=True):
    """A message of RFC 5424 for each line that the jail writes."""

    address: str  # unix:/var/run/log, udp://host:514, tcp://host:601, as of event sinks
    facility: JailFacility = "user"
    severity: Severity = "info"
    tag: str | None = None  # APP-NAME; the jail's name if not said


class Logs(_Strict, frozen=True):
    """Where what the jail writes goes, beside its log on the host."""

    syslog: Syslog | None = None


_Count = Annotated[int, msgspec.Meta(ge=0, le=1000)]


class Keep(_Strict, frozen=True):
    """How many are kept: of each of the last so many hours, days ... that have one, the newest; `last`: the newest."""

    last: _Count = 0
    hourly: _Count = 0
    daily: _Count = 0
    weekly: _Count = 0
    monthly: _Count = 0
    yearly: _Count = 0


class Snapshots(_Strict, frozen=True):
    """Snapshots that are taken of all of the jail's datasets at once, as long as it is there."""

    every: str  # 15m, 1h, 1d
    keep: Keep = Keep(last=4, hourly=24, daily=7)


class Backup(_Strict, frozen=True):
    """Backups to one of the targets that the host's operator configured."""

    every: str = "1d"
    keep: Keep = Keep(daily=14, monthly=6)  # at the target


class Encryption(_Strict, frozen=True):
    """How the jail's data and volumes are encrypted. The key itself is in no spec: each host knows where it has it."""

    key: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$")]  # of the host's `keys`
    keyformat: Literal["passphrase", "hex", "raw"] = "passphrase"  # as zfsprops(7) has it


class JailSpec(_Strict, frozen=True):
    """All that one says about a jail. `base` or `channel`, and `app`, name what it runs, the rest how."""

    base: str = ""  # either this or `channel`
    channel: str | None = None  # the base that it names when the jail's base is set: see `jaild.model.jails.change`
    app: str | None = None  # app/version
    command: tuple[str, ...] = ()  # the release's own start command if empty
    environment: dict[str, str] = {}
    hostname: str | None = None  # the jail's name if not said
    user: str | None = None  # who runs the command; the release's manifest or root if not said
    network: Network = Network()
    quota: str | None = None  # of the jail's data
    volumes: dict[str, Volume] = {}
    limits: Limits = Limits()
    allow: tuple[str, ...] = ()  # more than every jail may: of `PRIVILEGES`
    devfs_ruleset: str | None = None  # FreeBSD: a name out of devfs.rules(5); devfsrules_jail if not said
    health: tuple[HealthCheck, ...] = ()
    readiness: Readiness = Readiness()
    boot: Boot = Boot()
    stop: Stop = Stop()
    hooks: Hooks = Hooks()
    labels: dict[str, str] = {}
    placement: Placement = Placement()
    standby: Standby | None = None
    liveness: Liveness | None = None  # None: nothing is checked once the jail is there
    restart: Restart | None = None  # None: one that ends is started when the daemon is, and not before
    maintenance: Windows = ()  # when what is staged is cut over to by itself; see `jaild.model.maintenance`
    logs: Logs = Logs()
    snapshots: Snapshots | None = None  # None: none are taken
    backups: dict[str, Backup] = {}  # by target
    encryption: Encryption | None = None  # None: its data are not, and never will be

    @property
    def living(self) -> tuple[HealthCheck, ...]:
        """The checks that go on as long as the jail runs; none without `liveness`."""
        if self.liveness is None:
            return ()
        return self.liveness.checks or self.health or (ProcessCheck(),)
