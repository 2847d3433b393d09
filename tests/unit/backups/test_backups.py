"""Backups go to a pool or a folder, each an increment, and a host that has lost the jail makes it again of them."""

from __future__ import annotations

import dataclasses
import errno
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from jaild.adapters.backups.directory import DirectoryVault
from jaild.adapters.backups.pool import PoolVault
from jaild.model.access import Role
from jaild.model.backups.targets import Directory, Ssh, TargetSettings
from jaild.model.errors import JaildError, UnavailableError
from jaild.model.jails.spec import Backup, Keep, Volume
from jaild.model.operation import Operation
from jaild.model.views import BackupStatus, JailState
from tests.fakes.host import FakeHost, caller
from tests.fakes.network import Network
from tests.fakes.zfs import FakeZfs
from tests.hosts.asking import SPEC, configure, create, ended, reason_of
from tests.hosts.fixtures import furnished
from tests.hosts.standbys import events

DAILY = Backup(every="1d", keep=Keep(last=2))
WITH = msgspec.structs.replace(SPEC, volumes={"db": Volume(path="/var/db/x")}, backups={"vault": DAILY})
SSH = TargetSettings(ssh=Ssh(host="192.0.2.9", dataset="tank/vault"))
Make = Callable[[str], FakeHost]


@pytest.fixture(params=["pool", "folder"])
def make(request: pytest.FixtureRequest, quick_path: Path) -> Make:
    """Make hosts that share a target, of either kind."""
    network, folder = Network(), quick_path / "vault"
    folder.mkdir()
    remote = FakeZfs(quick_path / "remote")
    settings = SSH if request.param == "pool" else TargetSettings(directory=Directory(path=folder, increments=2))

    def made(name: str) -> FakeHost:
        (quick_path / name).mkdir()
        host = FakeHost(quick_path / name, name, network)
        host.targets = {"vault": settings}
        if request.param == "pool":
            host.vaults[SSH.destination] = PoolVault(remote, "tank/vault")
            remote.pool.filesystems.get("tank/vault") or remote.pool.add("tank/vault", {})
        return host

    return made


async def furnish(host: FakeHost) -> FakeHost:
    await furnished(host)
    return host


def write(host: FakeHost, text: str) -> None:
    folder = host.core.inventory.jails["web"].folder
    (folder / "data/var/state").write_text(text)
    (folder / "db/rows").write_text(text)


def read(host: FakeHost, name: str = "web") -> list[str]:
    folder = host.core.inventory.jails[name].folder
    return [(folder / path).read_text() for path in ("data/var/state", "db/rows")]


async def send(host: FakeHost) -> Operation:
    return await ended(host, host.core.use_cases.backups.back_up("web", "vault", validate_only=False, caller=caller()))


async def restore(host: FakeHost, at: str | float = math.inf, name: str = "web") -> Operation:
    backups = host.core.use_cases.backups
    return await ended(host, backups.restore("vault", "web", name, at, validate_only=False, caller=caller()))


async def listed(host: FakeHost) -> list[str]:
    return [backup.id for backup in await host.core.use_cases.backups.list("vault", "web")]


def status(host: FakeHost) -> BackupStatus:
    (found,) = host.core.use_cases.jails.get("web").backups
    return found


