"""What a base's tools made is used for the next jail on the same layers, and for no other."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jaild.jails import toolresults
from jaild.model.etc import results
from jaild.model.etc.regenerate import HOST_KEYS, PASSWORDS, Argv
from jaild.model.etc.results import Result
from jaild.model.etc.tree import Entry, Kind
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.records import Family
from jaild.model.names import is_sandbox
from jaild.ports.runtime import Output
from tests.fakes.host import FakeHost
from tests.fakes.runtime import FACTS, Answer, FakeRuntime
from tests.hosts import asking

GLIBC = {"etc/ld.so.conf": "/usr/local/lib\n", "sbin/ldconfig": "ELF"}
SPEC = JailSpec(base="deb-1", app="web/1")
CACHE = "ld.so.cache"
LDCONFIG: Argv = ("/sbin/ldconfig", "-X")


class Tools(FakeRuntime):
    """A host on which ldconfig writes into the cache how often tools were run before."""

    def __init__(self, *, freebsd: bool = False) -> None:
        super().__init__(facts=replace(FACTS, family=Family.FREEBSD, osreldate=1401000) if freebsd else FACTS)
        self.executed: list[str] = []

    def exec(self, jail: str, generation: int, command: tuple[str, ...], **more: Any) -> AsyncGenerator[Output, None]:
        if is_sandbox(jail):
            etc = next(mount for mount in self.by_name[f"{jail}.{generation}"].spec.mounts if mount.target == "/etc")
            Path(etc.folder, {"pwd_mkdb": "spwd.db"}.get(Path(command[0]).name, CACHE)).write_text(str(self.executed))
            self.executed.append(Path(command[0]).name)
            self.answers[f"{jail}.{generation}"] = Answer()
        return super().exec(jail, generation, command, **more)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[FakeHost]:
    found = FakeHost(tmp_path)
    found.runtime = Tools()
    await found.start()
    await found.add_base("deb-1", {**GLIBC, "etc/machine-id": "", "etc/passwd": "root:*:0:0::/root:/bin/sh\n"})
    await found.add_base("deb-2", GLIBC)
    await found.add_release("web/1")
    await found.add_release("web/2")
    yield found
    await found.stop()


def executed(host: FakeHost) -> list[str]:
    assert isinstance(host.runtime, Tools)
    return host.runtime.executed


def etc_of(host: FakeHost, jail: str, number: int = 1) -> Path:
    return host.core.inventory.jail(jail).folder / f"generations/{number}/etc"


def kept(host: FakeHost) -> list[Path]:
    return sorted((host.folder / "tool-results").iterdir())


async def test_the_second_jail_on_the_same_layers_gets_what_was_made_without_a_sandbox(host: FakeHost) -> None:
    for name in ("one", "two"):
        assert asking.reason_of(await asking.create(host, SPEC, name=name)) == ""
    assert executed(host) == ["ldconfig"]
    assert (etc_of(host, "two") / CACHE).read_text() == (etc_of(host, "one") / CACHE).read_text() == "[]"
    assert (etc_of(host, "two") / "machine-id").read_text() != (etc_of(host, "one") / "machine-id").read_text()


async def test_it_outlives_the_daemon(host: FakeHost) -> None:
    await asking.create(host, SPEC, name="one")
    await host.restart()
    await asking.create(host, SPEC, name="two")
    assert executed(host) == ["ldconfig"]


@pytest.mark.parametrize("other", [JailSpec(base="deb-2", app="web/1"), JailSpec(base="deb-1", app="web/2")])
async def test_other_layers_need_the_tool(host: FakeHost, other: JailSpec) -> None:
    await asking.create(host, SPEC, name="one")
    await asking.create(host, other, name="two")
    assert executed(host) == ["ldconfig", "ldconfig"]


@pytest.mark.parametrize("path", ["ld.so.conf", "ld.so.preload", "made-up"])
async def test_what_a_jail_wrote_to_its_etc_is_its_own_case(host: FakeHost, path: str) -> None:
    for name in ("one", "two"):
        await asking.create(host, SPEC, name=name)
    (etc_of(host, "one") / path).write_text("/var/lib\n")
    (etc_of(host, "one") / CACHE).write_text("poison")
    for name in ("one", "two"):
        assert asking.reason_of(await asking.deploy(host, "web/2", name=name)) == ""
    assert len(executed(host)) == 3
    assert "poison" not in {(etc_of(host, name, 2) / CACHE).read_text() for name in ("one", "two")}


async def test_accounts_and_a_cache_of_its_own_make_no_difference(host: FakeHost) -> None:
    for name in ("one", "two"):
        await asking.create(host, SPEC, name=name)
    (etc_of(host, "one") / "passwd").write_text("root:*:0:0::/root:/bin/bash\n")
    (etc_of(host, "one") / CACHE).write_text("its own")
    for name in ("one", "two"):
        await asking.deploy(host, "web/2", name=name)
    assert executed(host) == ["ldconfig", "ldconfig"]
    assert (etc_of(host, "one", 2) / "passwd").read_text().endswith("bash\n")


@pytest.mark.parametrize("damage", [b"", b"0" * 500])
async def test_what_is_damaged_is_made_again(host: FakeHost, damage: bytes) -> None:
    await asking.create(host, SPEC, name="one")
    (file,) = kept(host)
    file.write_bytes(damage)
    assert asking.reason_of(await asking.create(host, SPEC, name="two")) == ""
    assert executed(host) == ["ldconfig", "ldconfig"]
    assert results.decoded(file.read_bytes()) is not None


async def test_what_cannot_be_kept_or_read_stops_nothing(host: FakeHost) -> None:
    (host.folder / "tool-results").write_text("in the way")
    for name in ("one", "two"):
        assert asking.reason_of(await asking.create(host, SPEC, name=name)) == ""
    assert executed(host) == ["ldconfig", "ldconfig"]


async def test_there_are_never_more_than_so_many(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolresults, "KEPT_RESULTS", 2)
    await asking.create(host, SPEC, name="one")
    for number, spec in enumerate([JailSpec(base="deb-2", app="web/1"), JailSpec(base="deb-1", app="web/2")]):
        await asking.create(host, spec, name=f"more-{number}")
    assert len(kept(host)) == 2


async def test_password_databases_are_made_for_each_jail_and_never_kept(tmp_path: Path) -> None:
    host = FakeHost(tmp_path)
    host.runtime = Tools(freebsd=True)
    await host.start()
    etc = {"etc/master.passwd": "root:*:0:0::0:0::/root:/bin/sh\n", "etc/services": "", "usr/sbin/services_mkdb": "ELF"}
    await host.add_base("bsd-1", etc, family=Family.FREEBSD)
    await host.add_base("bsd-2", etc, family=Family.FREEBSD)
    for name in ("one", "two"):
        await asking.create(host, JailSpec(base="bsd-1", command=("/bin/sh",)), name=name)
        assert asking.reason_of(await asking.upgrade(host, "bsd-2", name=name)) == ""
    assert executed(host) == ["pwd_mkdb", "services_mkdb", "pwd_mkdb"]
    (result,) = [results.decoded(file.read_bytes()) for file in kept(host)]
    assert result is not None
    assert list(result.written) == [CACHE]  # what this services_mkdb writes
    await host.stop()


def entry(text: str = "", **more: Any) -> Entry:
    return Entry(kind=Kind.FILE, content=text.encode(), **more)


def test_only_what_makes_nothing_of_one_jails_own_is_shared() -> None:
    assert results.shared([PASSWORDS, LDCONFIG, HOST_KEYS]) == [LDCONFIG]


@pytest.mark.parametrize(
    "other",
    [
        ([(*LDCONFIG, "/usr/local/lib")], (1, 2, "/usr/local"), {"a": entry()}, {}),
        ([LDCONFIG], (1, 3, "/usr/local"), {"a": entry()}, {}),
        ([LDCONFIG], (1, 2, "/opt"), {"a": entry()}, {}),
        ([LDCONFIG], (1, 2, "/usr/local"), {"a": entry("x")}, {}),
        ([LDCONFIG], (1, 2, "/usr/local"), {"a": entry(mode=0o755)}, {}),
        ([LDCONFIG], (1, 2, "/usr/local"), {"a": entry(), "passwd": Entry(kind=Kind.LINK, target="/x")}, {}),
        ([LDCONFIG], (1, 2, "/usr/local"), {}, {"a": entry()}),
    ],
)
def test_whatever_a_tool_may_read_is_part_of_the_key(other: Any) -> None:
    assert results.key_of([LDCONFIG], (1, 2, "/usr/local"), {"a": entry()}, {}) != results.key_of(*other)


def test_times_are_no_part_of_it() -> None:
    early, late = ({"a": entry(mtime=time)} for time in (1, 2))
    assert results.key_of([LDCONFIG], (1,), early, {}) == results.key_of([LDCONFIG], (1,), late, {})


def test_what_a_tool_removes_is_removed_in_the_next_jail_too() -> None:
    before = {"ssl/old.0": Entry(kind=Kind.LINK, target="x"), "shadow": entry("secret"), "motd": entry()}
    after = {"ssl/new.0": Entry(kind=Kind.LINK, target="y"), "motd": entry(), "gshadow": entry("secret")}
    result = results.result_of(before, after)
    assert result == Result({"ssl/new.0": Entry(kind=Kind.LINK, target="y")}, ("ssl/old.0",))
    assert sorted(result.applied(before)) == ["motd", "shadow", "ssl/new.0"]
    assert results.decoded(results.encoded(result)) == result
