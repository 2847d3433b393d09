"""A zfs-fuse of one's own for tests: its daemon, its pool and every `zfs` in a private mount namespace."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from jaild.adapters.system.process import ProcessRunner
from jaild.adapters.zfs.cli import CliZfs
from jaild.ports.process import Child, Completed, Errors, Processes, TerminalSize

POOL_SIZE = 1 << 30  # bytes, sparse
MEMORY = "/dev/shm"
_DEADLINE = 20.0  # seconds
# What zfs-fuse keeps outside its pool: socket, lock, configuration, list of pools to import.
_PRIVATE = ("/run/zfs", "/run/lock", "/etc/zfs", "/var/lib/zfs")


class InNamespace:
    """Runs programs in the mount namespace of process `pid` (implements `Processes`)."""

    def __init__(self, inner: Processes, pid: int) -> None:
        self._inner = inner
        self._prefix = ("nsenter", f"--mount=/proc/{pid}/ns/mnt", "--")

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | None = None,
        timeout: float = 120.0,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        check: bool = True,
        output: Path | None = None,
    ) -> Completed:
        return await self._inner.run(
            [*self._prefix, *argv], stdin=stdin, timeout=timeout, cwd=cwd, env=env, check=check, output=output
        )

    def start(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        on_stderr: Errors | None = None,
        terminal: TerminalSize | None = None,
        raw: bool = False,
    ) -> AbstractAsyncContextManager[Child]:
        wanted = [*self._prefix, *argv]
        return self._inner.start(wanted, cwd=cwd, env=env, on_stderr=on_stderr, terminal=terminal, raw=raw)


@dataclass(frozen=True, kw_only=True)
class PrivateZfs:
    """`root` is where the pool is mounted: in the namespace only, so look at it by `processes` or by `seen`."""

    zfs: CliZfs
    processes: Processes
    pool: str
    root: Path
    pid: int  # of zfs-fuse, whose mount namespace it is

    def seen(self, path: Path) -> Path:
        """Return where this process sees a path of the namespace."""
        return Path(f"/proc/{self.pid}/root") / path.relative_to("/")


@contextlib.contextmanager
def _vdev(folder: Path) -> Iterator[Path]:
    """A sparse file, in memory where there is some."""
    with tempfile.NamedTemporaryFile(prefix="jaild-vdev-", dir=MEMORY if Path(MEMORY).is_dir() else folder) as file:
        file.truncate(POOL_SIZE)
        yield Path(file.name)


@contextlib.contextmanager
def private_zfs_fuse(folder: Path, pool: str = "tank", *, apart: Sequence[Path] | None = None) -> Iterator[PrivateZfs]:
    """Run a zfs-fuse with a pool on a sparse file in `folder`; all of it is gone afterwards.

    With `apart`, what it mounts below shared mounts of this process's namespace is seen here too, but for those below
    the paths in `apart`, which it does not see: another zfs-fuse's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    root = folder / "mnt"
    root.mkdir()
    # A shell only here: mounts must be made before zfs-fuse starts, in the namespace that it lives in.
    script = (
        "set -e; for d in $APART; do mount --make-rprivate $d; umount -l $d; done; "
        "for d in $PRIVATE; do mkdir -p $d; mount -t tmpfs none $d; done; exec zfs-fuse -n --no-kstat-mount"
    )
    daemon = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private" if apart is None else "unchanged", "sh", "-c", script],
        env={
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "PRIVATE": " ".join(_PRIVATE),
            "APART": " ".join(map(str, apart or ())),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=(folder / "zfs-fuse.log").open("wb"),
        start_new_session=True,
    )
    enter = ["nsenter", f"--mount=/proc/{daemon.pid}/ns/mnt", "--"]
    try:
        _answers(daemon, enter, folder)
        create = ["zpool", "create", "-O", "atime=off", "-m", str(root), pool]
        with _vdev(folder) as vdev:
            subprocess.run([*enter, *create, str(vdev)], check=True, capture_output=True, timeout=_DEADLINE)
            processes = InNamespace(ProcessRunner(), daemon.pid)
            yield PrivateZfs(zfs=CliZfs(processes), processes=processes, pool=pool, root=root, pid=daemon.pid)
    finally:
        _end(daemon, enter, pool)


def _answers(daemon: subprocess.Popen[bytes], enter: list[str], folder: Path) -> None:
    deadline = time.monotonic() + _DEADLINE
    # Nothing tells when it listens: its socket may be there before it answers. Before the exec it is in our namespace.
    exe = Path(f"/proc/{daemon.pid}/exe")
    while (
        exe.readlink().name != "zfs-fuse"
        or subprocess.run([*enter, "zfs", "list"], capture_output=True, check=False).returncode
    ):
        if daemon.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"zfs-fuse does not come up: {(folder / 'zfs-fuse.log').read_text()}")
        time.sleep(0.02)


def _end(daemon: subprocess.Popen[bytes], enter: list[str], pool: str) -> None:
    if daemon.poll() is None:
        subprocess.run([*enter, "zpool", "export", "-f", pool], capture_output=True, check=False, timeout=_DEADLINE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(daemon.pid, signal.SIGKILL)  # told to end, it takes seconds; its pool is exported
    try:
        daemon.wait(_DEADLINE)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def ended(pid: int) -> None:
    """Wait until a process that is not our child is gone; a zombie counts as gone."""
    handle = os.pidfd_open(pid)
    try:
        assert select.select([handle], [], [], _DEADLINE)[0], f"process {pid} does not end"
    finally:
        os.close(handle)
