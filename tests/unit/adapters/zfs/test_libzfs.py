"""The adapter on py-libzfs: what it asks exists there, from one thread, and whatever is in doubt is the commands'."""

from __future__ import annotations

import asyncio
import inspect
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jaild.adapters.system.process import ProcessRunner
from jaild.adapters.zfs import pylibzfs as surface
from jaild.adapters.zfs.cli import CliZfs
from jaild.adapters.zfs.errors import libzfs_failure
from jaild.adapters.zfs.libzfs import LibZfs
from jaild.assembly import zfs_of
from jaild.model.errors import (
    FailedPreconditionError,
    InternalError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
)
from tests.contract.zfs_host import refused
from tests.fakes import pylibzfs
from tests.fakes.pylibzfs import PyLibzfs
from tests.fakes.pylibzfs_values import Error
from tests.fakes.zfs import FakeZfs

RECORDED = Path(__file__).parents[2] / "data" / "zfs" / "py-libzfs.txt"
# What jaild looks for before it asks: the older of the two versions does not have it.
OPTIONAL = {"ZFSDataset.update_properties"}
PROTOCOLS = {
    "ZFS": surface.Handle,
    "ZFSPool": surface.Pool,
    "ZFSProperty": surface.Property,
    "ZFSPropertyDict": surface.Properties,
    "ZFSDataset": surface.DatasetHandle,
    "ZFSSnapshot": surface.SnapshotHandle,
}


def recorded() -> dict[str, dict[str, str | None]]:
    """By version: each name with its arguments as written, or None for a property."""
    versions: dict[str, dict[str, str | None]] = {}
    for line in RECORDED.read_text().splitlines():
        if line.startswith("["):
            found = versions[line.strip("[]")] = {}
        elif line and not line.startswith("#"):
            name, paren, arguments = line.rstrip(")").partition("(")
            found[name] = arguments if paren else None
    return versions


def own(thing: type) -> dict[str, object]:
    return {name: member for name, member in vars(thing).items() if not name.startswith("_")}


def arguments(function: object) -> list[str]:
    assert callable(function)
    return list(inspect.signature(function).parameters)[1:]


def names(told: str) -> list[str]:
    return [re.split(r"[=\s]", each.strip())[0] for each in told.split(",") if each.strip()]


@pytest.fixture
def module(tmp_path: Path) -> Iterator[PyLibzfs]:
    found = PyLibzfs(FakeZfs(tmp_path))
    yield found
    assert found.strangers == []


@pytest.fixture
def zfs(module: PyLibzfs) -> LibZfs:
    return LibZfs(module.fake, module, device=Path("/dev/null"))


# -- the surface


@pytest.mark.parametrize("version", recorded())
@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_name_and_argument_that_jaild_uses_is_in_each_recorded_version(version: str, name: str) -> None:
    there = recorded()[version]
    for member, used in own(PROTOCOLS[name]).items():
        full = f"{name}.{member}"
        if full in OPTIONAL and full not in there:
            continue
        assert full in there, f"py-libzfs has no {full}"
        told = there[full]
        if isinstance(used, property):
            assert told is None, f"{full} is a method there"
        else:
            assert told is not None, f"{full} is a property there"
            assert set(arguments(used)) <= set(names(told))


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_fake_has_only_what_the_newer_recorded_version_has_with_the_same_arguments(name: str) -> None:
    there = recorded()["45Drives/python3-libzfs 090101d"]
    for member, faked in own(getattr(pylibzfs, name)).items():
        told = there[f"{name}.{member}"]
        if not isinstance(faked, property):
            assert told is not None
            assert arguments(faked) == names(told)


# -- one thread


async def test_a_call_whose_caller_was_cancelled_is_finished_before_the_next_begins(
    module: PyLibzfs, zfs: LibZfs, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    create = pylibzfs.ZFSPool.create

    def slow(self: pylibzfs.ZFSPool, name: str, fsopts: dict[str, str]) -> None:
        begun.set()
        assert go_on.wait(10)
        create(self, name, fsopts)

    monkeypatch.setattr(pylibzfs.ZFSPool, "create", slow)
    task = asyncio.create_task(zfs.create("tank/a"))
    assert await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    after = asyncio.create_task(zfs.dataset("tank/a"))
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await module.fake.dataset("tank/a")).mounted  # a command of its own does not queue behind the thread
    assert (await after).mounted


async def test_an_error_carries_nothing_of_py_libzfs_into_another_thread(zfs: LibZfs) -> None:
    await zfs.create("tank/a")
    await zfs.snapshot("tank/a", "s")
    await zfs.hold("jaild:one", "tank/a@s")
    error = await refused(zfs.destroy("tank/a@s"), FailedPreconditionError, "SNAPSHOT_HELD")
    while error.__traceback__ is not None and error.__traceback__.tb_next is not None:
        error.__traceback__ = error.__traceback__.tb_next
    assert error.__traceback__ is not None
    assert error.__traceback__.tb_frame.f_globals["__name__"] == "jaild.adapters.zfs.libzfs_thread"
    assert (error.__cause__, error.__context__) == (None, None)


# -- errors


async def test_what_cannot_be_opened_for_another_reason_than_absence_is_not_taken_for_absent(
    module: PyLibzfs, zfs: LibZfs
) -> None:
    module.fake.refuse["open"] = PermissionDeniedError("X", "no")
    for call in (zfs.dataset("tank"), zfs.datasets("tank"), zfs.release("jaild:one", "tank@s"), zfs.destroy("tank")):
        await refused(call, PermissionDeniedError, "ZFS_PERMISSION")


