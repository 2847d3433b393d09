"""A daemon killed while it makes a layer: at the next start nothing of it is there, or all, and it is told which."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from jaild.model.errors import AlreadyExistsError
from jaild.model.operation import Operation
from tests.fakes.faults import Effect
from tests.fakes.host import FakeHost, caller
from tests.hosts.asking import reason_of
from tests.hosts.fixtures import furnished
from tests.hosts.points import points
from tests.unit.adapters.files.test_osdetect import elf


def a_tree(folder: Path) -> Path:
    (folder / "etc").mkdir(parents=True)
    (folder / "etc/os-release").write_text("ID=debian\nVERSION_ID=12\n")
    (folder / "bin").mkdir()
    (folder / "bin/sh").write_bytes(elf())
    return folder


async def asked(host: FakeHost, tree: Path) -> Operation:
    return await host.core.use_cases.bases.import_path("deb-3", str(tree), sha256="", caller=caller())


async def datasets(host: FakeHost) -> list[str]:
    return sorted(dataset.name for dataset in await host.zfs.datasets("tank"))


async def killed(folder: Path, tree: Path, at: int | None) -> tuple[list[str], list[str]]:
    """Kill the daemon before a call of an import (None: never); return the calls, and what was wrong afterwards."""
    host = FakeHost(folder)
    await furnished(host)
    before, life = await datasets(host), host.life
    life.at, life.effect, life.counting = at, Effect.CRASH, True
    operation = await host.end_of(await asked(host, tree))
    life.counting = False
    await host.restart()
    found, wrong = host.core.use_cases.operations.get(operation.id), []
    dataset = host.core.inventory.where.base("deb-3")
    whole = "deb-3" in host.core.inventory.bases
    if await datasets(host) != sorted([*before, *[dataset] * whole]):
        wrong.append("half of it is there")
    if reason_of(found) != ("" if whole else "DAEMON_STOPPED"):
        wrong.append(f"it is {'there' if whole else 'not there'}, and told is {reason_of(found) or 'that it is done'}")
    try:
        again = await host.end_of(await asked(host, tree))
    except AlreadyExistsError:
        wrong += [] if whole else ["it cannot be asked for again"]
    else:
        wrong += [] if reason_of(again) == "" else [f"asked again: {reason_of(again)}"]
    await host.stop()
    shutil.rmtree(folder)
    return life.calls, wrong


@pytest.mark.exhaustive
async def test_of_an_import_that_was_killed_nothing_or_all_is_there_and_its_operation_says_which(
    quick_path: Path,
) -> None:
    tree = a_tree(quick_path / "tree")
    calls, problems = await killed(quick_path / "clean", tree, None)
    assert problems == []
    failures = []
    for number, call in points(calls):
        _, problems = await killed(quick_path / str(number), tree, number)
        failures += [f"killed before {number} ({call}): {problem}" for problem in problems]
    assert not failures, "\n".join(failures)
