"""A Debian that is booted by its own systemd, in namespaces: processes, mounts, network, host name and control groups.

systemd gets the unified hierarchy of control groups, from a group of its own on, whatever else the machine has mounted:
for services it needs no controllers. Its root is that of its mount namespace, as on a machine, since jaild enters
namespaces. /sys is read-only, and /dev its own: nothing of the machine's is touched.
"""

from __future__ import annotations

import contextlib
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.demo.programs import environment, run
from tests.packages.trees import Tree
from tests.patience import patient

_BOOTED = patient(90.0)  # seconds
_DEVICES = {
    "null": "1 3",
    "zero": "1 5",
    "full": "1 7",
    "random": "1 8",
    "urandom": "1 9",
    "tty": "5 0",
    "fuse": "10 229",
}
_DEV = " && ".join(f'mknod -m 666 "$0/dev/{name}" c {numbers}' for name, numbers in _DEVICES.items())
# $0: where the overlay is mounted, $1: its options, $2: the control group to begin in.
_BOOT = f"""
echo $$ >"$2/cgroup.procs" && exec unshare --cgroup sh -c '
mount -t overlay overlay -o "$1" "$0" && mount -t proc proc "$0/proc" && mount -t sysfs -o ro sysfs "$0/sys" &&
mount -t cgroup2 cgroup2 "$0/sys/fs/cgroup" && mount -t tmpfs -o mode=755 run "$0/run" &&
mount -t tmpfs -o mode=755 dev "$0/dev" && {_DEV} && mkdir "$0/dev/pts" "$0/dev/shm" &&
mount -t devpts -o newinstance,ptmxmode=666 devpts "$0/dev/pts" && ln -s pts/ptmx "$0/dev/ptmx" &&
cd "$0" && pivot_root . mnt && umount --lazy /mnt &&
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=jaild-tests /sbin/init' "$0" "$1"
"""


@dataclass(frozen=True)
class Machine:
    """It, while it runs: `init` is its systemd, as this machine numbers it."""

    init: int

    def run(self, *argv: str) -> str:
        """Run a program as an administrator of it would; return what it prints. Raises `ProgramError`."""
        return run(self._inside(argv))

    def status(self, *argv: str) -> tuple[int, str]:
        """Run a program; return how it ended, and all that it said."""
        done = subprocess.run(self._inside(argv), env=environment(), capture_output=True, text=True, check=False)
        return done.returncode, (done.stdout + done.stderr).strip()

    def property(self, unit: str, name: str) -> str:
        """Return what systemd says of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).strip()

    def _inside(self, argv: tuple[str, ...]) -> list[str]:
        names = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd")
        return ["nsenter", "--target", str(self.init), *names, "--", *argv]


@contextmanager
def booted(tree: Tree) -> Iterator[Machine]:
    """Boot a copy of a tree; nothing of it runs afterwards, however the block ends."""
    assert tree.lower is not None
    group = _hierarchy() / f"jaild-tests-{secrets.token_hex(4)}"
    group.mkdir()
    options = f"lowerdir={tree.lower},upperdir={tree.folder}/upper,workdir={tree.folder}/work"
    spaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--kill-child=SIGKILL"]
    argv = ["unshare", *spaces, "sh", "-c", _BOOT, str(tree.folder / "merged"), options, str(group)]
    log = tree.folder / "boot.log"
    with log.open("wb") as out, subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out) as process:
        try:
            machine = Machine(_child(process))
            _wait(machine, process)
            yield machine
        except BaseException as error:
            error.add_note(log.read_text(errors="replace")[-3000:])
            raise
        finally:
            process.send_signal(signal.SIGKILL)  # and with it, init and all that is in its namespace
            process.wait()
            _remove(group)


def _hierarchy() -> Path:
    """Where this machine has the unified hierarchy mounted."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(where)
    raise AssertionError(
        "no control groups of version 2 are mounted here: mount -t cgroup2 none /sys/fs/cgroup/unified"
    )


def _child(process: subprocess.Popen[bytes]) -> int:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    end = time.monotonic() + _BOOTED
    while time.monotonic() < end:
        if process.poll() is None and (found := children.read_text().split()):
            return int(found[0])
        assert process.poll() is None, "it ended before it began"
        time.sleep(0.05)
    raise AssertionError("no init was started")


def _wait(machine: Machine, process: subprocess.Popen[bytes]) -> None:
    """Wait until systemd has started what it starts at boot; before it listens, nobody can ask it to tell."""
    end, said = time.monotonic() + _BOOTED, ""
    while time.monotonic() < end and process.poll() is None:
        _, said = machine.status("systemctl", "is-system-running", "--wait")
        if said in {"running", "degraded"}:
            return
        time.sleep(0.2)
    raise AssertionError(f"not booted: {said}")


def _remove(group: Path) -> None:
    end = time.monotonic() + _BOOTED
    while group.exists() and time.monotonic() < end:  # what was killed may take a moment to be gone
        for folder in sorted(group.rglob("*/"), key=lambda path: len(path.parts), reverse=True):
            with contextlib.suppress(OSError):
                folder.rmdir()
        with contextlib.suppress(OSError):
            group.rmdir()
            return
        time.sleep(0.05)
