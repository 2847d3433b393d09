"""A fault at any call of a backup, here and at the target: the next round goes on, and no backup is lost."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

import msgspec
import pytest

from jaild.adapters.backups.pool import PoolVault
from jaild.model.backups.targets import Directory, Ssh, TargetSettings
from jaild.model.errors import JaildError
from jaild.model.jails.spec import Backup, Keep, Volume
from jaild.ports.zfs import Zfs
from tests.fakes.faults import Crash, Effect, Mortal, is_worth
from tests.fakes.host import FakeHost
from tests.fakes.zfs import FakeZfs
from tests.hosts import invariants
from tests.hosts.asking import SPEC, create
from tests.hosts.fixtures import furnished
from tests.hosts.points import points

pytestmark = pytest.mark.exhaustive  # all calls, minutes

KEEP = Backup(every="1d", keep=Keep(last=2))
WITH = msgspec.structs.replace(SPEC, volumes={"db": Volume(path="/var/db/x")}, backups={"vault": KEEP})
SSH = TargetSettings(ssh=Ssh(host="192.0.2.9", dataset="tank/vault"))
DAY = 86_400.0


class _Remote:
    """The target's ZFS, as the daemon that lives now reaches it."""

    def __init__(self, host: FakeHost, zfs: FakeZfs) -> None:
        self._host, self._zfs = host, zfs

    def __getattr__(self, name: str) -> object:
        return getattr(Mortal(self._zfs, "remote", self._host.life), name)


@dataclass
class Trial:
    """The third backup of a jail, which drops the first, with at most one fault."""

    kind: str
    at: int | None
    effect: Effect
    calls: list[str] = field(default_factory=list)

    async def run(self, folder: Path) -> list[str]:
        """Return what was wrong afterwards."""
        folder.mkdir()
        (folder / "alpha").mkdir()
        host = FakeHost(folder / "alpha")
        remote = FakeZfs(folder / "remote")
        if self.kind == "pool":
            host.targets = {"vault": SSH}
            remote.pool.add("tank/vault", {})
            host.vaults[SSH.destination] = PoolVault(cast("Zfs", _Remote(host, remote)), "tank/vault")
        else:
            (folder / "vault").mkdir()
            host.targets = {"vault": TargetSettings(directory=Directory(path=folder / "vault", increments=0))}
        await furnished(host)
        try:
            return await self._run(host, remote)
        finally:
            await host.stop()
            shutil.rmtree(folder)

    async def _run(self, host: FakeHost, remote: FakeZfs) -> list[str]:
        await create(host, WITH)
        for _ in range(2):
            await self._round(host)
        older = await self._listed(host)
        assert len(older) == 2
        life = host.life
        life.at, life.effect, life.counting = self.at, self.effect, True
        with suppress(Crash, JaildError):
            await self._round(host)
        life.counting, self.calls = False, life.calls
        if life.dead:
            await host.restart()
            await host.quiet()
        wrong = [] if older[1] in await self._listed(host) else [f"the newest of those before is lost: {older[1]}"]
        await self._round(host)
        found = await self._listed(host)
        wrong += [] if found[-1] not in older and len(found) == 2 else [f"kept are {found}, of {older} before"]
        return wrong + await invariants.unsettled(host) + await self._left(host, remote, found)

    async def _round(self, host: FakeHost) -> None:
        host.clock.time += DAY
        await host.core.use_cases.backups.tick("vault")

    async def _listed(self, host: FakeHost) -> list[str]:
        return [backup.id for backup in await host.core.use_cases.backups.list("vault", "web")]

    async def _left(self, host: FakeHost, remote: FakeZfs, kept: list[str]) -> list[str]:
        """Return what nothing needs, here and there."""
        here = await host.zfs.snapshots("tank/jaild/jails/web", recursive=True)
        left = [f"{s.name} is left" for s in here if (s.purpose or "").startswith("backup/")]
        marks = {mark.tag for mark in await host.zfs.bookmarks("tank/jaild/jails/web", recursive=True)}
        left += [f"bookmarks {marks}, of {kept}"] if len(marks) > 1 else []
        if self.kind == "pool":
            there = {s.tag for s in await remote.snapshots("tank/vault", recursive=True)}
            return left + ([f"there are {there}, of {kept}"] if there != set(kept) else [])
        names = {path.name for path in (host.folder.parent / "vault").glob("*/*")}
        return left + ([f"there are {names}, of {kept}"] if names != set(kept) else [])


@pytest.mark.parametrize("effect", [Effect.ERROR, Effect.ERROR_AFTER, Effect.CRASH], ids=lambda each: each.value)
@pytest.mark.parametrize("kind", ["pool", "folder"])
async def test_the_next_round_goes_on_nothing_is_left_and_no_backup_is_lost(
    quick_path: Path, kind: str, effect: Effect
) -> None:
    clean = Trial(kind, None, effect)
    assert await clean.run(quick_path / "clean") == []
    failures = []
    told = [call.replace(str(quick_path), "") for call in clean.calls]
    for number, call in points(told, partial(is_worth, effect)):
        problems = await Trial(kind, number, effect).run(quick_path / str(number))
        failures += [f"{effect} at {number} ({call}): {problem}" for problem in problems]
    assert not failures, "\n".join(failures)
