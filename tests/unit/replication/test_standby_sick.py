"""Replication with something that is sick: it harms itself alone, and no clock stops it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from jaild.rpc import streams
from tests.fakes.host import FakeHost
from tests.hosts.standbys import INTERVAL, events, happened, hosts_with, rounds, stop, view
from tests.model.loop import VirtualLoop


def in_virtual_time(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Let a story happen whose timeouts take no time."""
    loop = VirtualLoop()
    try:
        loop.carry_out(story())
    finally:
        loop.close()


async def hang(*_: Any, **__: Any) -> None:
    await asyncio.Event().wait()


def mark(host: FakeHost, text: str) -> None:
    (host.core.inventory.jails["web"].folder / "data" / "var" / "mark").write_text(text)


def test_a_standby_whose_receives_hang_keeps_no_other_from_its_rounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        alpha, _, gamma = hosts = await hosts_with(tmp_path, "beta", "gamma")
        before = view(alpha, "gamma").taken
        with monkeypatch.context() as sick:
            sick.setattr(gamma.zfs, "receive", hang)
            await rounds(alpha)
            assert "STANDBY_STALLED" in view(alpha, "gamma").message
            for _ in range(2):  # from now on nobody waits for it
                taken = view(alpha, "beta").taken
                alpha.clock.time += INTERVAL
                await alpha.core.standbys.tick()
                await alpha.core.supervisor.over("standby round of web")
                assert alpha.core.supervisor.is_under_way("standby round of web to gamma")
                assert view(alpha, "beta").taken > taken
        assert view(alpha, "gamma").taken == before
        await stop(hosts)

    in_virtual_time(story)


def test_a_standby_that_was_sick_gets_its_rounds_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        alpha, _, gamma = hosts = await hosts_with(tmp_path, "beta", "gamma")
        before = view(alpha, "gamma").taken
        with monkeypatch.context() as sick:
            sick.setattr(gamma.zfs, "receive", hang)
            await rounds(alpha)
            assert "STANDBY_STALLED" in view(alpha, "gamma").message
        mark(alpha, "after it was fixed")
        await asyncio.sleep(streams.GIVEN_UP)  # then the receive that hung is ended
        await rounds(alpha)
        assert view(alpha, "gamma").taken > before
        assert view(alpha, "gamma").message == ""
        assert not view(alpha, "gamma").behind
        alpha.clock.time += INTERVAL  # and it is waited for again, with the others
        await alpha.core.standbys.tick()
        assert not alpha.core.supervisor.is_under_way("standby round of web to gamma")
        await alpha.core.standbys.settled()
        assert view(alpha, "gamma").taken == view(alpha, "beta").taken
        await stop(hosts)

    in_virtual_time(story)


async def test_a_defect_in_one_round_is_told_and_ends_no_replication(tmp_path: Path) -> None:
    alpha, _ = hosts = await hosts_with(tmp_path, "beta")
    alpha.zfs.refuse["send"] = KeyError("tag")
    before = view(alpha, "beta").taken
    alpha.clock.time += INTERVAL
    await alpha.core.standbys.tick()
    assert "KeyError" in await happened(alpha, "task.failed")
    alpha.zfs.refuse.clear()
    await alpha.core.standbys.settled()
    await rounds(alpha)
    assert view(alpha, "beta").taken > before
    assert await events(alpha, "task.recovered") != []
    await stop(hosts)


@pytest.mark.parametrize("step", [-86_400.0, 86_400.0], ids=["a day back", "a day on"])
async def test_a_wall_clock_that_jumps_stops_no_round_and_tells_of_no_delay(tmp_path: Path, step: float) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    await rounds(alpha)
    await beta.core.replica_store.look_at_ages()  # as the daemon does every second
    alpha.clock.stepped = beta.clock.stepped = step
    await alpha.core.standbys.tick()
    await beta.core.replica_store.look_at_ages()
    assert not view(alpha, "beta").behind
    assert await events(alpha, "standby.behind") == []
    assert await events(beta, "standby.behind") == []
    mark(alpha, "after the jump")
    for _ in range(4):
        await rounds(alpha)
    await beta.core.replica_store.look_at_ages()
    assert not view(alpha, "beta").behind
    assert not view(beta, "alpha").behind
    alpha.network.sever()
    await rounds(alpha, later=INTERVAL * 3)
    assert view(alpha, "beta").behind
    beta.clock.time += INTERVAL * 3
    await beta.core.replica_store.look_at_ages()
    assert view(beta, "alpha").behind
    await stop(hosts)
