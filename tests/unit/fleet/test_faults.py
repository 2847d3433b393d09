"""One host, one change, and a fault at every single call of a port: what comes out is the old or the new, and whole."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec
import pytest

from jaild.backups.restores import Wanted
from jaild.copies.exports import Wanted as Exported
from jaild.copies.imports import Asked
from jaild.model.jails.spec import Hooks, HttpHook, JailSpec, Volume
from jaild.model.operation import Operation
from tests.fakes.faults import Crash, Effect, Life, is_worth
from tests.fakes.host import FakeHost, caller
from tests.hosts import invariants
from tests.hosts.fixtures import furnished
from tests.hosts.points import points

pytestmark = pytest.mark.exhaustive  # all calls, minutes

SPEC = JailSpec(base="deb-1", app="web/1")
_DONE = {
    "GENERATION_ACTIVE",
    "CHANGE_UNCONFIRMED",
    "NOTHING_TO_CONFIRM",
    "NOTHING_STAGED",
    "VOLUME_NOT_FOUND",
    "SNAPSHOT_EXISTS",
    "SNAPSHOT_NOT_FOUND",
}  # it was done at the first time
_DATA = ("data/var/state", "cache/state")  # what restores bring back, all of it or nothing
HOOKS = Hooks(
    before_stop=(HttpHook(url="http://192.0.2.1/drain"),), after_start=(HttpHook(url="http://192.0.2.1/serve"),)
)
Ask = Callable[[FakeHost], Awaitable[Operation]]


async def create(host: FakeHost) -> Operation:
    return await host.core.use_cases.jails.create("web", SPEC, stopped=False, validate_only=False, caller=caller())


async def create_with_hooks(host: FakeHost) -> Operation:
    spec = msgspec.structs.replace(SPEC, hooks=HOOKS)
    return await host.core.use_cases.jails.create("web", spec, stopped=False, validate_only=False, caller=caller())


async def create_stopped(host: FakeHost) -> Operation:
    return await host.core.use_cases.jails.create("web", SPEC, stopped=True, validate_only=False, caller=caller())


async def deploy(host: FakeHost) -> Operation:
    return await host.core.use_cases.jails.deploy("web", "web/2", etag="", validate_only=False, caller=caller())


async def deploy_to_be_confirmed(host: FakeHost) -> Operation:
    return await host.core.use_cases.jails.deploy(
        "web", "web/2", etag="", validate_only=False, caller=caller(), confirm_within=3600
    )


async def stage(host: FakeHost) -> Operation:
    return await host.core.use_cases.jails.deploy(
        "web", "web/2", etag="", validate_only=False, caller=caller(), stage=True
    )


async def cut_over(host: FakeHost) -> Operation:
    return await host.core.use_cases.staging.cutover("web", validate_only=False, caller=caller())


async def unstage(host: FakeHost) -> Operation:
    return await host.core.use_cases.staging.unstage("web", caller=caller())


async def write_to_etc(host: FakeHost) -> Operation:
    """Have the jail write to its own configuration, which ends at once."""
    entry = host.core.inventory.jails["web"]
    (entry.folder / "generations/1/etc/motd").write_text("the jail's own\n")
    return host.core.use_cases.operations.list()[0]


async def revert(host: FakeHost) -> Operation:
    return await host.core.use_cases.confirmations.revert("web", validate_only=False, caller=caller())


async def upgrade(host: FakeHost) -> Operation:
    return await host.core.use_cases.jails.upgrade("web", "deb-2", etag="", validate_only=False, caller=caller())


async def roll_back(host: FakeHost) -> Operation:
    return await host.core.use_cases.jails.rollback(
        "web", generation=1, axis="", etag="", validate_only=False, caller=caller()
    )


async def delete(host: FakeHost) -> Operation:
    return await host.core.use_cases.jails.delete("web", force=True, etag="", validate_only=False, caller=caller())


async def create_with_volume(host: FakeHost) -> Operation:
    spec = msgspec.structs.replace(SPEC, volumes={"cache": Volume(path="/var/cache")})
    return await host.core.use_cases.jails.create("web", spec, stopped=False, validate_only=False, caller=caller())


async def configure_without_volume(host: FakeHost) -> Operation:
    return await host.core.use_cases.jails.configure("web", SPEC, etag="", validate_only=False, caller=caller())


async def remove_volume(host: FakeHost) -> Operation:
    return await host.core.use_cases.volumes.remove("web", "cache", validate_only=False, caller=caller())


def _write(host: FakeHost, text: str) -> None:
    for path in _DATA:
        (host.core.inventory.jails["web"].folder / path).write_text(text)


async def with_snapshot(host: FakeHost) -> Operation:
    """Have a jail that was `old` at the snapshot `mine`, and is `new`."""
    await host.end_of(await create_with_volume(host))
    _write(host, "old")
    taken = await host.end_of(await take_snapshot(host))
    _write(host, "new")
    return taken


async def take_snapshot(host: FakeHost) -> Operation:
    return await host.core.use_cases.snapshots.take("web", "mine", validate_only=False, caller=caller())


async def remove_snapshot(host: FakeHost) -> Operation:
    return await host.core.use_cases.snapshots.remove("web", "mine", validate_only=False, caller=caller())


async def restore(host: FakeHost) -> Operation:
    return await host.core.use_cases.restores.restore("web", Wanted("mine"), validate_only=False, caller=caller())


async def restore_path(host: FakeHost) -> Operation:
    wanted = Wanted("mine", "/var/cache")
    return await host.core.use_cases.restores.restore("web", wanted, validate_only=False, caller=caller())


async def create_original(host: FakeHost) -> Operation:
    spec = msgspec.structs.replace(SPEC, volumes={"cache": Volume(path="/var/cache")})
    return await host.core.use_cases.jails.create("original", spec, stopped=False, validate_only=False, caller=caller())


async def clone(host: FakeHost) -> Operation:
    return await host.core.use_cases.copies.clones.clone("original", "web", caller=caller())


async def snapshot_original(host: FakeHost) -> Operation:
    """Have somebody snapshot the original, which ends at once."""
    await host.zfs.snapshot("tank/jaild/jails/original", "nightly", recursive=True)
    return await stop_nothing(host)


async def stop_nothing(host: FakeHost) -> Operation:
    return await host.core.use_cases.jails.start("original", caller=caller())


async def clone_at(host: FakeHost) -> Operation:
    return await host.core.use_cases.copies.clones.clone("original", "web", at="nightly", caller=caller())


async def export(host: FakeHost) -> Operation:
    """Export the original to a file, which ends at once."""
    stream = host.core.use_cases.copies.exports.export("original", Exported(), caller())
    (host.folder / "export").write_bytes(b"".join([piece async for piece in stream]))
    return await stop_nothing(host)


async def import_(host: FakeHost) -> Operation:
    imports, path = host.core.use_cases.copies.imports, host.folder / "export"
    return await imports.read("web", str(path), Asked(), caller())


async def create_original_stopped(host: FakeHost) -> Operation:
    return await host.core.use_cases.jails.create("original", SPEC, stopped=True, validate_only=False, caller=caller())


async def rename(host: FakeHost) -> Operation:
    return await host.core.use_cases.copies.renames.rename("original", "web", caller=caller())


async def start(host: FakeHost) -> Operation:
    return await host.core.use_cases.jails.start("web", caller=caller())


async def stop(host: FakeHost) -> Operation:
    return await host.core.use_cases.jails.stop("web", caller=caller())


async def restart(host: FakeHost) -> Operation:
    return await host.core.use_cases.jails.restart("web", caller=caller())


@dataclass(frozen=True)
class Scenario:
    """`before` makes what is there, `ask` is what the fault strikes; afterwards asked again it must work."""

    ask: Ask
    before: tuple[Ask, ...] = ()
    may_vanish: bool = False


SCENARIOS = {
    "create": Scenario(create, may_vanish=True),
    "create stopped": Scenario(create_stopped, may_vanish=True),
    "deploy": Scenario(deploy, (create,)),
    "deploy to be confirmed": Scenario(deploy_to_be_confirmed, (create,)),
    "stage": Scenario(stage, (create,)),
    "stage another": Scenario(stage, (create, stage)),
    "unstage": Scenario(unstage, (create, stage)),
    "cutover": Scenario(cut_over, (create, stage)),
    "cutover to what is made anew": Scenario(cut_over, (create, stage, upgrade)),
    "cutover to what is merged again": Scenario(cut_over, (create, stage, write_to_etc)),
    "revert": Scenario(revert, (create, deploy_to_be_confirmed)),
    "deploy with hooks": Scenario(deploy, (create_with_hooks,)),
    "restart with hooks": Scenario(restart, (create_with_hooks,)),
    "stop with hooks": Scenario(stop, (create_with_hooks,)),
    "deploy on a stopped jail": Scenario(deploy, (create_stopped,)),
    "upgrade": Scenario(upgrade, (create, deploy)),
    "rollback": Scenario(roll_back, (create, deploy)),
    "delete": Scenario(delete, (create,), may_vanish=True),
    "clone": Scenario(clone, (create_original,), may_vanish=True),
    "clone at a snapshot": Scenario(clone_at, (create_original, snapshot_original), may_vanish=True),
    "import": Scenario(import_, (create_original, export), may_vanish=True),
    "rename": Scenario(rename, (create_original_stopped,), may_vanish=True),
    "remove a volume": Scenario(remove_volume, (create_with_volume, configure_without_volume)),
    "take a snapshot": Scenario(take_snapshot, (create_with_volume,)),
    "remove a snapshot": Scenario(remove_snapshot, (with_snapshot,)),
    "restore": Scenario(restore, (with_snapshot,)),
    "restore of a stopped jail": Scenario(restore, (with_snapshot, stop)),
    "restore of a path": Scenario(restore_path, (with_snapshot,)),
    "start": Scenario(start, (create_stopped,)),
    "stop": Scenario(stop, (create,)),
    "restart": Scenario(restart, (create,)),
}


@dataclass
class Trial:
    """One run of a scenario with at most one fault."""

    scenario: Scenario
    at: int | None
    effect: Effect
    reboot: bool = False
    calls: list[str] = field(default_factory=list)

    async def run(self, folder: Path) -> list[str]:
        """Return what was wrong afterwards."""
        host = FakeHost(folder)
        await furnished(host)
        try:
            return await self._run(host)
        finally:
            await host.stop()
            shutil.rmtree(folder)

    async def _run(self, host: FakeHost) -> list[str]:
        for ask in self.scenario.before:
            assert (await host.end_of(await ask(host))).failure is None
        life = host.life
        life.at, life.effect, life.counting = self.at, self.effect, True
        wrong = []
        try:
            operation = await host.end_of(await self.scenario.ask(host))
        except Crash:
            operation = None
        except Exception:  # refused at once
            if self.at is None:
                raise
            operation = None
        life.counting = False
        self.calls = life.calls
        if self.at is None:
            assert operation is not None
            assert operation.failure is None
        wrong += await invariants.unsafe([host], "web")
        if not life.dead:
            there = "web" in await invariants.records(host)
            if there or not self.scenario.may_vanish:
                wrong += [f"before the restart: {problem}" for problem in await self._without_restart(host)]
        await host.restart(reboot=self.reboot)
        await host.quiet()
        wrong += self._mixed(host)
        return wrong + await self._recovered(host) + self._mixed(host)

    async def _without_restart(self, host: FakeHost) -> list[str]:
        if self.scenario.ask in {delete, start, stop, restart}:
            return []  # these are asked to interrupt it
        return await invariants.unserved([host], "web")

    async def _recovered(self, host: FakeHost) -> list[str]:
        wrong = await invariants.unsettled(host)
        there = "web" in await invariants.records(host)
        if not there and not self.scenario.may_vanish:
            return [*wrong, "the jail is lost"]
        if there:
            wrong += await invariants.unserved([host], "web")
            if host.probe.called[-1:] == ["/drain"] and invariants.running([host], "web"):
                wrong.append("it serves, and was told last to drain")
        again = [] if not there and self.scenario.ask is delete else [self.scenario.ask]
        if there and self.scenario.ask in {create, create_stopped, clone, clone_at, import_, rename}:
            again = [deploy]
        for ask in again:
            try:
                ended = await host.end_of(await ask(host))
            except Exception as error:  # noqa: BLE001 -- whatever it is, it is told
                if getattr(error, "reason", "") not in _DONE:
                    wrong.append(f"asked again: {error}")
            else:
                if ended.failure is not None and ended.failure.reason not in _DONE:
                    wrong.append(f"asked again: {ended.failure.reason} {ended.failure.message}")
        return wrong + await self._left(host)

    def _mixed(self, host: FakeHost) -> list[str]:
        """Return what is wrong with the data after a restore: it is the old, or the new."""
        if self.scenario.ask not in {restore, restore_path}:
            return []
        folder = host.core.inventory.jails["web"].folder
        data, cache = ((folder / path).read_text() for path in _DATA)
        is_whole = data == "new" if self.scenario.ask is restore_path else data == cache
        return [] if is_whole and cache in {"old", "new"} else [f"data is mixed: {data}, {cache}"]

    async def _left(self, host: FakeHost) -> list[str]:
        volumes = await host.core.use_cases.volumes.list("web") if self.scenario.ask is remove_volume else []
        left = [f"a volume is left: {volume}" for volume in volumes]
        if self.scenario.before[:1] == (create_original,):
            left += await invariants.unserved([host], "original")
            left += [f"{name} is left" for name in host.zfs.pool.filesystems if "/rehearsals/" in name]
            kept = [s.name for s in await host.zfs.snapshots("tank/jaild/jails/original/data") if s.purpose]
            clones = await host.zfs.clones("tank/jaild/jails/original")
            left += [f"{name} is left" for name in kept if name not in clones]
        if self.scenario.ask is rename:
            jails = host.core.inventory.jails
            left += [] if list(jails) == ["web"] else [f"there are {list(jails)}"]
            records = [entry.record for entry in jails.values() if entry.record is not None]
            left += [f"begun: {former}" for record in records for former in record.formerly if not former.until]
        return left


@pytest.mark.parametrize("effect", ["error", "error after it took effect", "crash", "crash of the whole host"])
@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_fault_at_any_call_leaves_the_old_or_the_new_and_whole(
    quick_path: Path, name: str, effect: str
) -> None:
    scenario, reboot = SCENARIOS[name], effect == "crash of the whole host"
    kind = Effect.CRASH if reboot else Effect(effect)
    clean = Trial(scenario, None, kind, reboot=reboot)
    assert await clean.run(quick_path / "clean") == []
    failures = []
    told = [call.replace(str(quick_path), "") for call in clean.calls]
    for number, call in points(told, partial(is_worth, kind)):
        trial = Trial(scenario, number, kind, reboot=reboot)
        problems = await trial.run(quick_path / str(number))
        failures += [f"{kind} at {number} ({call}): {problem}" for problem in problems]
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize(
    "name", ["create", "deploy", "stage", "cutover", "rollback", "revert", "delete", "stop", "remove a volume"]
)
async def test_a_crash_at_any_call_of_a_recovery_is_recovered_from_too(quick_path: Path, name: str) -> None:
    scenario = SCENARIOS[name]
    clean = Trial(scenario, None, Effect.CRASH)
    assert await clean.run(quick_path / "clean") == []
    failures = []
    for third, _ in points(clean.calls[1::3]):
        number = 1 + 3 * third
        for at in itertools.count(0, 2):
            folder = quick_path / f"{number}-{at}"
            reached, problems = await _crash_twice(Trial(scenario, number, Effect.CRASH), at, folder)
            failures += [f"crash at {number} ({clean.calls[number]}), then at {at}: {problem}" for problem in problems]
            if not reached:
                break
    assert not failures, "\n".join(failures)


async def _crash_twice(trial: Trial, at: int, folder: Path) -> tuple[bool, list[str]]:
    """Crash in the change, then at a call of the recovery; return whether that was reached, and what was wrong."""
    host = FakeHost(folder)
    await furnished(host)
    for ask in trial.scenario.before:
        await host.end_of(await ask(host))
    host.life.at, host.life.effect, host.life.counting = trial.at, Effect.CRASH, True
    with suppress(Crash):  # in the plan, before there is an operation
        await host.end_of(await trial.scenario.ask(host))
    second = Life()
    second.at, second.effect, second.counting = at, Effect.CRASH, True
    try:
        await host.restart(life=second)
        await host.quiet()
    except Crash:
        pass
    await host.restart()
    await host.quiet()
    wrong = await invariants.unsettled(host)
    there = "web" in await invariants.records(host)
    wrong += await invariants.unserved([host], "web") if there else []
    wrong += [] if there or trial.scenario.may_vanish else ["the jail is lost"]
    await host.stop()
    shutil.rmtree(folder)
    return len(second.calls) > at, wrong
