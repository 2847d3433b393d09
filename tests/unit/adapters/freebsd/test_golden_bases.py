"""What jaild runs on FreeBSD to make bases: tests/golden/freebsd/bases/*.txt, to be read as documentation.

After a wanted change, read it anew:
`JAILD_UPDATE_GOLDEN=1 .venv/bin/pytest tests/unit/adapters/freebsd/test_golden_bases.py`.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jaild.model.errors import FailedPreconditionError
from jaild.model.layers.records import Family
from jaild.model.operation import Operation
from jaild.ports.process import Completed
from tests.fakes.host import FakeHost, caller
from tests.fakes.processes import Said
from tests.fakes.runtime import FACTS, FakeRuntime
from tests.hosts.asking import reason_of
from tests.unit.adapters.files.test_osdetect import elf

GOLDEN = Path(__file__).parents[3] / "golden/freebsd/bases"
HOST_CONF = """# $FreeBSD$
KeyPrint 800651ef4b4c71c27e60786d7b487188970f4b4169cc055784e21eb71d410cc5
ServerName update.example.net
Components src world kernel
UpdateIfUnmodified /etc/ /var/ /root/ /.cshrc /.profile
CreateBootEnv yes
"""
FETCHED = """Looking up update.example.net mirrors... none found.
Fetching metadata signature for 14.1-RELEASE from update.example.net... done.
The following files will be updated as part of updating to 14.1-RELEASE-p6:
/bin/freebsd-version
"""
NONE = "No updates needed to update system to 14.1-RELEASE-p5.\n"
ENDED = """
WARNING: FreeBSD 14.1-RELEASE HAS PASSED ITS END-OF-LIFE DATE.
Any security issues discovered after Mon Mar 31 23:59:59 UTC 2025
will not have been corrected.
"""
AGAIN = """Installing updates...
Completing this upgrade requires removing old shared object files.
Please upgrade or rebuild all installed 3rd party software (e.g.,
programs installed with pkg or from the ports tree) and then run
'freebsd-update [options] install' again to finish installing updates.
"""


class Tools:
    """`pkg` and `freebsd-update` of a host: told what they say, and what they leave in the tree."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.says: dict[str, Said] = {}
        self.leaves = ""  # the version that is in the tree afterwards
        self.conf = ""

    async def run(self, argv: Sequence[str], *, env: Mapping[str, str], timeout: float, check: bool) -> Completed:
        assert timeout > 3600
        assert not check
        said = self.says.get(argv[-1], Said())
        self.lines.append(f"$ env {shlex.join(f'{key}={value}' for key, value in env.items())} {shlex.join(argv)}")
        if said.status:
            self.lines += [f"# status {said.status}", *(f"err| {line}" for line in said.stderr.splitlines())]
        if "-f" in argv:
            self.conf = Path(argv[argv.index("-f") + 1]).read_text()
        if self.leaves and not said.status and argv[-1] != "fetch":
            tree = Path(argv[argv.index("--rootdir" if argv[0] == "pkg" else "-b") + 1])
            userland(tree, self.leaves)
            if argv[0] == "pkg":
                (tree / "var/db/pkg/repos/FreeBSD-base").mkdir(parents=True)
                (tree / "var/db/pkg/local.sqlite").write_text("SQLite format 3")
        words = said.stdout.encode(), said.stderr.encode()
        return Completed(argv=tuple(argv), status=said.status, stdout=words[0], stderr=words[1], seconds=0.0)

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


def userland(tree: Path, version: str) -> None:
    for folder in ("bin", "usr/include/sys", "etc", "var", "root", "home"):
        (tree / folder).mkdir(parents=True, exist_ok=True)
    (tree / "bin/freebsd-version").write_text(f'#!/bin/sh\nUSERLAND_VERSION="{version}"\n')
    major, minor = version.split("-", maxsplit=1)[0].split(".")
    (tree / "usr/include/sys/param.h").write_text(f"#define __FreeBSD_version {major}0{minor}000\n")
    (tree / "bin/sh").write_bytes(elf())


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[FakeHost]:
    found = FakeHost(tmp_path)
    found.runtime = FakeRuntime(facts=replace(FACTS, family=Family.FREEBSD, osreldate=1401000))
    found.programs = Tools()  # type: ignore[assignment]
    (tmp_path / "freebsd-update.conf").write_text(HOST_CONF)
    (tmp_path / "staging").mkdir()
    await found.start()
    await found.add_base("14.1-p5", {"etc/rc.conf": ""}, family=Family.FREEBSD)
    yield found
    await found.stop()