async def test_without_its_device_py_libzfs_is_not_asked_at_all(module: PyLibzfs, tmp_path: Path) -> None:
    zfs = LibZfs(module.fake, module, device=tmp_path / "zfs")
    module.ZFS = None  # type: ignore[assignment, method-assign]
    await refused(zfs.dataset("tank"), UnavailableError, "ZFS_UNAVAILABLE")


def test_a_code_without_a_reason_of_ours_is_told_with_all_that_libzfs_said() -> None:
    error = libzfs_failure("CROSSTARGET", "cannot rename 'a/b': operation crosses datasets or pools", "rename", "c/b")
    assert isinstance(error, InternalError)
    assert (error.reason, error.resource) == ("COMMAND_FAILED", "c/b")
    assert "crosses datasets or pools (CROSSTARGET)" in error.message


@pytest.mark.parametrize(
    ("code", "operation", "subject", "reason"),
    [
        ("BUSY", "destroy", "a@s", "SNAPSHOT_HELD"),
        ("BUSY", "destroy", "a", "DATASET_BUSY"),
        ("BUSY", "rename", "a", "DATASET_BUSY"),
        ("EXISTS", "destroy", "a@s", "DATASET_HAS_CLONES"),
        ("EXISTS", "destroy", "a", "DATASET_HAS_CHILDREN"),
        ("EXISTS", "snapshot", "a@s", "DATASET_EXISTS"),
        ("", "destroy", "a@s", "COMMAND_FAILED"),
    ],
)
def test_one_code_of_libzfs_stands_for_what_it_means_in_the_operation(
    code: str, operation: str, subject: str, reason: str
) -> None:
    assert libzfs_failure(code, "said", operation, subject).reason == reason


# -- what libzfs cannot do or tell


async def test_a_listing_that_broke_off_is_not_taken_for_whole_but_asked_of_the_commands(
    module: PyLibzfs, zfs: LibZfs
) -> None:
    for name in ("a", "b"):
        await zfs.create(f"tank/{name}")
    module.broken = Error.IO
    assert [each.name for each in await zfs.datasets("tank")] == ["tank", "tank/a", "tank/b"]
    assert module.fake.calls[-1] == ("datasets", "tank")


async def test_a_listing_that_left_one_out_is_not_taken_for_whole(module: PyLibzfs, zfs: LibZfs) -> None:
    await zfs.create("tank/a")
    module.unreadable = {"tank/a"}
    assert [each.name for each in await zfs.datasets("tank")] == ["tank", "tank/a"]
    assert module.fake.calls[-1] == ("datasets", "tank")


async def test_a_listing_that_went_well_needs_no_command(module: PyLibzfs, zfs: LibZfs) -> None:
    await zfs.create("tank/a")
    before = len(module.fake.calls)
    assert len(await zfs.datasets("tank")) == 2
    assert (await zfs.dataset("tank/a")).mounted
    assert len(module.fake.calls) == before


async def test_a_rollback_and_a_recursive_destroy_are_never_asked_of_libzfs(module: PyLibzfs, zfs: LibZfs) -> None:
    await zfs.create("tank/a")
    for tag in ("s1", "s2"):
        await zfs.snapshot("tank/a", tag)
    await refused(zfs.rollback("tank/a@s1"), FailedPreconditionError, "DATASET_BUSY")
    assert [each.tag for each in await zfs.snapshots("tank/a")] == ["s1", "s2"]
    await zfs.destroy("tank/a", recursive=True)
    assert module.fake.calls[-1] == ("destroy", "tank/a")


async def test_a_py_libzfs_that_sets_one_property_at_a_time_is_not_used_for_setting(
    module: PyLibzfs, zfs: LibZfs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(pylibzfs.ZFSDataset, "update_properties")
    await zfs.set("tank", {"jaild:one": "1", "jaild:two": "2"})
    assert module.fake.calls[-1] == ("set", "tank")
    assert dict((await zfs.dataset("tank")).properties) == {"jaild:one": "1", "jaild:two": "2"}


async def test_a_create_that_cannot_mount_leaves_nothing(tmp_path: Path, zfs: LibZfs) -> None:
    (tmp_path / "tank" / "a").mkdir()
    (tmp_path / "tank" / "a" / "in-the-way").touch()
    await refused(zfs.create("tank/a"), FailedPreconditionError, "DATASET_BUSY")
    await refused(zfs.dataset("tank/a"), NotFoundError, "DATASET_NOT_FOUND")


async def test_a_dataset_that_was_unmounted_to_be_destroyed_and_was_not_is_mounted_again(
    module: PyLibzfs, zfs: LibZfs
) -> None:
    await zfs.create("tank/a")
    module.fake.refuse["destroy tank/a"] = FailedPreconditionError("DATASET_BUSY", "busy")
    await refused(zfs.destroy("tank/a"), FailedPreconditionError, "DATASET_BUSY")
    assert (await zfs.dataset("tank/a")).mounted


# -- whether it is there


def test_a_missing_module_is_a_refusal_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "libzfs", None)
    with pytest.raises(UnavailableError) as caught:
        zfs_of("libzfs", ProcessRunner())
    assert (caught.value.reason, caught.value.resource) == ("LIBZFS_MISSING", "libzfs")
    assert isinstance(zfs_of("auto", ProcessRunner()), CliZfs)


def test_the_module_is_used_where_it_is_there_unless_the_configuration_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, module: PyLibzfs
) -> None:
    monkeypatch.setitem(sys.modules, "libzfs", module)
    assert isinstance(zfs_of("auto", ProcessRunner()), LibZfs)
    assert isinstance(zfs_of("libzfs", ProcessRunner()), LibZfs)
    assert isinstance(zfs_of("cli", ProcessRunner()), CliZfs)
