"""Pruning bases and releases: the plan is the act, what is in use stays whoever is faster, and nothing is guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from jaild.model.access import Role
from jaild.model.errors import FailedPreconditionError
from jaild.model.jails.spec import JailSpec
from jaild.model.operation import Operation
from jaild.model.problems import Plan
from jaild.model.views import Caller
from tests.fakes.host import FakeHost, caller
from tests.hosts.standbys import hosts_with, promote, rounds


async def prune_bases(host: FakeHost, *, plan: bool = False, min_age: float = 0, by: Caller | None = None) -> Operation:
    asked = await host.core.use_cases.bases.prune(min_age=min_age, validate_only=plan, caller=by or caller())
    return await host.end_of(asked)


async def prune_releases(
    host: FakeHost, app: str | None = None, *, plan: bool = False, by: Caller | None = None
) -> Operation:
    asked = await host.core.use_cases.releases.prune(app, min_age=0, validate_only=plan, caller=by or caller())
    return await host.end_of(asked)


def plan_of(operation: Operation) -> Plan:
    assert operation.failure is None, operation.failure
    assert operation.plan is not None
    return operation.plan


async def with_web(host: FakeHost) -> FakeHost:
    spec = JailSpec(base="deb-1", app="web/1")
    made = await host.core.use_cases.jails.create("web", spec, stopped=False, validate_only=False, caller=caller())
    assert (await host.end_of(made)).failure is None
    return host


async def datasets(host: FakeHost) -> set[str]:
    return {dataset.name.removeprefix("tank/jaild/") for dataset in await host.zfs.datasets("tank/jaild")}


async def test_the_plan_touches_nothing_and_is_what_is_done_then(host: FakeHost) -> None:
    await with_web(host)
    await host.add_release("web/3", parent="2")
    before = await datasets(host)

    planned = plan_of(await prune_releases(host, plan=True))
    assert await datasets(host) == before
    done = await prune_releases(host)

    assert planned == plan_of(done)
    assert planned.steps == ("delete apps/web/releases/3", "delete apps/web/releases/2")
    assert done.facts == {"removed": "2", "freed_about_bytes": str(planned.frees)}
    assert before - await datasets(host) == {"apps/web/2", "apps/web/3"}
    assert set(host.core.inventory.releases) == {"web/1"}


async def test_what_a_kept_generation_could_be_rolled_back_to_stays(host: FakeHost) -> None:
    await with_web(host)
    jails = host.core.use_cases.jails
    await host.end_of(await jails.upgrade("web", "deb-2", etag="", validate_only=False, caller=caller()))
    assert plan_of(await prune_bases(host)).steps == ()
    assert set(host.core.inventory.bases) == {"deb-1", "deb-2"}


async def test_what_was_sealed_a_moment_ago_stays_unless_that_is_said(host: FakeHost) -> None:
    planned = plan_of(await prune_bases(host, plan=True, min_age=host.clock.now() + 60))
    assert planned.steps == ()
    assert [problem.code for problem in planned.problems] == ["LAYER_KEPT", "LAYER_KEPT"]


async def test_an_app_goes_with_its_last_release(host: FakeHost) -> None:
    await prune_releases(host)
    assert not any(name.startswith("apps/") for name in await datasets(host))


async def test_only_releases_of_the_app_that_is_named_go(host: FakeHost) -> None:
    await host.add_release("cache/1")
    assert plan_of(await prune_releases(host, "cache")).steps == ("delete apps/cache/releases/1",)
    assert set(host.core.inventory.releases) == {"web/1", "web/2"}


async def test_a_product_team_prunes_what_is_its_own(host: FakeHost) -> None:
    await host.add_release("cache/1")
    team = Caller(actor="cache-team", roles=frozenset({Role.PRODUCT}), apps=frozenset({"cache"}))
    decided = plan_of(await prune_releases(host, by=team))
    assert (decided.steps, decided.problems) == (("delete apps/cache/releases/1",), ())
    assert set(host.core.inventory.releases) == {"web/1", "web/2"}


async def test_what_somebody_holds_stays_and_is_told(host: FakeHost) -> None:
    await host.zfs.hold("mine", "tank/jaild/bases/deb-1@sealed")
    planned = plan_of(await prune_bases(host))
    assert planned.steps == ("delete bases/deb-2",)
    assert "the hold mine" in planned.problems[0].message
    assert set(host.core.inventory.bases) == {"deb-1"}


async def test_what_is_being_patched_stays(host: FakeHost) -> None:
    await host.zfs.clone("tank/jaild/bases/deb-1@sealed", "tank/jaild/bases/deb-1-p1")
    planned = plan_of(await prune_bases(host))
    assert planned.steps == ("delete bases/deb-2",)
    assert "deb-1-p1" in planned.problems[0].message


async def test_a_jail_that_takes_a_layer_meanwhile_keeps_it_and_that_is_told(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    await with_web(host)
    destroy, entry = host.zfs.destroy, host.core.inventory.jails["web"]

    async def taken_meanwhile(name: str, *, recursive: bool = False) -> None:
        entry.references[2] = ("deb-1", "web/2")  # as a deploy does when it begins
        await destroy(name, recursive=recursive)

    await host.add_release("web/0")
    monkeypatch.setattr(host.zfs, "destroy", taken_meanwhile)
    done = await prune_releases(host)

    assert done.facts["removed"] == "1"
    assert [(f.subject, "RELEASE_IN_USE" in f.message) for f in plan_of(done).problems] == [
        ("apps/web/releases/2", True)
    ]
    assert set(host.core.inventory.releases) == {"web/1", "web/2"}


async def test_a_layer_that_something_has_mounted_stays_whole(host: FakeHost) -> None:
    host.zfs.refuse["unmount"] = FailedPreconditionError("DATASET_BUSY", "deb-1 is busy", hint="wait")
    done = await prune_bases(host)
    assert done.facts["removed"] == "0"
    assert set(host.core.inventory.bases) == {"deb-1", "deb-2"}
    assert [problem.subject for problem in plan_of(done).problems] == ["bases/deb-1", "bases/deb-2"]


async def test_a_cancel_ends_it_between_two_layers(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    destroy, operations = host.zfs.destroy, host.core.use_cases.operations

    async def cancelled_meanwhile(name: str, *, recursive: bool = False) -> None:
        await operations.cancel(operations.list()[0].id, caller())
        await destroy(name, recursive=recursive)

    monkeypatch.setattr(host.zfs, "destroy", cancelled_meanwhile)
    done = await prune_bases(host)
    assert done.failure is not None
    assert done.failure.reason == "PRUNE_CANCELLED"
    assert set(host.core.inventory.bases) == {"deb-2"}


async def test_nothing_is_removed_while_a_jail_cannot_be_read(host: FakeHost) -> None:
    await with_web(host)
    (host.core.inventory.jails["web"].folder / "generations/1/generation.json").write_text("{")
    await host.restart()
    done = await prune_releases(host)
    assert done.failure is not None
    assert (done.failure.reason, "web" in done.failure.message) == ("LAYER_NEEDS_UNKNOWN", True)
    with pytest.raises(FailedPreconditionError, match="needed by web"):
        await host.core.use_cases.bases.delete("deb-2", validate_only=True, caller=caller())


async def test_a_replicas_layers_stay_also_when_the_daemon_was_restarted_and_the_owner_is_away(tmp_path: Path) -> None:
    alpha, beta = await hosts_with(tmp_path, "beta")
    try:
        assert plan_of(await prune_bases(beta)).steps == ()
        alpha.reachable = False
        await beta.restart()
        done = await prune_bases(beta)
        assert done.failure is not None
        assert done.failure.reason == "LAYER_NEEDS_UNKNOWN"
        assert set(beta.core.inventory.bases) == {"deb-1"}
        alpha.reachable = True
        await rounds(alpha)
        assert plan_of(await prune_bases(beta)).steps == ()
        assert (await promote(beta)).failure is None
    finally:
        await alpha.stop()
        await beta.stop()


@pytest.mark.parametrize("reboot", [False, True])
async def test_a_crash_in_a_prune_leaves_each_layer_whole_or_gone(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, *, reboot: bool
) -> None:
    destroy = host.zfs.destroy

    async def dying(name: str, *, recursive: bool = False) -> None:
        await destroy(name, recursive=recursive)
        host.life.kill()

    monkeypatch.setattr(host.zfs, "destroy", dying)
    asked = await host.core.use_cases.bases.prune(min_age=0, validate_only=False, caller=caller())
    await host.end_of(asked)
    monkeypatch.undo()
    await host.restart(reboot=reboot)
    assert set(host.core.inventory.bases) == {"deb-2"}
    assert plan_of(await prune_bases(host)).steps == ("delete bases/deb-2",)
