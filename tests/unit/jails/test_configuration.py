"""The databases of a new /etc: made by the new base's tools before anything is cut over, or nothing is."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jaild.model import names
from jaild.model.jails.mounts import MountKind
from jaild.model.jails.spec import JailSpec, Mode
from jaild.model.layers.records import Family, Manifest, User
from jaild.ports.runtime import HostFacts, Output, RunSpec
from tests.fakes.host import FakeHost
from tests.fakes.runtime import FACTS, Answer, FakeRuntime
from tests.hosts import asking

ETC = {
    "etc/master.passwd": "root:*:0:0::0:0::/root:/bin/sh\n",
    "etc/passwd": "root:*:0:0::/root:/bin/sh\n",
    "etc/login.conf": "default:\n",
    "etc/services": "http 80/tcp\n",
    "usr/bin/cap_mkdb": "ELF",
    "usr/sbin/services_mkdb": "ELF",
    "usr/sbin/certctl": "ELF",
}
PWD = ("/usr/sbin/pwd_mkdb", "-p", "-d", "/etc", "/etc/master.passwd")
ALL = [
    PWD,
    ("/usr/bin/cap_mkdb", "/etc/login.conf"),
    ("/usr/sbin/services_mkdb", "-q", "-o", "/etc/services.db", "/etc/services"),
    ("/usr/sbin/certctl", "rehash"),
]
SPEC = JailSpec(base="bsd-1", app="web/1")


class Watched(FakeRuntime):
    """Keeps what was executed in sandboxes, and what those were made of."""

    def __init__(self, facts: HostFacts) -> None:
        super().__init__(facts=facts)
        self.made: list[RunSpec] = []
        self.executed: list[tuple[str, ...]] = []
        self.serving: list[bool] = []
        self.fails: tuple[str, ...] = ()
        self.writes: dict[Path, str] = {}  # what is written while the first tool runs

    async def create(self, run: RunSpec) -> None:
        if names.is_sandbox(run.jail):
            self.made.append(run)
        await super().create(run)

    def exec(self, jail: str, generation: int, command: tuple[str, ...], **more: Any) -> AsyncGenerator[Output, None]:
        if names.is_sandbox(jail):
            self.executed.append(command)
            while self.writes:
                path, text = self.writes.popitem()
                path.write_text(text)
            self.serving.append(any(run.spec.jail == "web" and run.pid for run in self.by_name.values()))
            answer = Answer(status=1, stderr=b"pwd_mkdb: no such thing\n") if command == self.fails else Answer()
            self.answers[f"{jail}.{generation}"] = answer
        return super().exec(jail, generation, command, **more)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[FakeHost]:
    found = FakeHost(tmp_path)
    found.runtime = Watched(replace(FACTS, family=Family.FREEBSD, osreldate=1401000))
    await found.start()
    await found.add_base("bsd-1", ETC, family=Family.FREEBSD)
    await found.add_base("bsd-2", {**ETC, "etc/services": "http 80/tcp\nhttps 443/tcp\n"}, family=Family.FREEBSD)
    await found.add_release("web/1")
    await found.add_release("web/2")
    account = Manifest(command=("/usr/local/bin/run",), users=(User(name="app", uid=900, gid=0),))
    await found.add_release("web/3", manifest=account)
    yield found
    await found.stop()


def seen(host: FakeHost) -> Watched:
    assert isinstance(host.runtime, Watched)
    return host.runtime


async def test_a_new_jail_with_its_bases_own_etc_needs_none(host: FakeHost) -> None:
    assert asking.reason_of(await asking.create(host, SPEC)) == ""
    assert seen(host).executed == []


async def test_an_upgrade_runs_all_tools_of_the_new_base_while_the_old_generation_serves(host: FakeHost) -> None:
    await asking.create(host, SPEC)
    assert asking.reason_of(await asking.upgrade(host, "bsd-2")) == ""
    assert seen(host).executed == ALL
    assert seen(host).serving == [True] * 4
    assert asking.serves(host, 2)


async def test_they_run_in_a_jail_of_the_new_base_with_the_new_etc_and_nothing_of_the_data(host: FakeHost) -> None:
    await asking.create(host, SPEC)
    await asking.upgrade(host, "bsd-2")
    (run,) = seen(host).made
    mounts = {mount.target: mount for mount in run.mounts}
    assert set(mounts) == {"/", "/etc", "/tmp", "/usr/local", "/usr/local/etc"}
    assert (mounts["/"].source, mounts["/"].readonly) == (str(host.core.inventory.base("bsd-2").tree), True)
    assert mounts["/etc"].folder.endswith("/jails/web/generations/2/etc")
    assert mounts["/tmp"].kind is MountKind.TMPFS
    assert run.network.mode is Mode.NONE
    assert (run.osrelease, run.osreldate) == ("14.1-RELEASE", 1401000)


async def test_nothing_of_the_sandbox_is_left(host: FakeHost) -> None:
    await asking.create(host, SPEC)
    await asking.upgrade(host, "bsd-2")
    assert sorted(host.runtime.by_name) == ["web.2"]


async def test_a_deploy_that_brings_an_account_makes_the_password_databases(host: FakeHost) -> None:
    await asking.create(host, SPEC)
    await asking.deploy(host, "web/2")
    assert seen(host).executed == []
    await asking.deploy(host, "web/3")
    assert seen(host).executed == [PWD]


async def test_a_tool_that_fails_stops_the_upgrade_before_anything_was_cut_over(host: FakeHost) -> None:
    await asking.create(host, SPEC)
    seen(host).fails = PWD
    host.runtime.calls.clear()
    operation = await asking.upgrade(host, "bsd-2")
    assert asking.reason_of(operation) == "ETC_TOOL_FAILED"
    assert operation.failure is not None
    assert operation.failure.detail == {
        "command": " ".join(PWD),
        "status": "1",
        "stderr": "pwd_mkdb: no such thing",
    }
    assert ("stop", "web.1") not in host.runtime.calls
    assert asking.serves(host, 1)
    assert sorted(host.runtime.by_name) == ["web.1"]


async def test_a_tool_that_the_base_does_not_have_is_left_out_but_never_that_of_passwords(host: FakeHost) -> None:
    without = {path: text for path, text in ETC.items() if not path.startswith("usr/")}
    await host.add_base("bsd-3", without, family=Family.FREEBSD)
    await asking.create(host, SPEC)
    await asking.upgrade(host, "bsd-3")
    assert seen(host).executed == [PWD]


async def test_what_a_crash_left_of_a_sandbox_is_ended_at_the_next_start(host: FakeHost) -> None:
    await asking.create(host, SPEC)
    run = replace(host.runtime.by_name["web.1"].spec, jail=names.sandbox("0123456789abcdef"))
    await host.runtime.create(run)
    await host.runtime.start(run.jail, 1)
    await host.restart()
    assert sorted(host.runtime.by_name) == ["web.1"]
    assert "ended work_0123456789ab, left of an operation" in host.core.recovery.repairs


GLIBC = {"etc/ld.so.conf": "/usr/local/lib\n", "sbin/ldconfig": "ELF"}
LDCONFIG = ("/sbin/ldconfig", "-X")
OWN = ("/usr/local/lib", "/usr/local/lib64", "/usr/local/lib/compat/pkg")


@pytest.fixture
async def linux(tmp_path: Path) -> AsyncIterator[FakeHost]:
    found = FakeHost(tmp_path)
    found.runtime = Watched(FACTS)
    await found.start()
    await found.add_base("deb-1", GLIBC)
    await found.add_base("deb-2", GLIBC)
    await found.add_release("web/1")
    await found.add_release("web/2", {"lib/x86_64-linux-gnu/libf.so.1": "ELF"})
    yield found
    await found.stop()


async def test_a_new_release_is_told_to_the_linker_by_the_bases_ldconfig(linux: FakeHost) -> None:
    await asking.create(linux, JailSpec(base="deb-1", app="web/1"))
    assert seen(linux).executed == [(*LDCONFIG, *OWN)]
    assert asking.reason_of(await asking.deploy(linux, "web/2")) == ""
    assert seen(linux).executed[1:] == [(*LDCONFIG, OWN[0], "/usr/local/lib/x86_64-linux-gnu", *OWN[1:])]


async def test_another_base_makes_the_linkers_cache_anew(linux: FakeHost) -> None:
    await asking.create(linux, JailSpec(base="deb-1", command=("/bin/sh",)))
    assert seen(linux).executed == []
    assert asking.reason_of(await asking.upgrade(linux, "deb-2")) == ""
    assert seen(linux).executed == [LDCONFIG]


async def test_the_same_layers_keep_the_linkers_cache(linux: FakeHost) -> None:
    spec = JailSpec(base="deb-1", app="web/1")
    await asking.create(linux, spec)
    await asking.configure(linux, msgspec.structs.replace(spec, hostname="other"))
    assert seen(linux).executed == [(*LDCONFIG, *OWN)]


async def test_a_base_without_ldconfig_or_whose_linker_has_no_cache_is_left_as_it_is(linux: FakeHost) -> None:
    await linux.add_base("distroless", {"etc/ld.so.conf": ""})
    await linux.add_base("alpine", {"sbin/ldconfig": "#!/bin/sh"})
    await asking.create(linux, JailSpec(base="distroless", app="web/1"))
    await asking.upgrade(linux, "alpine")
    assert asking.serves(linux, 2)
    assert seen(linux).made == []


async def test_on_freebsd_the_jails_own_ldconfig_tells_the_linker_of_the_release_at_each_start(host: FakeHost) -> None:
    tools = {"etc/rc.d/ldconfig": "", "sbin/ldconfig": "ELF"}
    await host.add_base("bsd-4", {**ETC, **tools}, family=Family.FREEBSD)
    await asking.create(host, SPEC)
    assert not host.runtime.by_name["web.1"].spec.linker_hints  # that base has no such tool
    await asking.upgrade(host, "bsd-4")
    assert host.runtime.by_name["web.2"].spec.linker_hints


@pytest.mark.parametrize(("written", "runs"), [("motd", 1), ("ld.so.conf", 2)])
async def test_what_the_jail_writes_meanwhile_costs_no_ldconfig_in_the_downtime_but_a_new_ld_so_conf(
    linux: FakeHost, written: str, runs: int
) -> None:
    await asking.create(linux, JailSpec(base="deb-1", app="web/1"))
    seen(linux).executed.clear()
    generations = linux.core.inventory.jail("web").folder / "generations"
    seen(linux).writes = {
        generations / "1/etc" / written: "of the jail\n",
        generations / "2/etc/ld.so.cache": "made by ldconfig\n",
    }
    assert asking.reason_of(await asking.deploy(linux, "web/2")) == ""
    assert (generations / "2/etc" / written).read_text() == "of the jail\n"
    assert len(seen(linux).executed) == runs
    assert seen(linux).serving[-runs:] == [True, False][:runs]
    if runs == 1:
        assert (generations / "2/etc/ld.so.cache").read_text() == "made by ldconfig\n"
