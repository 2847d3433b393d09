"""What nmount(2), unmount(2) and getfsstat(2) are given and what their answers become, on a libc that is told.

The structures are laid out as in sys/mount.h of FreeBSD 13 to 15 (amd64, arm64); what is passed, as mount(8) and
mount_nullfs(8) pass it (sbin/mount/mount_fs.c, sbin/mount_nullfs/mount_nullfs.c).
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
from collections.abc import Mapping
from pathlib import Path

import pytest

from jaild.adapters.freebsd import mounts as freebsd_mounts
from jaild.adapters.freebsd.libc import Iovec, Libc, libc, vector
from jaild.adapters.freebsd.mount_calls import MountCalls, Statfs, values_of
from jaild.adapters.freebsd.mount_commands import MountCommands
from jaild.adapters.freebsd.mounts import Mounted, NewMount
from jaild.assembly import freebsd_system
from jaild.config import Config
from jaild.model.errors import JaildError
from jaild.model.jails.mounts import Mount, MountKind
from tests.fakes.freebsd_host import FreebsdHost
from tests.fakes.freebsd_libc import FakeLibc, values_told
from tests.fakes.freebsd_mount_table import Entry, MountTable
from tests.fakes.processes import ScriptedProcesses


@pytest.fixture
def fake() -> FakeLibc:
    return FakeLibc(MountTable(lambda _: False))


class Refusing(FakeLibc):
    """A libc all of whose calls fail."""

    def __init__(self, number: int, said: str = "") -> None:
        super().__init__(MountTable(lambda _: False))
        self.number, self.said = number, said

    def nmount(self, options: ctypes.Array[Iovec], count: int, flags: int, /) -> int:
        assert flags == 0
        ctypes.memmove(options[count - 1].iov_base, self.said.encode(), len(self.said))
        return self._fail()

    def unmount(self, *_: object) -> int:
        return self._fail()

    def getfsstat(self, *_: object) -> int:
        return self._fail()

    def _fail(self) -> int:
        ctypes.set_errno(self.number)
        return -1


def layer(source: Path, target: Path, *, readonly: bool = False) -> NewMount:
    return freebsd_mounts.new(Mount(kind=MountKind.LAYER, source=str(source), target="/", readonly=readonly), target)


def folders(folder: Path) -> tuple[Path, Path]:
    for name in ("base", "tree"):
        (folder / name).mkdir()
    return folder / "base", folder / "tree"


async def refused(calls: Libc, new: NewMount) -> JaildError:
    with pytest.raises(JaildError) as failed:
        await MountCalls(calls).mount(new)
    return failed.value


def test_structures_are_as_large_as_the_kernels_and_their_fields_at_its_places() -> None:
    assert (ctypes.sizeof(Iovec), ctypes.sizeof(Statfs)) == (16, 2344)
    places = {"f_fsid": 192, "f_fstypename": 280, "f_mntfromname": 296, "f_mntonname": 1320}
    assert {name: getattr(Statfs, name).offset for name in places} == places


@pytest.mark.parametrize(
    ("new", "values"),
    [
        (layer(Path("/"), Path("/x"), readonly=True), {"fstype": "nullfs", "fspath": "/x", "target": "/", "ro": ""}),
        (layer(Path("/"), Path("/x")), {"fstype": "nullfs", "fspath": "/x", "target": "/"}),
        (
            freebsd_mounts.new(Mount(kind=MountKind.TMPFS, target="/tmp", size=64 << 20), Path("/x/tmp")),
            {"fstype": "tmpfs", "fspath": "/x/tmp", "from": "tmpfs", "size": "67108864", "mode": "1777"},
        ),
        (
            freebsd_mounts.devfs(Path("/x/dev"), 4),
            {"fstype": "devfs", "fspath": "/x/dev", "from": "devfs", "ruleset": "4"},
        ),
    ],
)
def test_the_kernel_is_told_names_and_values_with_their_nul_and_where_to_answer(
    new: NewMount, values: Mapping[str, str]
) -> None:
    said = ctypes.create_string_buffer(255)
    told = values_of(new, said)
    pairs = vector(told)
    read = [ctypes.string_at(each.iov_base, each.iov_len) for each in pairs]
    assert dict(zip(read[:-2:2], read[1:-2:2], strict=True)) == {
        f"{name}\0".encode(): f"{value}\0".encode() for name, value in values.items()
    }
    assert (read[-2], pairs[len(pairs) - 1].iov_base, len(read[-1])) == (b"errmsg\0", ctypes.addressof(said), 255)


async def test_a_layer_is_told_without_links_as_the_mount_table_is_to_show_it(fake: FakeLibc, tmp_path: Path) -> None:
    base, tree = folders(tmp_path)
    (tmp_path / "link").symlink_to(base)
    await MountCalls(fake).mount(layer(tmp_path / "link", tree, readonly=True))
    assert values_told(fake)[0]["target"] == f"{base.resolve()}\0".encode()
    (mounted,) = await MountCalls(fake).table()
    assert (mounted.source, mounted.target, mounted.kind) == (str(base.resolve()), tree, "nullfs")


async def test_what_is_missing_is_told_apart(fake: FakeLibc, tmp_path: Path) -> None:
    base, tree = folders(tmp_path)
    assert (await refused(fake, layer(tmp_path / "gone", tree))).reason == "MOUNT_SOURCE_MISSING"
    assert (await refused(fake, layer(base, tmp_path / "gone"))).reason == "MOUNT_TARGET_MISSING"
    assert (await refused(fake, freebsd_mounts.devfs(tmp_path / "gone", 4))).reason == "MOUNT_TARGET_MISSING"


async def test_the_same_layer_once_more_at_its_place_is_refused(fake: FakeLibc, tmp_path: Path) -> None:
    base, tree = folders(tmp_path)
    await MountCalls(fake).mount(layer(base, tree))
    assert (await refused(fake, layer(base, tree))).reason == "TREE_BUSY"


async def test_what_the_kernel_says_beside_the_number_is_told(fake: FakeLibc, tmp_path: Path) -> None:
    _, tree = folders(tmp_path)
    odd = NewMount(kind="tmpfs", source="tmpfs", target=tree, options={"sise": "1"})
    error = await refused(fake, odd)
    assert error.reason == "FILE_FAILED"
    assert error.message.endswith("Invalid argument: mount option <sise> is unknown")
    full = await refused(Refusing(errno.EINVAL, "x" * 254), odd)  # all that the buffer has
    assert full.message.endswith(": " + "x" * 254)


@pytest.mark.parametrize(
    ("number", "of_mount", "of_unmount"),
    [
        (errno.EBUSY, "TREE_BUSY", "TREE_BUSY"),
        (errno.EDEADLK, "TREE_BUSY", "FILE_FAILED"),
        (errno.EPERM, "FILE_PERMISSION", "FILE_PERMISSION"),
        (errno.ENOSPC, "NO_SPACE", "NO_SPACE"),
        (errno.EINVAL, "FILE_FAILED", "FILE_FAILED"),
        (errno.ENAMETOOLONG, "FILE_FAILED", "FILE_FAILED"),
        (errno.ETIMEDOUT, "FILE_FAILED", "FILE_FAILED"),
    ],
)
async def test_numbers_of_errors_become_ours_with_what_was_to_be_done(
    number: int, of_mount: str, of_unmount: str
) -> None:
    calls = Refusing(number)
    error = await refused(calls, freebsd_mounts.devfs(Path("/x/dev"), 4))
    assert (error.reason, error.resource) == (of_mount, "/x/dev")
    assert "nmount of devfs devfs on /x/dev: " in error.message
    gone = Mounted(source="devfs", target=Path("/x/dev"), kind="devfs", fsid="01ff000029000000")
    with pytest.raises(JaildError) as failed:
        await MountCalls(calls).unmount(gone)
    assert (failed.value.reason, failed.value.resource) == (of_unmount, "/x/dev")
    assert failed.value.detail["stderr"].startswith("unmount of /x/dev failed: ")


async def test_a_mount_is_unmounted_by_its_fsid_whatever_its_sign(fake: FakeLibc) -> None:
    fsid = "8fc5d1f86a5ab5d1"  # of a UFS: both numbers are negative
    fake.table.mounts.append(Entry("/dev/ada0p2", "/nowhere", "ufs", {}, fsid))
    (mounted,) = await MountCalls(fake).table()
    assert mounted.fsid == fsid
    with pytest.raises(FileNotFoundError):  # the fake found it: its folder is not there
        await MountCalls(fake).unmount(mounted, force=True)
    assert fake.table.taken == [(fsid, True)]


async def test_a_mount_table_that_grows_meanwhile_is_read_to_its_end(fake: FakeLibc) -> None:
    fake.table.mounts.append(Entry("devfs", "/dev", "devfs", {}, ""))
    fake.came = 50
    table = await MountCalls(fake).table()
    assert [(m.source, m.target, m.fsid) for m in table] == [("devfs", Path("/dev"), "")] * 51


async def test_a_mount_table_of_another_form_is_not_read(fake: FakeLibc) -> None:
    fake.table.mounts.append(Entry("devfs", "/dev", "devfs", {}, ""))
    fake.version = 0x20030518
    with pytest.raises(JaildError) as failed:
        await MountCalls(fake).table()
    assert failed.value.reason == "RUNTIME_MISSING"
    assert "0x20030518" in failed.value.message


async def test_a_mount_table_that_cannot_be_had_is_told() -> None:
    with pytest.raises(JaildError) as failed:
        await MountCalls(Refusing(errno.EFAULT)).table()
    assert failed.value.reason == "FILE_FAILED"
    assert "getfsstat: Bad address" in failed.value.message


async def test_both_ways_tell_the_same_mounts(tmp_path: Path) -> None:
    base, tree = folders(tmp_path)
    host = FreebsdHost()
    calls, commands = MountCalls(FakeLibc(host.table)), MountCommands(host.processes)
    (base / "dev").mkdir()
    await commands.mount(layer(base, tree, readonly=True))
    await calls.mount(freebsd_mounts.devfs(tree / "dev", 4))
    assert await calls.table() == await commands.table()
    assert len(host.table.mounts) == 2
    host.kernel.close()


def test_the_calls_are_taken_where_they_are_unless_the_commands_are_asked_for() -> None:
    processes = ScriptedProcesses(lambda *_: asyncio.sleep(0, None))
    assert Config().system_calls
    assert isinstance(freebsd_system(processes, calls=False).mounting, MountCommands)
    expected = MountCommands if libc() is None else MountCalls
    assert isinstance(freebsd_system(processes, calls=True).mounting, expected)