async def test_a_host_that_has_lost_everything_makes_the_jail_again(make: Make) -> None:
    alpha = await furnish(make("alpha"))
    await create(alpha, WITH)
    write(alpha, "first")
    assert reason_of(await send(alpha)) == ""
    first = alpha.clock.now()
    alpha.clock.time += 86_400
    write(alpha, "second")
    sent = await send(alpha)
    assert (reason_of(sent), len(await listed(alpha))) == ("", 2)
    await alpha.stop()
    beta = await furnish(make("beta"))
    planned = await beta.core.use_cases.backups.restore(
        "vault", "web", "web", math.inf, validate_only=True, caller=caller()
    )
    assert planned.plan is not None
    assert "bring data and volumes of web of alpha as of 1970-01-13 13:46:40 UTC from vault" in planned.plan.steps
    assert "web" not in beta.core.inventory.jails
    assert reason_of(await restore(beta)) == ""
    assert read(beta) == ["second", "second"]
    view = beta.core.use_cases.jails.get("web")
    assert (view.state, view.generation and view.generation.spec.volumes) == (JailState.STOPPED, WITH.volumes)
    assert reason_of(await ended(beta, beta.core.use_cases.jails.start("web", caller=caller()))) == ""
    assert reason_of(await restore(beta, first, name="web-old")) == ""
    assert read(beta, "web-old") == ["first", "first"]
    with pytest.raises(JaildError, match="JAIL_EXISTS"):
        await restore(beta)
    with pytest.raises(JaildError, match="BACKUP_NOT_FOUND"):
        await restore(beta, "none", name="other")
    assert not [name for name in beta.zfs.pool.filesystems if "/rehearsals/" in name]
    await beta.stop()


async def test_each_is_an_increment_and_of_all_only_what_is_kept_stays(make: Make) -> None:
    alpha = await furnish(make("alpha"))
    await create(alpha, WITH)
    for number in range(5):
        write(alpha, f"{number}" * 1000)
        assert reason_of(await send(alpha)) == ""
        alpha.clock.time += 86_400
    ids = await listed(alpha)
    assert 2 <= len(ids) <= 3  # of a folder a whole chain stays until all of it goes
    fulls = [
        len([part for part in backup.parts if not part.base])
        for backup in await alpha.core.use_cases.backups.list("vault")
        if backup.parts[0].size
    ]
    assert not fulls or 0 in fulls
    purposes = {s.purpose for s in await alpha.zfs.snapshots("tank/jaild/jails/web", recursive=True)}
    assert purposes == set()  # bookmarks are enough
    assert len(await alpha.zfs.bookmarks("tank/jaild/jails/web")) == 1
    for at in ids:
        assert reason_of(await restore(alpha, at, name=f"web-{at[-9:-1]}")) == ""
    await alpha.stop()


async def test_without_bookmarks_the_snapshot_is_what_the_next_starts_from(make: Make) -> None:
    alpha = await furnish(make("alpha"))
    alpha.zfs.can = dataclasses.replace(alpha.zfs.can, bookmarks=False)
    await create(alpha, WITH)
    for text in ("a", "b"):
        write(alpha, text)
        assert reason_of(await send(alpha)) == ""
        alpha.clock.time += 86_400
    left = [s.tag for s in await alpha.zfs.snapshots("tank/jaild/jails/web") if s.purpose == "backup/vault"]
    assert left == [(await listed(alpha))[-1]]
    with pytest.raises(JaildError, match="SNAPSHOT_NEEDED"):
        await alpha.core.use_cases.snapshots.remove("web", left[0], validate_only=True, caller=caller())
    plain = msgspec.structs.replace(WITH, backups={})
    assert reason_of(await configure(alpha, plain)) == ""
    gone = alpha.core.use_cases.snapshots.remove("web", left[0], validate_only=False, caller=caller())
    assert reason_of(await ended(alpha, gone)) == ""
    await alpha.stop()


async def test_the_schedule_sends_one_a_day_and_one_that_failed_goes_on_with_its_snapshot(make: Make) -> None:
    alpha = await furnish(make("alpha"))
    await create(alpha, WITH)
    alpha.zfs.refuse["send"] = UnavailableError("BACKUP_UNREACHABLE", "no route", hint="wait")
    await alpha.core.use_cases.backups.tick("vault")
    assert (status(alpha).taken, "no route" in status(alpha).message) == (0.0, True)
    assert len(await events(alpha, "backup.failed")) == 1
    del alpha.zfs.refuse["send"]
    await alpha.core.use_cases.backups.tick("vault")  # not again in the same minute
    assert await listed(alpha) == []
    alpha.clock.time += 61
    await alpha.core.use_cases.backups.tick("vault")
    assert (await listed(alpha), status(alpha).message) == (["backup-19700112t134640z"], "")
    assert status(alpha).interval == 86_400
    assert len(await events(alpha, "backup.recovered")) == 1
    await alpha.core.use_cases.backups.tick("vault")
    assert len(await listed(alpha)) == 1
    await alpha.restart()
    await alpha.core.use_cases.backups.tick("vault")
    assert len(await listed(alpha)) == 1
    alpha.clock.time += 86_400
    await alpha.core.use_cases.backups.tick("vault")
    assert len(await listed(alpha)) == 2
    await alpha.stop()