def tools(host: FakeHost) -> Tools:
    assert isinstance(host.programs, Tools)
    return host.programs


async def patch(host: FakeHost, name: str = "14.1-p6", parent: str = "14.1-p5") -> Operation:
    return await host.end_of(await host.core.use_cases.base_making.patch(name, parent, caller=caller()))


async def install(host: FakeHost, abi: str = "FreeBSD:15:amd64") -> Operation:
    making = host.core.use_cases.base_making
    return await host.end_of(await making.install("15.0", "FreeBSD-base", (), abi, 1500068, caller=caller()))


def same_as_written_down(host: FakeHost, operation: Operation, name: str, about: str) -> None:
    lines = list(tools(host).lines)
    if operation.failure is not None:
        lines.append(f"! {operation.failure.reason}: {operation.failure.message}")
    text = "\n".join((about, "", *lines, ""))
    places = {
        host.folder / "staging" / operation.id: "/var/db/jaild/staging/OPERATION",
        host.core.inventory.base("14.1-p5").folder.parents[1]: "/tank/jaild",
        host.folder / "repos": "/usr/local/etc/jaild/repos",
    }
    for place, told in places.items():
        text = text.replace(str(place), told)
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("JAILD_UPDATE_GOLDEN") == "1":
        file.write_text(text)
    assert file.read_text() == text


async def test_a_base_is_installed_from_packages(host: FakeHost) -> None:
    tools(host).leaves = "15.0-RELEASE"
    operation = await install(host)
    assert reason_of(operation) == ""
    record = host.core.use_cases.bases.get("15.0").record
    assert (record.version, record.abi, record.osreldate) == ("15.0-RELEASE", "FreeBSD:15:amd64", 1500000)
    assert record.notes[0] == "pkgbase: FreeBSD-set-base-jail from FreeBSD-base"
    assert [path.name for path in (host.core.inventory.base("15.0").tree / "var/db/pkg").iterdir()] == ["local.sqlite"]
    same_as_written_down(host, operation, "pkgbase", "# A base put together from packages of the base system (15).")


async def test_packages_that_are_not_there_leave_no_base(host: FakeHost) -> None:
    said = (
        "pkg: No packages available to install matching 'FreeBSD-set-base-jail' have been found in the repositories\n"
    )
    tools(host).says["FreeBSD-set-base-jail"] = Said(stderr=said, status=1)
    operation = await install(host)
    assert reason_of(operation) == "COMMAND_FAILED"
    same_as_written_down(host, operation, "pkgbase-failed", "# What pkg says is kept, and nothing else.")
    assert "tank/jaild/bases/15.0" not in [dataset.name for dataset in await host.zfs.datasets("tank")]


async def test_what_was_installed_must_be_what_was_asked_for(host: FakeHost) -> None:
    tools(host).leaves = "15.0-RELEASE"
    assert reason_of(await install(host, "FreeBSD:15:aarch64")) == "ABI_MISMATCH"


async def test_a_base_is_patched_as_a_new_one_and_the_old_one_stays(host: FakeHost) -> None:
    tools(host).leaves = "14.1-RELEASE-p6"
    tools(host).says["fetch"] = Said(stdout=FETCHED)
    before = host.core.inventory.base("14.1-p5")
    operation = await patch(host)
    assert reason_of(operation) == ""
    assert host.core.use_cases.bases.get("14.1-p6").record.version == "14.1-RELEASE-p6"
    assert not (before.tree / "bin/freebsd-version").exists()
    assert host.core.inventory.base("14.1-p5") == before
    assert tools(host).conf == (
        "KeyPrint 800651ef4b4c71c27e60786d7b487188970f4b4169cc055784e21eb71d410cc5\n"
        "ServerName update.example.net\n"
        "UpdateIfUnmodified /etc/ /var/ /root/ /.cshrc /.profile\n"
        "Components world\n"
        "BackupKernel no\n"
    )
    same_as_written_down(host, operation, "freebsd-update", "# A sealed base, cloned, patched, sealed as a new one.")


