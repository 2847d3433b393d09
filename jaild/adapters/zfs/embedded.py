"""A pool on a file in a folder, for `jaild --embedded DIR`: the kernel's ZFS where there is one, else a zfs-fuse.

DIR/vdevs/pool.img   the pool        DIR/zfs            where POOL/jaild is mounted
DIR/zfs-fuse.pid     its zfs-fuse    DIR/zfs-fuse.log   and what that said
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import signal
from pathlib import Path

from jaild.adapters.zfs.cli import CliZfs
from jaild.adapters.zfs.errors import failure
from jaild.adapters.zfs.fuse_waker import FuseWaker
from jaild.adapters.zfs.private_namespace import kernel_has_zfs, pid_file, running
from jaild.model.errors import DeadlineExceededError, NotFoundError
from jaild.ports.process import Completed, Processes

DEFAULT_SIZE = 16 << 30  # bytes; sparse, so nothing is taken before it is written
_DEADLINE = 30.0  # seconds for zfs-fuse to answer, and to end
_PAUSE = 0.05  # seconds between asking whether it answers: it has no way to tell
# Where zfs-fuse keeps its socket, lock, configuration and list of pools, and where `ip netns` keeps its names.
_PRIVATE = ("/run/zfs", "/run/lock", "/etc/zfs", "/var/lib/zfs", "/run/netns")
_KEPT = Path("/etc/zfs/zfsrc")  # the administrator's settings for zfs-fuse
_CACHE = re.compile(r"^\s*max-arc-size\s*=\s*(\d+)", re.MULTILINE)
_SMALLEST_CACHE = 16  # MB; it takes no less
_LARGEST_CACHE = 1024  # MB; holds what ZFS keeps of 1,800 datasets, of which zfs-fuse mounts 1,000


def token_of(folder: Path) -> str:
    """Return eight characters that no other folder has."""
    return hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]


def pool_name_for(folder: Path) -> str:
    """Return a pool's name that no other folder's pool has: a kernel has one name space for all of them."""
    return f"jaild-{token_of(folder)}"


def cache_for(memory: int, settings: str = "") -> int:
    """Return the MB that a zfs-fuse may keep of its pool in memory: an eighth of the host's `memory` (bytes).

    More if its `settings` (the text of zfsrc) say so, which Debian's package has 100 in: only a quarter of it is for
    metadata (arc_meta_limit of arc.c), and with 300 jails each look at their datasets reads and unpacks them all again.
    """
    set_there = max((int(found) for found in _CACHE.findall(settings)), default=0)
    return max(set_there, min(memory // 8 >> 20, _LARGEST_CACHE), _SMALLEST_CACHE)


def file_of(folder: Path) -> Path:
    """Return the file that a folder's pool is on."""
    return folder / "vdevs" / "pool.img"


