"""What of a spec and a manifest the proof of a plan takes into account: how the command is started."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from jaild.model import layout
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.libraries import ElfFile, Libraries, Linker
from jaild.model.layers.records import Family, Manifest
from tests.fakes.host import FakeHost, caller
from tests.fakes.runtime import FACTS, FakeRuntime

WHERE = {"LD_LIBRARY_PATH": "/usr/local/private"}


def elf(path: str, *, soname: str = "", needed: tuple[str, ...] = (), interpreter: str = "") -> ElfFile:
    return ElfFile(path=path, machine="EM_X86_64", bits=64, soname=soname, needed=needed, interpreter=interpreter)


RTLD = "/libexec/ld-elf.so.1"
BASE = Libraries(files=(elf(RTLD),), search_path=("/lib", "/usr/lib"), linker=Linker.FREEBSD, ldconfig=True)
RELEASE = Libraries(
    files=(
        elf("/usr/local/bin/run", needed=("libp.so", "libq.so"), interpreter=RTLD),
        elf("/usr/local/private/libp.so", soname="libp.so"),
        elf("/usr/local/lib/libq.so", soname="libq.so"),
    ),
    search_path=("/usr/local/lib",),
)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[FakeHost]:
    found = FakeHost(tmp_path)
    found.runtime = FakeRuntime(facts=replace(FACTS, family=Family.FREEBSD, osreldate=1401000))
    await found.start()
    await found.add_base("bsd-1", family=Family.FREEBSD)
    await found.add_release("web/1")
    await found.add_release("web/2", manifest=Manifest(command=("/usr/local/bin/run",), environment=WHERE))
    inventory = found.core.inventory
    folders = {inventory.base("bsd-1").folder: BASE}
    folders |= {inventory.release(f"web/{version}").folder: RELEASE for version in (1, 2)}
    for folder, libraries in folders.items():
        await found.files.write(folder / layout.LIBRARIES, msgspec.json.encode(libraries))
    yield found
    await found.stop()


async def missing(host: FakeHost, spec: JailSpec) -> list[str]:
    asked = await host.core.use_cases.jails.create("web", spec, stopped=False, validate_only=True, caller=caller())
    assert asked.plan is not None
    return [line for finding in asked.plan.findings for line in finding.evidence if finding.code == "MISSING_LIBRARY"]


async def test_where_the_spec_or_the_manifest_sends_the_linker_counts(host: FakeHost) -> None:
    assert await missing(host, JailSpec(base="bsd-1", app="web/1")) == ["run needs libp.so"]
    assert await missing(host, JailSpec(base="bsd-1", app="web/1", environment=WHERE)) == []
    assert await missing(host, JailSpec(base="bsd-1", app="web/2")) == []
    elsewhere = {"LD_LIBRARY_PATH": "/nowhere"}  # the spec's is stronger than the manifest's
    assert await missing(host, JailSpec(base="bsd-1", app="web/2", environment=elsewhere)) == ["run needs libp.so"]


async def test_freebsds_own_boot_has_no_part_of_the_environment(host: FakeHost) -> None:
    spec = JailSpec(base="bsd-1", app="web/1", environment=WHERE, command=("/bin/sh", "/etc/rc"))
    assert await missing(host, spec) == ["run needs libp.so"]