async def test_a_release_past_its_end_of_life_gets_the_patches_there_are(host: FakeHost) -> None:
    tools(host).leaves = "14.1-RELEASE-p6"
    tools(host).says["fetch"] = Said(stdout=FETCHED + ENDED, status=1)  # that is its status, with all fetched
    assert reason_of(await patch(host)) == ""
    note = host.core.use_cases.bases.get("14.1-p6").record.notes[0]
    assert note == "patched from 14.1-p5 (14.1-RELEASE) by freebsd-update; 14.1-RELEASE has passed its end of life"


async def test_old_libraries_are_removed_by_a_second_install(host: FakeHost) -> None:
    tools(host).leaves = "14.1-RELEASE-p6"
    tools(host).says["install"] = Said(stdout=AGAIN)
    assert reason_of(await patch(host)) == ""
    assert [line.rpartition(" ")[2] for line in tools(host).lines] == ["fetch", "install", "install"]


async def test_a_base_with_patched_ones_made_from_it_is_not_deleted(host: FakeHost) -> None:
    tools(host).leaves = "14.1-RELEASE-p6"
    await patch(host)
    with pytest.raises(Exception, match="shares blocks with"):
        await host.core.use_cases.bases.delete("14.1-p5", validate_only=False, caller=caller())


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("fetch", Said(stdout=NONE)),
        ("fetch", Said(stdout=NONE + ENDED, status=1)),
        ("install", Said(stdout="No updates are available to install.\n", status=2)),
    ],
)
async def test_no_updates_is_told_and_no_twin_is_sealed(host: FakeHost, command: str, said: Said) -> None:
    tools(host).says[command] = said
    operation = await patch(host)
    assert reason_of(operation) == "BASE_UP_TO_DATE"
    assert [base.record.name for base in host.core.use_cases.bases.list()] == ["14.1-p5"]
    assert "tank/jaild/bases/14.1-p6" not in [dataset.name for dataset in await host.zfs.datasets("tank")]
    assert operation.failure is not None
    assert ("which has passed its end of life" in operation.failure.message) == bool(command == "fetch" and said.status)
    if command == "fetch" and not said.status:
        about = "# Nothing to patch: told, and nothing is kept."
        same_as_written_down(host, operation, "freebsd-update-none", about)


async def test_a_base_of_packages_is_not_patched(host: FakeHost) -> None:
    await host.add_base("15.1", {"var/db/pkg/local.sqlite": "SQLite format 3"}, family=Family.FREEBSD)
    with pytest.raises(FailedPreconditionError, match="made of packages") as refused:
        await patch(host, "15.1-p1", "15.1")
    assert refused.value.reason == "BASE_OF_PACKAGES"
    assert tools(host).lines == []


async def test_a_linux_base_is_not_patched_and_a_linux_host_makes_none(host: FakeHost) -> None:
    await host.add_base("deb")
    with pytest.raises(Exception, match="base deb is linux"):
        await patch(host, "deb-2", "deb")
    host.runtime.host_facts = FACTS
    with pytest.raises(Exception, match="this host runs linux"):
        await patch(host)
    assert tools(host).lines == []


@pytest.mark.parametrize(
    ("repository", "names", "abi", "osversion"),
    [
        ("-r", (), "FreeBSD:15:amd64", 0),
        ("a/b", (), "FreeBSD:15:amd64", 0),
        ("base", ("-f",), "FreeBSD:15:amd64", 0),
        ("base", (), "debian:12:amd64", 0),
        ("base", (), "FreeBSD:15:amd64", 1401000),
    ],
)
async def test_what_cannot_be_packages_of_a_base_is_refused(
    host: FakeHost, repository: str, names: tuple[str, ...], abi: str, osversion: int
) -> None:
    with pytest.raises(Exception, match="not") as refused:
        await host.core.use_cases.base_making.install("x", repository, names, abi, osversion, caller=caller())
    assert getattr(refused.value, "reason", "") == "INVALID_PACKAGES"
    assert tools(host).lines == []


def test_nothing_is_written_down_that_is_not_run() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == {
        "pkgbase",
        "pkgbase-failed",
        "freebsd-update",
        "freebsd-update-none",
    }
