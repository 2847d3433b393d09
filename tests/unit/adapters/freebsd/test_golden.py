"""What jaild runs on FreeBSD, operation by operation: tests/golden/freebsd/*.txt, to be read as documentation.

After a wanted change: `JAILD_UPDATE_GOLDEN=1 .venv/bin/pytest tests/unit/adapters/freebsd/test_golden.py`, and read it.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from jaild.adapters.freebsd import network as freebsd_network
from jaild.adapters.freebsd import pf as freebsd_pf
from jaild.adapters.oci.network import HostNetwork
from jaild.adapters.runtime import announce as announcing
from jaild.adapters.zfs import embedded as embedding
from jaild.adapters.zfs.embedded import EmbeddedPool
from jaild.model.errors import JaildError
from jaild.model.jails.mounts import Mount, MountKind
from jaild.model.jails.spec import PRIVILEGES, Limits, Mode, Network, Port
from jaild.ports.runtime import RunSpec
from tests.contract.freebsd_rig import ToldRig
from tests.fakes.processes import Said

GOLDEN = Path(__file__).parents[3] / "golden/freebsd"
COMMAND = ("/usr/local/bin/redis-server", "--port", "6379", "--dir", "/var/db/redis")
OWN = Network(mode=Mode.VNET, addresses=("10.0.0.5/24", "2001:db8::5/64"), gateway="10.0.0.1")
SHARED = Network(mode=Mode.SHARED_IP, addresses=("10.0.0.5/24", "2001:db8::5/64"))
LIMITS = Limits(memory="512M", cpus=1.5, processes=200, open_files=1024, cpuset="0-1")
Scenario = Callable[["Stage"], Awaitable[None]]
SCENARIOS: dict[str, tuple[str, Scenario]] = {}
REAL = "/var/run/jaild"


class Stage(ToldRig):
    """A host, a spec, and the text of what was done."""

    def __init__(self, folder: Path, network: HostNetwork | None = None) -> None:
        super().__init__(folder, network or HostNetwork(bridge="jaild0", address="10.0.0.1/24", shared="em0"))
        for inside in ("home",):
            (self.base / inside).mkdir()
        for name in ("release/etc", "generation/etc", "generation/usr-local-etc", "data/var/db/pkg", "data/root"):
            (folder / name).mkdir(parents=True)
        for name in ("data/home", "release/var/db/pkg"):
            (folder / name).mkdir(parents=True)
        for name in ("passwd", "group"):
            (folder / "generation/etc" / name).write_bytes((self.base / "etc" / name).read_bytes())
        self.lines: list[str] = []

    def spec(self, generation: int = 1) -> RunSpec:
        def layer(target: str, source: str, *, readonly: bool = False) -> Mount:
            return Mount(kind=MountKind.LAYER, target=target, source=str(self.folder / source), readonly=readonly)

        mounts = (
            layer("/", "base", readonly=True),
            layer("/var", "data/var"),
            layer("/root", "data/root"),
            layer("/home", "data/home"),
            layer("/etc", "generation/etc"),
            Mount(kind=MountKind.TMPFS, target="/tmp", size=64 << 20),
            layer("/usr/local", "release", readonly=True),
            layer("/usr/local/etc", "generation/usr-local-etc"),
            layer("/var/db/pkg", "release/var/db/pkg", readonly=True),
        )
        spec = super().spec(generation)
        return replace(spec, mounts=mounts, command=COMMAND, osrelease="13.2-RELEASE", osreldate=1302001, user="www")

    async def given(self, *operations: Awaitable[object]) -> None:
        """Do what comes before, without a word."""
        for operation in operations:
            await operation
        self.host.processes.calls.clear()

    async def shown(self, heading: str, operation: Awaitable[object]) -> None:
        """Do it, and write down the programs that it ran and how it ended."""
        self.lines.append(f"## {heading}")
        with suppress(JaildError):
            try:
                await operation
            except JaildError as error:
                self._note_calls()
                self.lines.append(f"! {type(error).__name__}: {error}")
                raise
            self._note_calls()
        self.lines.append("")

    def file(self, path: str) -> None:
        """Write down a file."""
        self.lines += [f"## {REAL}/{path}", (self.run_folder / path).read_text()]

    def text(self, about: str) -> str:
        text = "\n".join((about, "", *self.lines)).rstrip() + "\n"
        for real, told in zip(
            freebsd_network.ends(self.run_folder.resolve(), self.spec().uid, 1),
            freebsd_network.ends(Path(REAL), self.spec().uid, 1),
            strict=True,
        ):
            text = text.replace(real, told)
        places = {
            sys.executable: "python3",
            announcing.__file__: "/usr/local/lib/python3.11/site-packages/jaild/adapters/runtime/announce.py",
            self.run_folder: REAL,
            self.base: "/tank/jaild/bases/13.2/root",
            self.folder / "release": "/tank/jaild/apps/redis/7.0.15/root",
            self.folder / "generation": "/tank/jaild/jails/web/generations/1",
            self.folder / "data": "/tank/jaild/jails/web/data",
            self.folder / "log": "/var/log/jaild",
        }
        for place, told in places.items():
            text = text.replace(str(place), told)
        return text

    def _note_calls(self) -> None:
        for call in self.host.processes.calls:
            if call.argv[0] == "kill":  # kill(2), by the daemon itself
                self.lines.append(f"* SIG{call.argv[1][1:]} to {call.argv[2]}")
                continue
            added = "".join(f"{name}={shlex.quote(value)} " for name, value in call.env.items())
            place = self.host.table.places.get(call.argv[-1])
            told = f"  # the fsid of {place}" if place else ""
            self.lines.append(f"$ {added}{shlex.join(call.argv)}{told}")
            if call.said is None:
                self.lines.append("# does not end: killed")
            elif call.said.status != 0:
                self.lines.append(f"# status {call.said.status}")
                self.lines += [f"err| {line}" for line in call.said.stderr.splitlines()]
        self.host.processes.calls.clear()


def scenario(about: str) -> Callable[[Scenario], Scenario]:
    def register(function: Scenario) -> Scenario:
        SCENARIOS[function.__name__.replace("_", "-")] = (about, function)
        return function

    return register


@scenario("# The daemon starts on a host that has no bridge yet, and then on one that has.")
async def prepare_host(stage: Stage) -> None:
    del stage.host.interfaces["jaild0"]
    stage.network = replace(stage.network, uplink="em1")
    runtime = stage.restarted()
    await stage.shown("the first time", runtime.prepare_host())
    await stage.shown("and again", runtime.prepare_host())
    await stage.shown("what the host offers", runtime.facts())


@scenario("# A generation in mode vnet, from its creation to its removal. All went well.")
async def life_vnet(stage: Stage) -> None:
    spec = replace(stage.spec(), network=OWN)
    await stage.shown("create: another generation may be serving meanwhile", stage.runtime.create(spec))
    stage.file("runs/web.1/jail.conf")
    await stage.shown("start", stage.runtime.start("web", 1))
    await stage.shown("list what runs", stage.runtime.runs())
    await stage.shown("stop: SIGTERM to the first process, which ends", stage.runtime.stop("web", 1))
    await stage.shown("remove", stage.runtime.remove("web", 1))


@scenario("# The same with `system_calls: true`, on FreeBSD 15: what is a call starts no program, and is not here.")
async def by_calls(stage: Stage) -> None:
    stage.calls = True
    stage.host.sysctls["security.jail.meta_maxbufsize"] = "4096"
    stage.boot()
    await life_vnet(stage)


@scenario("# Mode shared-ip: jail(8) puts the addresses on the host's interface and takes them away.")
async def life_shared_ip(stage: Stage) -> None:
    await stage.given(stage.runtime.create(replace(stage.spec(), network=SHARED)))
    stage.file("runs/web.1/jail.conf")
    await stage.shown("start", stage.runtime.start("web", 1))
    await stage.shown("stop", stage.runtime.stop("web", 1))


@scenario("# A jail that boots by /etc/rc: command [/bin/sh, /etc/rc]. It has no process that stands for it.")
async def life_rc(stage: Stage) -> None:
    spec = replace(stage.spec(), command=("/bin/sh", "/etc/rc"), network=OWN, limits=LIMITS)
    await stage.given(stage.runtime.create(spec))
    stage.file("runs/web.1/jail.conf")
    await stage.shown("start", stage.runtime.start("web", 1))
    await stage.shown("stop: rules first, since rc.shutdown needs processes", stage.runtime.stop("web", 1))


@scenario("# Limits with kern.racct.enable=1, and what is left of them without.")
async def limits(stage: Stage) -> None:
    await stage.given(stage.runtime.create(replace(stage.spec(), limits=LIMITS)))
    await stage.shown("start, with racct", stage.runtime.start("web", 1))
    await stage.shown("usage, with racct", stage.runtime.usage("web", 1))
    await stage.shown("stop", stage.runtime.stop("web", 1))
    await stage.given(stage.runtime.remove("web", 1))
    stage.host.sysctls["kern.racct.enable"] = "0"  # as only another boot can have it
    stage.boot()
    await stage.shown("create, without racct", stage.runtime.create(replace(stage.spec(), limits=LIMITS)))
    await stage.given(stage.runtime.create(replace(stage.spec(), limits=Limits(cpus=2))))
    await stage.shown("start, without racct, two whole CPUs", stage.runtime.start("web", 1))
    await stage.shown("usage, without racct", stage.runtime.usage("web", 1))


@scenario("# Commands in a running jail: nothing of the environment is set before env(1) of the jail sets it.")
async def commands(stage: Stage) -> None:
    stage.host.scripts[("redis-cli", "ping")] = (0, b"PONG\n", b"")
    await stage.given(stage.runtime.create(stage.spec()), stage.runtime.start("web", 1))

    async def run(user: str | None) -> None:
        async for _ in stage.runtime.exec("web", 1, ("redis-cli", "ping"), user=user, environment={"A": "b c"}):
            pass

    await stage.shown("as the run's user, www", run(None))
    await stage.shown("as root", run("root"))
    await stage.shown("as a uid and a group of its own", run("1001:logs"))


@scenario("# Stops that do not go well, and still end.")
async def hard_stops(stage: Stage) -> None:
    stage.host.deaf = {"redis-server"}
    spec = replace(stage.spec(), stop_timeout=0.01, network=SHARED)
    await stage.given(stage.runtime.create(spec), stage.runtime.start("web", 1))
    await stage.shown("SIGTERM is not heeded: SIGKILL after the timeout", stage.runtime.stop("web", 1))
    await stage.given(stage.runtime.start("web", 1))
    stage.host.refuse["jail -f"] = Said(stderr="jail: web_1: something: failed\n", status=1)
    await stage.shown("jail -r fails: -R, and the addresses by hand", stage.runtime.stop("web", 1))
    stage.host.refuse.clear()
    await stage.given(stage.runtime.remove("web", 1))
    boot = replace(spec, command=("/bin/sh", "/etc/rc"), network=Network())
    await stage.given(stage.runtime.create(boot), stage.runtime.start("web", 1))
    stage.host.hang = {"jail -f"}
    await stage.shown("rc.shutdown hangs", stage.runtime.stop("web", 1))
    stage.host.hang.clear()
    await stage.given(stage.runtime.start("web", 1))
    (jail,) = stage.host.jails.values()
    del stage.host.jails[jail.jid]
    stage.host.jails[jail.jid + 1] = replace(jail, jid=jail.jid + 1)
    await stage.shown("somebody else started it again: not ours to clean up after", stage.runtime.stop("web", 1))


@scenario("# Starts that fail leave nothing behind but what create made.")
async def failed_starts(stage: Stage) -> None:
    await stage.given(stage.runtime.create(replace(stage.spec(), network=OWN)))
    stage.host.broken = {COMMAND[0]}
    await stage.shown("the command cannot be executed", stage.runtime.start("web", 1))
    stage.host.broken.clear()
    stage.host.refuse["jail -f"] = Said(
        "web_1: created\nweb_1: removed\n", "jail: web_1: /sbin/ifconfig lo0 inet 127.0.0.1/8 up: failed\n", 1
    )
    await stage.shown("jail(8) fails and takes the jail away itself", stage.runtime.start("web", 1))
    stage.host.refuse.clear()
    await stage.shown("and then it starts", stage.runtime.start("web", 1))


@scenario("# A jail that is dying (connections in TIME_WAIT) keeps its name, its end of the epair, and its root.")
async def dying(stage: Stage) -> None:
    stage.host.linger = True
    spec = replace(stage.spec(), network=OWN)
    await stage.given(stage.runtime.create(spec), stage.runtime.start("web", 1))
    await stage.given(stage.runtime.stop("web", 1))
    await stage.shown("start it again at once: another name, a new epair", stage.runtime.start("web", 1))
    await stage.given(stage.runtime.stop("web", 1))
    await stage.shown("remove: the root, alone, by force", stage.runtime.remove("web", 1))


@scenario("# Ports of the host that lead into a jail: an anchor of its own below jaild/, while the jail runs.")
async def ports(stage: Stage) -> None:
    wanted = (Port(host=18080, jail=80), Port(host=18053, jail=53, protocol="udp"))
    spec = replace(stage.spec(), network=msgspec.structs.replace(OWN, ports=wanted))
    stage.lines += ["## what pfctl -f - is told at each start", freebsd_pf.rules(spec.network)]
    await stage.given(stage.runtime.create(spec))
    await stage.shown("start", stage.runtime.start("web", 1))
    await stage.shown("stop", stage.runtime.stop("web", 1))
    stage.host.broken = {COMMAND[0]}
    await stage.shown("a start that fails", stage.runtime.start("web", 1))
    await stage.given(stage.runtime.remove("web", 1))
    stage.host.pf["nat"] = "no such anchor"
    await stage.shown("create, where pf.conf does not refer to the anchors", stage.runtime.create(spec))
    stage.host.pf["info"] = "Status: Disabled"
    await stage.shown("create, where pf is not enabled", stage.runtime.create(spec))


@scenario(
    "# jaild --embedded DIR: a pool on a file, the kernel's own ZFS, nothing configured. DIR is /var/run/jaild here."
)
async def embedded(stage: Stage) -> None:
    stage.run_folder.mkdir()
    pool = EmbeddedPool(stage.host.processes, stage.run_folder, "jaild-1a2b3c4d", size=1 << 30)
    await stage.shown("the first time", pool.start())
    stage.host.pools["jaild-1a2b3c4d"] = False
    await stage.shown("after a boot", pool.start())
    await stage.shown("--destroy, when its jails are removed", pool.destroy())


@scenario(
    "# After a start: the neighbours are told where the addresses are, by frames of bpf(4). announce.py says how."
)
async def announce(stage: Stage) -> None:
    own = replace(stage.spec(), network=OWN)
    await stage.given(stage.runtime.create(own), stage.runtime.start("web", 1))
    await stage.shown("mode vnet: in the jail's network", stage.runtime.announce("web", 1))
    await stage.given(stage.runtime.stop("web", 1), stage.runtime.remove("web", 1))
    stage.host.interfaces["em0"].lines.append("\tether 58:9c:fc:10:d1:1b")
    await stage.given(stage.runtime.create(replace(own, network=SHARED)), stage.runtime.start("web", 1))
    await stage.shown(
        "mode shared-ip: in the host's, with the interface's MAC address", stage.runtime.announce("web", 1)
    )


@scenario("# Devices by the name of a ruleset in devfs.rules(5), and what a spec can allow.")
async def devices(stage: Stage) -> None:
    etc = stage.folder / "host-etc"
    etc.mkdir()
    (etc / "devfs.rules").write_text("[devfsrules_jail_bpf=61]\nadd include $devfsrules_jail\nadd path 'bpf*' unhide\n")
    stage.host.rulesets[61] = "100 include 4\n200 path bpf* unhide\n"
    spec = replace(stage.spec(), devfs_ruleset="devfsrules_jail_bpf", mounts=stage.spec().mounts[:1])
    everything = replace(spec, allow=tuple(PRIVILEGES))
    await stage.shown("create, with devfsrules_jail_bpf", stage.runtime.create(everything))
    stage.file("runs/web.1/jail.conf")
    await stage.given(stage.runtime.remove("web", 1))
    unknown = replace(spec, devfs_ruleset="devfsrules_none")
    await stage.shown("create, with a name that devfs.rules has not", stage.runtime.create(unknown))
    stage.host.rulesets[61] = "100 path bpf* unhide\n"
    await stage.shown("create, with a ruleset that hides nothing", stage.runtime.create(spec))


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(embedding, "kernel_has_zfs", lambda: True)  # as on every FreeBSD
    stage = Stage(tmp_path)
    yield stage
    stage.host.kernel.close()


@pytest.mark.parametrize("name", SCENARIOS)
async def test_what_is_run_is_what_is_written_down(name: str, stage: Stage) -> None:
    about, function = SCENARIOS[name]
    await function(stage)
    text, file = stage.text(about), GOLDEN / f"{name}.txt"
    if os.environ.get("JAILD_UPDATE_GOLDEN") == "1":
        file.write_text(text)
    assert file.read_text() == text


def test_nothing_is_written_down_that_is_not_run() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(SCENARIOS)
