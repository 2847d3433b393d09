"""A release's own libraries without a run path: the base's ldconfig(8) tells the linker of them, in a sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import clibrary
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.client import Client
from tests.e2e.conftest import MANIFEST
from tests.e2e.node import Node
from tests.e2e.test_programs import CREATE, Counted
from tests.tars import file, folder

pytestmark = pytest.mark.real(*LINUX_HOST, "gcc", "ldconfig")


def glibc_base(path: Path, version: str) -> Path:
    return trees.with_files(path, version, clibrary.system(), etc={"ld.so.conf": clibrary.LD_SO_CONF})


def linked(path: Path, version: str, library: str) -> Path:
    build = path.parent / f"build-{version}"
    clibrary.library(build / library, library)
    clibrary.program(build / "program", str(build / library))
    items = [folder("bin"), file("bin/program", (build / "program").read_bytes(), 0o755), folder("lib")]
    return trees.release(path, version, *items, file(f"lib/{library}", (build / library).read_bytes(), 0o755))


def test_a_library_of_the_release_is_found_after_a_deploy_an_upgrade_and_a_rollback(
    api: Client, tmp_path: Path
) -> None:
    api.import_base("glibc-1", glibc_base(tmp_path / "glibc-1.tgz", "1"))
    api.import_base("glibc-2", glibc_base(tmp_path / "glibc-2.tgz", "2"))
    for version, library in (("1", "libone.so.1"), ("2", "libtwo.so.2")):
        api.push(f"linked/{version}", linked(tmp_path / f"{version}.tgz", version, library), manifest=MANIFEST)
    api.create("linked-1", trees.spec("glibc-1", "linked/1"))
    answers = [api.sh("linked-1", "/usr/local/bin/program; echo $?")]
    api.deploy("linked-1", "linked/2")
    answers.append(api.sh("linked-1", "/usr/local/bin/program; echo $?"))
    api.upgrade("linked-1", "glibc-2")
    answers.append(api.sh("linked-1", "/usr/local/bin/program; echo $?"))
    api.rollback("linked-1", generation=1)
    answers.append(api.sh("linked-1", "/usr/local/bin/program; echo $?"))
    assert answers == ["0\n"] * 4
    api.delete("linked-1")


def test_the_linkers_cache_is_made_once_for_all_jails_on_the_same_layers(
    api: Client, node: Node, tmp_path: Path
) -> None:
    api.import_base("glibc-3", glibc_base(tmp_path / "glibc-3.tgz", "3"))
    api.push("linked/3", linked(tmp_path / "3.tgz", "3", "libthree.so.1"), manifest=MANIFEST)
    counted = Counted(node)
    spec = trees.spec("glibc-3", "linked/3", health="[]", readiness="{successes: 1, interval: 0.001}")
    api.create("linked-2", spec)
    assert [program for program in counted.since() if program == "runc exec"] == ["runc exec"]
    api.create("edge-2", spec)
    assert counted.since() == list(CREATE)
    assert api.sh("edge-2", "/usr/local/bin/program; echo $?") == "0\n"
    for name in ("edge-2", "linked-2"):
        api.delete(name)
