"""What a start of the daemon asks of the host must not grow with the number of jails, but where a jail is started."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path

import pytest

from jaild.model import layout
from jaild.model.jails.spec import JailSpec
from tests.fakes.host import FakeHost
from tests.hosts.asking import create, deploy

SPEC = JailSpec(base="deb-1", app="web/1")


async def asked_at_start(host: FakeHost, *, reboot: bool = False) -> Counter[str]:
    """Start a new daemon, and return what it asked of ZFS and of the runtime, how often."""
    await host.kill()
    if reboot:
        await host.lose_power()
    host.zfs.calls.clear()
    host.runtime.calls.clear()
    await host.start()
    await host.quiet()
    zfs = (f"zfs {name}" for name, _ in host.zfs.calls)
    return Counter([*zfs, *(f"runtime {name}" for name, _ in host.runtime.calls)])


async def more(host: FakeHost, count: int) -> None:
    for number in range(count):
        await create(host, SPEC, name=f"n{len(host.core.inventory.jails)}-{number}")


async def test_running_jails_are_adopted_with_as_many_questions_for_many_as_for_few(host: FakeHost) -> None:
    await more(host, 3)
    few = await asked_at_start(host)
    await more(host, 3)
    many = await asked_at_start(host)
    assert (few.pop("runtime wait"), many.pop("runtime wait")) == (3, 6)  # each is watched
    assert few == many
    assert many["zfs datasets"] == 1 + 1  # the second is the test's own, which looks for the pool
    assert many["runtime runs"] == 1
    assert not {"runtime start", "runtime stop", "runtime create", "runtime find"} & set(many)


async def test_what_runs_is_adopted_before_what_does_not_is_started(host: FakeHost) -> None:
    await more(host, 4)
    for name in ("n0-0", "n2-2"):
        host.runtime.by_name.pop(f"{name}.1")
    await asked_at_start(host)
    calls = [call for call in host.runtime.calls if call[0] in {"wait", "start", "stop"}]
    first = next(at for at, (operation, _) in enumerate(calls) if operation != "wait")
    assert {name for _, name in calls[:first]} == {"n1-1.1", "n3-3.1"}
    assert {name for _, name in calls[first:]} == {"n0-0.1", "n2-2.1"}


async def test_a_jail_that_is_started_costs_as_much_among_many(host: FakeHost) -> None:
    counts = []
    for _ in range(2):
        await more(host, 3)
        counts.append(await asked_at_start(host, reboot=True))
    for operation in ("create", "start"):
        assert [count[f"runtime {operation}"] for count in counts] == [3, 6]
    assert counts[0]["runtime runs"] == counts[1]["runtime runs"]
    assert {k: v for k, v in counts[0].items() if k.startswith("zfs")} == {
        k: v for k, v in counts[1].items() if k.startswith("zfs")
    }


async def test_a_jails_generations_are_looked_for_once_and_once_more_where_one_may_never_have_been_committed(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(host)
    for release in ("web/2", "web/1", "web/2"):
        await deploy(host, release)
    looks: list[Path] = []
    names, folders = host.files.names, host.files.folders

    async def counted_names(folder: Path) -> list[str]:
        looks.append(folder)
        return await names(folder)

    async def counted_folders(folder: Path, names: Collection[str]) -> dict[str, frozenset[str]]:
        looks.append(folder)
        return await folders(folder, names)

    monkeypatch.setattr(host.files, "names", counted_names)
    monkeypatch.setattr(host.files, "folders", counted_folders)
    entry = host.core.inventory.jail("web")

    async def looked() -> int:
        looks.clear()
        await asked_at_start(host)
        return sum(entry.folder in path.parents for path in looks)

    assert await looked() == 1
    entry = host.core.inventory.jail("web")
    assert sorted(entry.references) == sorted(int(path.name) for path in (entry.folder / layout.GENERATIONS).iterdir())
    (left := layout.generation_folder(entry.folder, 9)).mkdir()
    (left / layout.STAGED).touch()
    assert (await looked(), left.exists()) == (2, False)