class EmbeddedPool:
    """The pool of an absolute `folder`. Where zfs-fuse is used, `private_namespace.enter` must have been called."""

    def __init__(self, processes: Processes, folder: Path, pool_name: str, *, size: int = DEFAULT_SIZE) -> None:
        self._processes = processes
        self._folder = folder
        self._pool = pool_name
        self._size = size
        self._vdev = file_of(folder)

    @property
    def root(self) -> str:
        """The dataset that jaild keeps everything below."""
        return f"{self._pool}/jaild"

    async def start(self) -> CliZfs:
        """Bring the pool up, whatever of that is done already: zfs-fuse, pool, `POOL/jaild` mounted at DIR/zfs.

        Raises `DeadlineExceededError` (ZFS_FUSE_SILENT) besides what the port `Zfs` raises.
        """
        self._vdev.parent.mkdir(parents=True, exist_ok=True)
        self._vdev.parent.chmod(0o700)  # whoever reads the pool's file reads all that is in it
        if not kernel_has_zfs() and running(self._folder) is None:
            await self._start_fuse()
        await self._answers()
        if (pid := running(self._folder)) is not None:
            FuseWaker(pid, self._pool).start()
        if not await self._imported():
            await self._import_or_make()
        zfs = CliZfs(self._processes)
        try:
            await zfs.mount(self.root)
        except NotFoundError:
            await zfs.create(self.root, {"mountpoint": str(self._folder / "zfs")})
        return zfs

    async def stop(self) -> None:
        """Export the pool and end its zfs-fuse. `FailedPreconditionError` (DATASET_BUSY) while something uses it."""
        if kernel_has_zfs() or running(self._folder) is not None:
            await self._answers()
            if await self._imported():
                await self._zpool("export", self._pool)
        if (pid := running(self._folder)) is not None:
            await _end(pid)  # it has no pool any more, and nothing to write; told to end, it takes three seconds
        pid_file(self._folder).unlink(missing_ok=True)

    async def destroy(self) -> None:
        """Stop, and remove the pool with all that is in it."""
        await self.stop()
        shutil.rmtree(self._vdev.parent, ignore_errors=True)  # absent when it never was started
        if (mountpoint := self._folder / "zfs").exists():
            mountpoint.rmdir()  # not a tree: what is not empty is not ours to delete

    # -- zfs-fuse

    async def _start_fuse(self) -> None:
        pid_file(self._folder).unlink(missing_ok=True)  # with one left by a dead process zfs-fuse does not start
        await self._hide_shared_folders()
        settings = _KEPT.read_text(errors="replace") if _KEPT.exists() else ""
        cache = cache_for(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), settings)
        argv = ["zfs-fuse", "--no-kstat-mount", "--max-arc-size", str(cache), "--pidfile", str(pid_file(self._folder))]
        await self._processes.run(argv, output=self._folder / "zfs-fuse.log")  # it detaches itself

    async def _hide_shared_folders(self) -> None:
        settings = _KEPT.read_bytes() if _KEPT.exists() else None
        for path in _PRIVATE:
            if not _hidden(path):
                Path(path).mkdir(parents=True, exist_ok=True)
                await self._processes.run(["mount", "-t", "tmpfs", "-o", "mode=755", "jaild", path])
        if settings is not None:
            _KEPT.write_bytes(settings)

    async def _answers(self) -> None:
        try:
            async with asyncio.timeout(_DEADLINE):
                while not await self._answered():  # noqa: ASYNC110 -- there is no event to await
                    await asyncio.sleep(_PAUSE)
        except TimeoutError as error:
            raise DeadlineExceededError(
                "ZFS_FUSE_SILENT",
                f"ZFS does not answer after {_DEADLINE:g} s",
                hint=f"see {self._folder / 'zfs-fuse.log'}; is /dev/fuse there?",
            ) from error

    async def _answered(self) -> bool:
        return (await self._processes.run(["zpool", "list"], check=False)).status == 0

    # -- the pool

    async def _imported(self) -> bool:
        return self._pool in (await self._zpool("list", "-H", "-o", "name")).text.split()

    async def _import_or_make(self) -> None:
        if not self._vdev.exists():
            await self._make()
        await self._zpool("import", "-d", str(self._vdev.parent), "-o", "cachefile=none", self._pool)

    async def _make(self) -> None:
        """Make the pool under another name first: a crash in here must not leave a file that looks like a pool."""
        new = self._vdev.parent / "pool.new"
        with new.open("wb") as file:
            file.truncate(self._size)
        options = ["-f", "-m", "none", "-O", "atime=off", "-o", "cachefile=none"]
        await self._zpool("create", *options, self._pool, str(new))
        await self._zpool("export", self._pool)
        new.rename(self._vdev)

    async def _zpool(self, *words: str) -> Completed:
        completed = await self._processes.run(["zpool", *words], check=False)
        if completed.status != 0:
            raise failure(completed, self._pool)
        return completed


def _hidden(path: str) -> bool:
    """Tell whether our tmpfs is there already (proc(5), mountinfo: field 5 the place, second after - the source)."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place, _, rest = line.partition(" - ")
        if place.split()[4] == path and rest.split()[1] == "jaild":
            return True
    return False


async def _end(pid: int) -> None:
    """End a process that is not our child, and wait until it is gone."""
    gone = asyncio.Event()
    handle = os.pidfd_open(pid)
    loop = asyncio.get_running_loop()
    loop.add_reader(handle, gone.set)
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        async with asyncio.timeout(_DEADLINE):
            await gone.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)
