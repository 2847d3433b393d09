"""A jail that was cloned goes on as any other: it moves, comes back, is replicated, and its clone's snapshot stays."""

from __future__ import annotations

from pathlib import Path

from jaild.model.jails.copying import Reach
from jaild.model.snapshots import CLONE
from tests.fakes.host import FakeHost, caller
from tests.hosts import asking, invariants
from tests.hosts.migrating import migrate, two_hosts
from tests.hosts.standbys import stop

WEB = "tank/jaild/jails/web"


async def cloned(host: FakeHost) -> None:
    asked = host.core.use_cases.copies.clones.clone(
        "web", "copy", reach=Reach(without_network=True), stopped=True, caller=caller()
    )
    assert asking.reason_of(await asking.ended(host, asked)) == ""


async def finalized(host: FakeHost) -> str:
    (migration,) = [m for m in host.core.use_cases.migrations.list() if m.outgoing]
    asked = host.core.use_cases.migrations.finalize(migration.id, validate_only=False, caller=caller())
    return asking.reason_of(await asking.ended(host, asked))


async def test_a_cloned_jail_moves_and_comes_back_and_is_finalized_when_its_clone_is_gone(quick_path: Path) -> None:
    alpha, beta = await two_hosts(quick_path, back=False)
    await cloned(alpha)
    assert asking.reason_of(await alpha.end_of(await migrate(alpha, beta))) == ""
    assert await finalized(alpha) == "SNAPSHOTS_IN_USE"
    assert asking.reason_of(await beta.end_of(await migrate(beta, alpha))) == ""
    assert await invariants.unsafe((alpha, beta), "web") == []
    assert [s.tag for s in await alpha.zfs.snapshots(WEB) if s.purpose == CLONE] == ["clone-copy"]
    jails = alpha.core.use_cases.jails
    gone = jails.delete("copy", force=True, etag="", validate_only=False, caller=caller())
    assert asking.reason_of(await asking.ended(alpha, gone)) == ""
    assert [s.tag for s in await alpha.zfs.snapshots(WEB) if s.purpose == CLONE] == []
    await stop((alpha, beta))


async def test_a_clone_that_moved_away_leaves_no_snapshot_on_its_original(quick_path: Path) -> None:
    alpha, beta = await two_hosts(quick_path, back=False)
    await cloned(alpha)
    asked = alpha.core.use_cases.migrations.migrate(
        "copy",
        beta.name,
        max_downtime=10.0,
        proceed_over_budget=True,
        etag="",
        validate_only=False,
        caller=caller(),
    )
    assert asking.reason_of(await asking.ended(alpha, asked)) == ""
    assert await finalized(alpha) == ""
    assert [s.tag for s in await alpha.zfs.snapshots(WEB) if s.purpose == CLONE] == []
    await stop((alpha, beta))
