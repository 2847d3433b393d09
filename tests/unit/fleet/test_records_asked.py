"""Did the one `zfs set` happen? Datasets that do not answer are asked until they do, and all goes on from there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jaild.model.errors import InternalError
from jaild.model.layers.records import Ownership
from tests.fakes.faults import Effect
from tests.fakes.host import FakeHost
from tests.hosts.asking import create, deploy, reason_of, serves
from tests.hosts.migrating import migrate, two_hosts
from tests.hosts.standbys import happened, hosts_with, promote, stop

JAIL = "tank/jaild/jails/web"
DOWN = "alpha is down"


class Sick(dict[str, Exception]):
    """ZFS commands about the jail that fail so many times each, while the jail's record has that state."""

    def __init__(self, host: FakeHost, state: Ownership, *, sets: int, gets: int) -> None:
        super().__init__()
        self._host = host
        self._state = state
        self.left = {f"set {JAIL}": sets, f"dataset {JAIL}": gets}

    def get(self, key: str, default: Any = None) -> Any:
        entry = self._host.core.inventory.jails.get("web")
        sick = entry is not None and entry.record is not None and entry.record.state is self._state
        if not sick or not self.left.get(key):
            return default
        self.left[key] -= 1
        return InternalError("COMMAND_FAILED", f"zfs {key}: I/O error", hint="wait")


async def told(host: FakeHost) -> list[str]:
    events = host.core.use_cases.events
    return [event.kind async for event in events.watch(0, "jails/web", False) if event.kind.startswith("task.")]


async def test_a_migration_that_aborts_while_zfs_does_not_answer_has_its_jail_up_again_as_soon_as_it_does(
    quick_path: Path,
) -> None:
    source, target = await two_hosts(quick_path, back=False)
    source.zfs.refuse = sick = Sick(source, Ownership.FROZEN, sets=4, gets=9)
    assert reason_of(await source.end_of(await migrate(source, target))) == "COMMAND_FAILED"
    assert sum(sick.left.values()) == 0
    await source.quiet()
    assert serves(source, 1)
    assert source.core.inventory.jails["web"].message == ""
    assert "web" not in target.core.inventory.jails
    assert "task.failed" in await told(source)
    assert (await told(source)).count("task.failed") == (await told(source)).count("task.recovered")
    assert reason_of(await source.end_of(await migrate(source, target))) == ""
    await stop([source, target])


async def test_a_hand_over_that_was_made_although_zfs_said_otherwise_is_known_as_soon_as_it_answers(
    quick_path: Path,
) -> None:
    source, target = await two_hosts(quick_path, back=False)
    source.zfs.refuse = sick = Sick(source, Ownership.FROZEN, sets=0, gets=5)
    source.life.at, source.life.effect, source.life.counting = (
        (f"zfs.set {JAIL} jaild:jail", 1),
        Effect.ERROR_AFTER,
        True,
    )
    assert reason_of(await source.end_of(await migrate(source, target))) == ""
    assert source.life.hit
    assert sick.left[f"dataset {JAIL}"] == 0
    assert serves(target, 1)
    await stop([source, target])


async def test_a_jail_that_cannot_be_started_after_an_abort_is_started_as_soon_as_it_can_be(quick_path: Path) -> None:
    source, target = await two_hosts(quick_path, back=False)
    source.zfs.refuse = Sick(source, Ownership.FROZEN, sets=1, gets=0)
    source.runtime.refuse["create"] = KeyError("mounts")
    assert reason_of(await source.end_of(await migrate(source, target))) == "COMMAND_FAILED"
    assert "tried again" in str([e async for e in source.core.use_cases.events.watch(0, "jails/web", False)])
    assert source.core.inventory.jails["web"].run is None
    source.runtime.refuse.clear()
    await source.quiet()
    assert serves(source, 1)
    await stop([source, target])


async def test_a_change_whose_commit_fails_while_zfs_does_not_answer_has_the_old_generation_back(
    host: FakeHost,
) -> None:
    await create(host)
    host.zfs.refuse = sick = Sick(host, Ownership.ACTIVE, sets=1, gets=5)
    assert reason_of(await deploy(host, "web/2")) == "COMMAND_FAILED"
    assert sick.left[f"dataset {JAIL}"] == 0
    assert serves(host, 1)


async def test_a_failover_that_fails_while_zfs_does_not_answer_is_a_standby_again(tmp_path: Path) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    alpha.network.sever()
    beta.zfs.refuse = sick = Sick(beta, Ownership.CLAIMED, sets=3, gets=6)
    assert reason_of(await promote(beta, down=True, confirm=DOWN)) == "COMMAND_FAILED"
    assert sum(sick.left.values()) == 0
    record = beta.core.inventory.jails["web"].record
    assert record is not None
    assert record.state is Ownership.STANDBY
    assert reason_of(await promote(beta, down=True, confirm=DOWN)) == ""
    await stop(hosts)


async def test_what_is_asked_again_and_again_is_shown_by_the_host_and_the_jail(quick_path: Path) -> None:
    source, target = await two_hosts(quick_path, back=False)
    source.zfs.refuse = Sick(source, Ownership.FROZEN, sets=1, gets=1_000_000)
    moving = await migrate(source, target)
    await happened(source, "task.failed")
    source.zfs.refuse["dataset tank/jaild"] = InternalError("COMMAND_FAILED", "zfs get: I/O error")
    shown = await source.core.host.view()
    assert [(task.name, task.target) for task in shown.failing] == [("record of web", "jails/web")]
    assert "I/O error" in shown.failing[0].error
    assert shown.failing[0].failures > 0
    assert shown.available > 0
    assert "asked again" in source.core.use_cases.jails.get("web").message
    source.zfs.refuse = {}
    assert reason_of(await source.end_of(moving)) == "COMMAND_FAILED"
    assert (await source.core.host.view()).failing == ()
    await stop([source, target])
