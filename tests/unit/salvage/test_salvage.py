"""A jail moved off a pool that cannot be read whole: one owner, what came, and a list of what did not."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from jaild.adapters.files.salvage_reader import HostFileTrees
from jaild.adapters.zfs.errors import refusal
from jaild.model.errors import NotFoundError
from jaild.model.layers.records import Ownership
from jaild.model.operation import Operation
from jaild.model.salvage import Loss
from jaild.ports.salvage import Written
from tests.fakes.faults import Effect, is_worth
from tests.fakes.host import ROOT, FakeHost, caller
from tests.fakes.network import Fault
from tests.hosts import invariants
from tests.hosts.asking import SPEC, configure, ended, reason_of, serves
from tests.hosts.migrating import MARK, migrate, two_hosts
from tests.hosts.points import points
from tests.hosts.standbys import hosts_with, record, stop, written

BAD = Loss(path="var/db/bad", lost=True, reason="Input/output error")


class FailingTrees:
    """Implements `jaild.ports.salvage.FileTrees`: says of data that one file in it cannot be read."""

    def __init__(self) -> None:
        self._real = HostFileTrees()

    async def read(self, root: Path, losses: list[Loss], *, skip: frozenset[str] = frozenset()) -> AsyncIterator[bytes]:
        async for chunk in self._real.read(root, losses, skip=skip):
            yield chunk
        if root.name == "data":
            losses.append(BAD)

    async def write(self, root: Path, chunks: AsyncIterator[bytes]) -> Written:
        return await self._real.write(root, chunks)


async def salvage(source: FakeHost, target: FakeHost) -> Operation:
    asked = await source.core.use_cases.salvages.salvage("web", target.name, validate_only=False, caller=caller())
    return await source.end_of(asked)


async def failing_hosts(folder: Path) -> tuple[FakeHost, FakeHost]:
    """Return alpha, which has a jail on a failing pool, and beta."""
    alpha, beta = await two_hosts(folder, back=False)
    await alpha.stop()
    alpha.trees = FailingTrees()
    await alpha.start()
    await alpha.quiet()
    alpha.zfs.refuse[f"send {ROOT}/jails/web/data"] = refusal("DATA_UNREADABLE", "data", "Input/output error")
    return alpha, beta


async def test_what_cannot_be_sent_is_salvaged_and_never_called_a_clean_migration(tmp_path: Path) -> None:
    alpha, beta = await failing_hosts(tmp_path)
    assert reason_of(await ended(alpha, migrate(alpha, beta))) == "DATA_UNREADABLE"
    done = await salvage(alpha, beta)
    assert reason_of(done) == "SALVAGED_WITH_LOSS"
    assert (done.facts["lost"], done.facts["damaged"]) == ("1", "0")
    assert serves(beta, 1)
    assert written(beta) == MARK
    assert (await record(alpha)).state is Ownership.MOVED
    assert (await record(beta)).salvaged == "salvaged from alpha: 1 lost, 0 damaged"
    assert "1 lost" in beta.core.use_cases.jails.get("web").message
    report = await beta.core.use_cases.files.report("web")
    assert [loss.path for loss in report.losses] == ["data/var/db/bad"]
    await beta.restart(reboot=True)
    await beta.quiet()
    assert serves(beta, 1)
    assert "1 lost" in beta.core.use_cases.jails.get("web").message
    assert await beta.core.use_cases.files.report("web") == report
    assert await invariants.unsafe((alpha, beta), "web") == []
    await stop((alpha, beta))


async def test_a_salvage_that_loses_nothing_is_still_told_to_be_one_and_brings_nothing_staged(tmp_path: Path) -> None:
    alpha, beta = await two_hosts(tmp_path, back=False)
    assert reason_of(await configure(alpha, msgspec.structs.replace(SPEC, labels={"a": "b"}), stage=True)) == ""
    done = await salvage(alpha, beta)
    assert ((await record(alpha)).staged, (await record(beta)).staged) == (None, None)
    assert reason_of(done) == ""
    assert done.facts["lost"] == "0"
    assert (await record(beta)).salvaged == "salvaged from alpha: 0 lost, 0 damaged"
    assert (await record(beta)).created == (await record(alpha)).created > 0.0
    assert serves(beta, 1)
    await stop((alpha, beta))


async def test_a_jail_that_has_a_standby_there_is_promoted_and_not_salvaged_over_it(tmp_path: Path) -> None:
    alpha, beta = await hosts_with(tmp_path, "beta")
    before = await record(beta)
    planned = await alpha.core.use_cases.salvages.salvage("web", "beta", validate_only=True, caller=caller())
    assert planned.plan is not None
    assert "SALVAGE_COPY_THERE" in [problem.code for problem in planned.plan.problems]
    assert reason_of(await salvage(alpha, beta)) == "SALVAGE_COPY_THERE"
    assert await record(beta) == before
    assert serves(alpha, 1)
    await stop((alpha, beta))


async def test_a_salvaged_jail_does_not_go_back_over_the_files_that_were_left(tmp_path: Path) -> None:
    alpha, beta = await failing_hosts(tmp_path)
    done = await salvage(alpha, beta)
    before = await record(alpha)
    refused = await beta.end_of(await migrate(beta, alpha))
    assert refused.failure is not None
    assert [problem.code for problem in refused.failure.problems] == ["COPY_UNRELATED"]
    assert "finalize" in refused.failure.problems[0].hint
    assert await record(alpha) == before
    assert serves(beta, 1)
    await ended(alpha, alpha.core.use_cases.migrations.finalize(done.facts["migration"], caller=caller()))
    assert reason_of(await beta.end_of(await migrate(beta, alpha))) == ""
    alpha.zfs.refuse.clear()  # what came is on other blocks
    assert reason_of(await alpha.end_of(await migrate(alpha, beta))) == ""  # by an increment
    assert serves(beta, 1)
    await stop((alpha, beta))


async def test_a_jail_that_was_not_salvaged_has_no_list_of_losses(tmp_path: Path) -> None:
    alpha, beta = await two_hosts(tmp_path, back=False)
    with pytest.raises(NotFoundError) as refused:
        await alpha.core.use_cases.files.report("web")
    assert refused.value.reason == "NOT_SALVAGED"
    await stop((alpha, beta))


async def _trial(folder: Path, struck: str, at: int | None, effect: Effect | Fault) -> tuple[list[str], list[str]]:
    """Return what was wrong with a salvage with at most one fault, and the calls that there were."""
    alpha, beta = hosts = await failing_hosts(folder)
    network = alpha.network
    if isinstance(effect, Fault):
        network.at, network.fault, network.counting, counted = at, effect, True, network.calls
        network.calls.clear()
    else:
        life = {"alpha": alpha, "beta": beta}[struck].life
        life.at, life.effect, life.counting, counted = at, effect, True, life.calls
    try:
        ending = asyncio.create_task(salvage(alpha, beta))
        died = asyncio.create_task(beta.life.died.wait())
        cut = asyncio.create_task(network.cut.wait())
        await asyncio.wait({ending, died, cut}, return_when=asyncio.FIRST_COMPLETED)
        cut.cancel()
        calls = list(counted)
        network.counting = alpha.life.counting = beta.life.counting = False
        network.heal()
        if beta.life.dead:
            await beta.restart()
        async with asyncio.timeout(20):
            await asyncio.gather(ending, return_exceptions=True)
        died.cancel()
        wrong = await invariants.unsafe(hosts, "web")
        for host in hosts:
            if host.life.dead:
                await host.restart()
        for host in hosts:
            await host.quiet()
        wrong += await invariants.unsafe(hosts, "web") + await invariants.unserved(hosts, "web")
        owning = await invariants.owners(hosts, "web")
        wrong += [
            f"{host.name} has {written(host)!r}" for host in hosts if host.name in owning and written(host) != MARK
        ]
        return wrong, calls
    finally:
        await stop(hosts)
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("struck", "effect"),
    [("alpha", Effect.CRASH), ("beta", Effect.CRASH), ("network", Fault.ANSWER_LOST), ("network", Fault.CUT)],
)
@pytest.mark.exhaustive
async def test_a_fault_at_any_call_of_a_salvage_leaves_one_owner(
    quick_path: Path, struck: str, effect: Effect | Fault
) -> None:
    wrong, calls = await _trial(quick_path / "clean", struck, None, effect)
    assert not wrong, wrong
    failures = []
    for number, call in points(calls, lambda call: isinstance(effect, Fault) or is_worth(effect, call)):
        try:
            found, _ = await _trial(quick_path / str(number), struck, number, effect)
        except TimeoutError:
            found = ["it never ends"]
        failures += [f"{effect} at {number} ({call[:80]}): {problem}" for problem in found]
    assert not failures, "\n".join(failures)