async def test_a_target_that_is_not_there_is_told(make: Make) -> None:
    alpha = await furnish(make("alpha"))
    await create(alpha, msgspec.structs.replace(WITH, backups={"none": DAILY}))
    assert "no such target" in status(alpha).message
    with pytest.raises(JaildError, match="BACKUP_TARGET_NOT_FOUND"):
        await alpha.core.use_cases.backups.back_up("web", "none", validate_only=True, caller=caller())
    await alpha.stop()


async def test_a_stream_that_was_changed_in_its_folder_is_found_before_anything_is_made(quick_path: Path) -> None:
    host = FakeHost(quick_path)
    (quick_path / "v").mkdir()
    host.targets = {"vault": TargetSettings(directory=Directory(path=quick_path / "v"))}
    await furnish(host)
    await create(host, WITH)
    write(host, "old")
    await send(host)
    for path in (quick_path / "v").rglob("1.zfs"):
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert reason_of(await restore(host, name="other")) == "BACKUP_DAMAGED"
    assert "other" not in host.core.inventory.jails
    vault, (manifest,) = DirectoryVault(Directory(path=quick_path / "v")), (quick_path / "v").rglob("manifest.json")
    other = manifest.read_text().replace((await vault.lineages())[0].backups[0].id, "../../precious")
    for text in ("{", "", " " * (1 << 20) + "{}", other):
        manifest.write_text(text)
        with pytest.raises(JaildError, match="BACKUP_DAMAGED"):
            await vault.lineages()
    await host.stop()


