"""What a daemon does before it answers."""

from __future__ import annotations

from jaild.model.jails.spec import JailSpec
from tests.fakes.host import ROOT, FakeHost, caller

SPEC = JailSpec(base="deb-1", app="web/1")


async def stopped_jail(host: FakeHost) -> None:
    jails = host.core.use_cases.jails
    await host.end_of(await jails.create("web", SPEC, stopped=True, validate_only=False, caller=caller()))


async def test_a_start_reads_the_tree_of_datasets_once(host: FakeHost) -> None:
    await stopped_jail(host)
    await host.stop()
    host.zfs.calls.clear()
    await host.start()
    assert host.zfs.calls.count(("datasets", ROOT)) == 1
    assert [view.name for view in host.core.use_cases.jails.list()] == ["web"]


async def test_a_jail_whose_dataset_was_left_as_it_came_is_whole_after_a_start(host: FakeHost) -> None:
    await stopped_jail(host)
    await host.stop()
    for part in ("", "/data"):
        await host.zfs.set(f"{ROOT}/jails/web{part}", {"readonly": "on"})
    await host.zfs.unmount(f"{ROOT}/jails/web")
    await host.start()
    generation = host.core.use_cases.jails.get("web").generation
    assert generation is not None
    assert generation.spec == SPEC
    assert not any(dataset.readonly for dataset in await host.zfs.datasets(f"{ROOT}/jails/web"))
