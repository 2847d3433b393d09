"""Salt within a jail: a tarball of the minion's own, as salt-ssh sends it (salt-thin), run by the jail's Python.

It is in the jail's data, where none but root reads, by its digest: it comes once, and again when the minion's Salt is
another one. What a run needs besides is in a folder of its own in the jail's /tmp, which is memory, and in no snapshot,
replica or backup: pillar, files and Salt's caches are gone with the run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from jaild.model.errors import FailedPreconditionError

# Runs a command in the jail as root: argv, and what it reads. Returns `stdout`, `stderr` and `retcode`.
Run = Callable[[Sequence[str], bytes], Mapping[str, Any]]

PLACE = "/var/cache/jaild-salt"
ENVIRONMENT = {
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "TMPDIR": "/tmp",  # noqa: S108 -- in the jail, where it is a tmpfs
}
PACKAGE = "{package}"
# FreeBSD's packages of Python have only the version in their names.
_PYTHONS = ("python3", *(f"python3.{minor}" for minor in range(20, 9, -1)))
# 3.10 is what Salt's own libraries take (requests 2.34).
_FIND = """
for name in "$@"; do
    "$name" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && command -v "$name" && exit 0
done
exit 1
"""
_THERE = "import os, sys; sys.exit(not os.path.isdir(sys.argv[1]))"
_UNPACK = """
import fcntl, os, shutil, sys, tarfile, tempfile
place, digest = sys.argv[1:]
os.makedirs(place, 0o700, exist_ok=True)
fcntl.flock(os.open(place, os.O_RDONLY), fcntl.LOCK_EX)
if not os.path.isdir(os.path.join(place, digest)):
    for name in os.listdir(place):
        shutil.rmtree(os.path.join(place, name))
    part = tempfile.mkdtemp(dir=place)
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|gz") as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
        tar.extractall(part)
    os.rename(part, os.path.join(place, digest))
"""
# Salt runs in this process: TMPDIR would be inherited by what a state starts, and outlived by it.
_CALL = """
import fcntl, json, os, runpy, sys, tempfile
place, digest, turn, config, *words = sys.argv[1:]
lock = {"none": fcntl.LOCK_UN, "refuse": fcntl.LOCK_EX | fcntl.LOCK_NB, "wait": fcntl.LOCK_EX}
try:
    fcntl.flock(os.open(place, os.O_RDONLY), lock[turn])
except BlockingIOError:
    sys.exit("another run of states is under way there")
with tempfile.TemporaryDirectory(prefix="jaild-salt-") as folder:
    package = os.path.join(folder, "package")
    with open(package, "wb") as file:
        file.write(sys.stdin.buffer.read())
    with open(os.path.join(folder, "minion"), "w", encoding="utf-8") as file:
        json.dump({**json.loads(config), "root_dir": folder}, file)
    tempfile.tempdir = folder
    options = ["--config-dir=" + folder, "--retcode-passthrough", "--local", "--metadata"]
    options += ["--out=json", "--log-level=quiet", "--"]
    program = os.path.join(place, digest, "salt-call")
    sys.argv = [program, *options, *(package if word == "{package}" else word for word in words)]
    runpy.run_path(program, run_name="__main__")
"""


class Turn(StrEnum):
    """What a run does while another one is under way in the jail."""

    NONE = "none"  # take no notice of it
    REFUSE = "refuse"
    WAIT = "wait"


class Inside:
    """Salt in one jail. `place` is its folder there."""

    def __init__(self, jail: str, run: Run, place: str = PLACE) -> None:
        self._jail = jail
        self._run = run
        self._place = place
        self._python = ""
        self._digest = ""

    def deliver(self, tarball: Path) -> None:
        """Bring Salt there, unless it is there.

        `FailedPreconditionError`: NO_PYTHON_IN_JAIL; SALT_FAILED_IN_JAIL, as where there is no room.
        """
        self._python = self._found()
        content = tarball.read_bytes()
        self._digest = hashlib.sha256(content).hexdigest()
        if self._run([self._python, "-c", _THERE, f"{self._place}/{self._digest}"], b"")["retcode"] == 0:
            return
        done = self._run([self._python, "-c", _UNPACK, self._place, self._digest], content)
        if done["retcode"]:
            raise self._failed("Salt was not unpacked", done)

    def call(
        self, *words: str, grains: Mapping[str, Any], package: bytes = b"", turn: Turn = Turn.NONE
    ) -> tuple[Any, int]:
        """Run a function of Salt's in the jail; return what it gave, and its status.

        `words` are the function and its arguments; PACKAGE among them becomes the path of a file with `package` in it.
        `grains` are the jail's, beside those that Salt finds there. `FailedPreconditionError` (SALT_FAILED_IN_JAIL) if
        it gave no answer, or another one is under way.
        """
        config = {
            "id": self._jail,
            "file_client": "local",
            "pillar_roots": {"base": []},
            "log_level_logfile": "quiet",
            "grains": dict(grains),
        }
        argv = [self._python, "-c", _CALL, self._place, self._digest, turn.value, json.dumps(config), *words]
        done = self._run(argv, package)
        try:
            answer = json.loads(done["stdout"])["local"]
            return answer["return"], int(answer.get("retcode", done["retcode"]))
        except (ValueError, KeyError, TypeError):
            raise self._failed("Salt gave no answer", done) from None

    def _found(self) -> str:
        found = self._run(["/bin/sh", "-c", _FIND, "sh", *_PYTHONS], b"")
        if found["retcode"]:
            raise FailedPreconditionError(
                "NO_PYTHON_IN_JAIL",
                f"jail {self._jail} has no Python 3.10 or newer, which applies states there",
                hint="put Python 3 into its release or its base; cmd.run and grains do without",
            )
        return str(found["stdout"]).strip()

    def _failed(self, what: str, done: Mapping[str, Any]) -> FailedPreconditionError:
        lines = str(done["stderr"] or done["stdout"]).strip().splitlines() or [f"status {done['retcode']}"]
        return FailedPreconditionError(
            "SALT_FAILED_IN_JAIL",
            f"{what} in jail {self._jail}: {lines[-1]}",  # a traceback's last says it
            hint="correct what it says there, as room in the jail's data, and apply the states again",
        )
