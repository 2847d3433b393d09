"""What other users of the host can read of a jail: nothing, whatever modes its files came with."""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest

from jaild.model import layout
from tests.fakes.host import FakeHost
from tests.hosts.asking import SPEC, create, deploy, reason_of, serves
from tests.hosts.fixtures import furnished
from tests.hosts.migrating import migrate, two_hosts
from tests.unit.migration.test_test_migration import tried

SECRET = msgspec.structs.replace(SPEC, environment={"PASSWORD": "x"})


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def generation(host: FakeHost, number: int) -> Path:
    return layout.generation_folder(host.core.inventory.jails["web"].folder, number) / layout.GENERATION


def open_up(host: FakeHost, *numbers: int) -> None:
    """Give what an older jaild wrote the modes that it gave."""
    host.core.inventory.folder_of_jails.chmod(0o755)
    for number in numbers:
        generation(host, number).chmod(0o644)
        generation(host, number).parent.chmod(0o755)


def modes(host: FakeHost, *numbers: int) -> list[int]:
    files = [generation(host, number) for number in numbers]
    return [mode(host.core.inventory.folder_of_jails), *(mode(path) for file in files for path in (file, file.parent))]


async def test_generations_are_made_for_root_alone_in_a_folder_of_roots_alone(host: FakeHost) -> None:
    await create(host, SECRET)
    await deploy(host, "web/2")
    assert modes(host, 1, 2) == [0o700, 0o600, 0o700, 0o600, 0o700]


async def test_what_an_older_jaild_left_open_is_closed_at_the_start(host: FakeHost) -> None:
    await create(host, SECRET)
    await deploy(host, "web/2")
    open_up(host, 1, 2)
    await host.restart()
    assert modes(host, 1, 2) == [0o700, 0o600, 0o700, 0o600, 0o700]
    assert serves(host, 2)


async def test_a_jail_that_comes_with_an_older_hosts_modes_is_closed_when_it_is_taken_over(tmp_path: Path) -> None:
    source, target = await two_hosts(tmp_path, back=False)
    open_up(source, 1)
    assert reason_of(await source.end_of(await migrate(source, target))) == ""
    assert modes(target, 1) == [0o700, 0o600, 0o700]
    await source.stop()
    await target.stop()


async def test_a_file_system_that_takes_no_changes_keeps_no_jail_from_starting(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(host, SECRET)
    open_up(host, 1)

    def refused(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("os.fchmod", refused)
    await host.restart()
    assert serves(host, 1)


async def test_what_a_test_migration_clones_is_in_a_folder_of_roots_alone(tmp_path: Path) -> None:
    source, target = await two_hosts(tmp_path, back=False)
    assert reason_of(await tried(source, target)) == ""
    clones = await target.zfs.dataset(target.core.inventory.where.clones)
    assert clones.mountpoint is not None
    assert mode(clones.mountpoint) == 0o700
    await source.stop()
    await target.stop()


async def test_the_jails_folder_is_closed_before_the_first_jail(tmp_path: Path) -> None:
    host = FakeHost(tmp_path)
    await furnished(host)
    assert modes(host) == [0o700]
    await host.stop()
