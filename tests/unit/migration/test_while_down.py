"""What is done while a jail that migrates is down: counted, and in which order; what is done side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jaild.model import layout
from jaild.model.jails.spec import JailSpec, Volume
from jaild.model.layers.records import JailRecord, Ownership, decode
from jaild.model.operation import Operation
from tests.hosts import invariants
from tests.hosts.asking import reason_of, serves
from tests.hosts.migrating import SPEC, last_words, migrate, two_hosts, writes_at_its_end
from tests.hosts.standbys import stop


def parted(volumes: int) -> JailSpec:
    return msgspec.structs.replace(SPEC, volumes={f"v{n}": Volume(path=f"/var/v{n}") for n in range(volumes)})


class Noted(list[str]):
    """Calls, of which each is put down in `steps` too, with who made it; `at` is called by them."""

    def __init__(self, who: str, steps: list[str], at: Callable[[str], None]) -> None:
        super().__init__()
        self._who, self._steps, self._at = who, steps, at

    def append(self, call: str, /) -> None:
        """Put down."""
        which = call.split(" ")[self._who == "link"]  # there the first word is who calls whom
        super().append(call)
        self._steps.append(f"{self._who} {which}")
        self._at(self._steps[-1])


@pytest.mark.parametrize("volumes", [0, 8])
async def test_while_the_jail_is_down_only_that_is_done_which_its_start_waits_for(
    quick_path: Path, volumes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = await two_hosts(quick_path, back=False, spec=parted(volumes))
    steps: list[str] = []
    starts = asyncio.Event()
    words = writes_at_its_end(source)

    def wait_for_the_start(step: str) -> None:
        if step == "beta runtime.start":
            starts.set()

    for host in (source, target):
        host.life.calls, host.life.counting = Noted(host.name, steps, wait_for_the_start), True
        put, append = host.store.put_operation, host.store.append_event  # type: ignore[union-attr]

        async def put_operation(operation: Operation, put: Any = put, name: str = host.name) -> None:
            steps.append(f"{name} store.put_operation")
            await put(operation)

        async def append_event(time: float, kind: str, *told: Any, append: Any = append, name: str = host.name) -> Any:
            if kind == "migration.committed":
                async with asyncio.timeout(30):
                    await starts.wait()
            steps.append(f"{name} store.append_event")
            return await append(time, kind, *told)

        monkeypatch.setattr(host.store, "put_operation", put_operation)
        monkeypatch.setattr(host.store, "append_event", append_event)
    source.network.calls, source.network.counting = Noted("link", steps, wait_for_the_start), True
    assert reason_of(await source.end_of(await migrate(source, target))) == ""
    down = steps[steps.index("alpha runtime.stop") + 1 : steps.index("beta runtime.start")]
    datasets = 2 + volumes
    looks = [("alpha zfs.written", 1)] if volumes else []  # what is idle then needs no program of its own
    # In the order in which each is done first. Of the target's three `set` one makes all datasets writable.
    assert [(step, down.count(step)) for step in dict.fromkeys(down)] == [
        ("alpha zfs.snapshot", 1),
        ("alpha zfs.snapshots", 1),
        *looks,
        ("alpha zfs.send", 2 if volumes else datasets),
        ("link receive", 2),  # the jail's own, and what was written to
        ("beta zfs.receive", 2),
        ("link prepare", 1),
        ("beta zfs.snapshots", 1),
        ("beta zfs.written", 1),
        ("beta zfs.mount", 1 + datasets),
        ("beta zfs.set", 3),
        ("beta zfs.unmount", 1),
        ("beta store.put_journal", 1),
        ("alpha zfs.set", 1),
        ("alpha store.put_journal", 1),
        ("link activate", 1),
        ("beta runtime.stop", 1),
        ("beta runtime.remove", 1),
        ("beta runtime.create", 1),
    ]
    assert serves(target, 1)
    assert last_words(target).read_text() == words[-1]
    await stop([source, target])


@pytest.mark.parametrize("back", [False, True], ids=["first move", "move back"])
async def test_the_new_owners_record_and_what_makes_all_its_datasets_writable_share_a_transaction_group(
    quick_path: Path, monkeypatch: pytest.MonkeyPatch, *, back: bool
) -> None:
    source, target = await two_hosts(quick_path, back=back)
    change, mount, both = target.zfs.set, target.zfs.mount, asyncio.Barrier(2)
    states: list[Ownership] = []

    async def changed(name: str, properties: Mapping[str, str], *others: str) -> None:
        text = properties.get(layout.JAIL_PROPERTY)
        if "readonly" in properties or (text and decode(text, JailRecord, name).state is Ownership.ACTIVE):
            async with asyncio.timeout(30):
                await both.wait()
            assert others == ()  # its parts are open with it
        await change(name, properties, *others)

    async def mounted(name: str) -> None:
        if name == "tank/jaild/jails/web":
            states.append((await invariants.records(target))["web"].state)
        await mount(name)

    monkeypatch.setattr(target.zfs, "set", changed)
    monkeypatch.setattr(target.zfs, "mount", mounted)
    assert reason_of(await source.end_of(await migrate(source, target))) == ""
    assert states == [Ownership.INCOMING, Ownership.ACTIVE]  # to be looked into; to be served from
    assert serves(target, 1)
    await stop([source, target])


async def test_what_came_is_mounted_side_by_side_its_own_dataset_first(
    quick_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = await two_hosts(quick_path, back=False, spec=parted(3))
    mount, all_below = target.zfs.mount, asyncio.Barrier(4)
    mounted: list[str] = []

    async def noted(name: str) -> None:
        if name != "tank/jaild/jails/web" and "tank/jaild/jails/web" in name:
            assert mounted
            async with asyncio.timeout(30):
                await all_below.wait()
        await mount(name)
        mounted.append(name)

    monkeypatch.setattr(target.zfs, "mount", noted)
    assert reason_of(await source.end_of(await migrate(source, target))) == ""
    assert serves(target, 1)
    await stop([source, target])


async def test_datasets_are_sent_side_by_side_as_soon_as_their_parent_is_there(
    quick_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = await two_hosts(quick_path, back=False, spec=parted(3))
    jail, receive, all_below = "tank/jaild/jails/web", target.zfs.receive, asyncio.Barrier(4)
    came: list[str] = []

    async def received(name: str, *what: Any, **how: Any) -> None:
        if name.startswith(f"{jail}/") and name not in came:
            assert jail in came
            async with asyncio.timeout(30):
                await all_below.wait()
        await receive(name, *what, **how)
        came.append(name)

    monkeypatch.setattr(target.zfs, "receive", received)
    assert reason_of(await source.end_of(await migrate(source, target))) == ""
    assert f"{jail}/v2" in came
    assert serves(target, 1)
    await stop([source, target])