async def test_what_a_crash_leaves_of_a_backup_that_comes_or_goes_is_no_backup_and_goes_with_the_next(
    quick_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = FakeHost(quick_path)
    (quick_path / "v").mkdir()
    host.targets = {"vault": TargetSettings(directory=Directory(path=quick_path / "v"))}
    await furnish(host)
    await create(host, WITH)
    await send(host)
    vault = DirectoryVault(Directory(path=quick_path / "v"))
    (lineage,) = await vault.lineages()
    (first,) = lineage.backups
    half = quick_path / "v" / lineage.name / "backup-20200101t000000z.part"
    half.mkdir()
    (half / "0.zfs").write_bytes(b"half")
    host.clock.time += 60
    write(host, "new")
    await send(host)
    assert not half.exists()
    (lineage,) = await vault.lineages()

    def dies(path: Path) -> None:
        (path / "0.zfs").unlink()
        raise OSError(errno.EIO, "the power is cut")

    with monkeypatch.context() as cut:
        cut.setattr(shutil, "rmtree", dies)
        with pytest.raises(JaildError):
            await vault.drop(lineage, [lineage.backups[-1].id])
    (lineage,) = await vault.lineages()
    assert lineage.backups == (first,)
    await vault.drop(lineage, [first.id])
    assert [*(quick_path / "v").iterdir()] == []
    await host.stop()


async def test_links_in_a_folder_of_backups_are_not_followed(quick_path: Path) -> None:
    host = FakeHost(quick_path)
    (quick_path / "v").mkdir()
    host.targets = {"vault": TargetSettings(directory=Directory(path=quick_path / "v"))}
    await furnish(host)
    await create(host, WITH)
    await send(host)
    (lineage,) = (quick_path / "v").iterdir()
    lineage.rename(quick_path / lineage.name)
    lineage.symlink_to(quick_path / lineage.name)
    vault = DirectoryVault(Directory(path=quick_path / "v"))
    assert await vault.lineages() == []
    lineage.unlink()
    (quick_path / lineage.name).rename(lineage)
    (manifest,) = lineage.rglob("manifest.json")
    manifest.rename(quick_path / "manifest.json")
    manifest.symlink_to(quick_path / "manifest.json")
    with pytest.raises(JaildError):
        await vault.lineages()
    await host.stop()


async def test_a_backup_under_another_name_beside_its_original_has_another_identity(make: Make) -> None:
    alpha = await furnish(make("alpha"))
    await create(alpha, WITH)
    machine = "data/var/lib/dbus/machine-id"
    original = alpha.core.inventory.jails["web"].folder / machine
    original.parent.mkdir(parents=True)
    original.write_text("its own")
    assert reason_of(await send(alpha)) == ""
    assert reason_of(await restore(alpha, name="beside")) == ""
    assert not (alpha.core.inventory.jails["beside"].folder / machine).exists()
    beta = await furnish(make("beta"))
    assert reason_of(await restore(beta, name="instead")) == ""
    assert (beta.core.inventory.jails["instead"].folder / machine).read_text() == "its own"
    await alpha.stop()
    await beta.stop()


async def test_what_nothing_keeps_goes_before_the_next_is_sent_also_to_a_target_that_is_full(make: Make) -> None:
    alpha = await furnish(make("alpha"))
    await create(alpha, msgspec.structs.replace(WITH, backups={"vault": Backup(every="1d", keep=Keep(last=9))}))
    for _ in range(5):
        assert reason_of(await send(alpha)) == ""
        alpha.clock.time += 86_400
    alpha.zfs.refuse["send"] = UnavailableError("NO_SPACE", "full", hint="wait")
    assert reason_of(await configure(alpha, WITH)) == ""
    await alpha.core.use_cases.backups.tick("vault")
    assert len(await listed(alpha)) == 2
    await alpha.stop()


async def test_a_renamed_jails_backups_begin_anew_and_the_older_ones_go_by_the_same_rule(make: Make) -> None:
    alpha = await furnish(make("alpha"))
    await create(alpha, WITH, stopped=True)
    write(alpha, "old")
    assert reason_of(await send(alpha)) == ""
    renames, backups = alpha.core.use_cases.copies.renames, alpha.core.use_cases.backups
    assert reason_of(await ended(alpha, renames.rename("web", "shop", caller=caller()))) == ""
    for _ in range(2):
        alpha.clock.time += 86_400
        sent = await ended(alpha, backups.back_up("shop", "vault", validate_only=False, caller=caller()))
        assert reason_of(sent) == ""
    assert [backup.jail for backup in await backups.list("vault")] == ["shop", "shop"]
    asked = backups.restore("vault", "shop", "again", math.inf, validate_only=False, caller=caller())
    assert reason_of(await ended(alpha, asked)) == ""
    assert read(alpha, "again") == ["old", "old"]
    await alpha.stop()


async def test_a_jail_that_has_become_another_teams_while_its_backup_waited_is_not_sent_for_the_first(
    make: Make,
) -> None:
    host = await furnish(make("alpha"))
    await create(host, WITH)
    product = msgspec.structs.replace(caller(), roles=frozenset({Role.PRODUCT}), apps=frozenset({"web"}))
    entry = host.core.inventory.jails["web"]
    async with host.core.dispatcher.exclusive("backups/vault"):
        asked = await host.core.use_cases.backups.back_up("web", "vault", validate_only=False, caller=product)
        assert entry.generation is not None
        entry.generation = msgspec.structs.replace(entry.generation, release="mail/1")
    assert reason_of(await host.end_of(asked)) == "APP_REQUIRED"
    assert await listed(host) == []
    await host.stop()


async def test_a_backups_record_is_without_what_is_its_hosts_only_and_so_fits_into_a_property(make: Make) -> None:
    alpha = await furnish(make("alpha"))
    await create(alpha, WITH)
    entry = alpha.core.inventory.jails["web"]
    assert entry.record is not None
    told = msgspec.structs.replace(entry.record, removed_guids=(7,))
    await alpha.core.rooms.jails.datasets.write(entry, told)
    assert reason_of(await send(alpha)) == ""
    (backup,) = await alpha.core.use_cases.backups.list("vault")
    assert (backup.record.generation, backup.record.removed_guids) == (1, ())
    await alpha.stop()
