"""What a daemon does before it answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from jaild.model.errors import FailedPreconditionError
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


async def test_what_the_pool_would_hand_on_wrong_is_set_on_jailds_own_datasets_and_told(host: FakeHost) -> None:
    await host.stop()
    await host.zfs.set("tank", {"atime": "on", "xattr": "off", "utf8only": "on"})
    await host.start()
    for parent in ("bases", "apps", "jails"):
        found = await host.zfs.settings(f"{ROOT}/{parent}")
        # What can be set on a new dataset only is left: doctor says what it breaks.
        assert (found["atime"], found["xattr"], found["utf8only"]) == ("off", "on", "on")
    assert (await host.zfs.settings(ROOT))["atime"] == "on"  # that is the operator's
    told = f"set atime=off, xattr=on on {ROOT}/jails: {ROOT} has them otherwise"
    assert told in (await host.core.use_cases.host.view()).repairs
    host.zfs.calls.clear()
    await host.restart()
    assert ("set", f"{ROOT}/jails") not in host.zfs.calls


async def test_a_read_only_root_dataset_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    host = FakeHost(tmp_path)
    await host.make_root()
    await host.zfs.set("tank", {"readonly": "on"})
    with pytest.raises(FailedPreconditionError) as refused:
        await host.start()
    assert refused.value.reason == "ROOT_DATASET_READONLY"
    assert [dataset.name for dataset in await host.zfs.datasets("tank")] == ["tank", ROOT]
    await host.kill()
