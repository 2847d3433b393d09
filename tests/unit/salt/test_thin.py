"""Salt within a jail: it comes once, runs there with what is its own, and leaves nothing of a run."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from jaild.model.errors import FailedPreconditionError
from jaild.salt.thin import PACKAGE, Inside, Turn
from tests.tars import file, pack

# Tells what it was called with, as `salt-call --metadata --out=json` does.
CALL = b"""
import json, os, sys, tempfile
config = json.load(open(os.path.join(sys.argv[1].partition("=")[2], "minion")))
words = sys.argv[sys.argv.index("--") + 1:]
read = open(words[1]).read() if len(words) > 1 else ""
told = {"function": words[0], "read": read, "config": config, "temporary": tempfile.gettempdir()}
tempfile.mkdtemp()
print(json.dumps({"local": {"return": told, "retcode": 3}}))
sys.exit(3)
"""


class Jail:
    """This machine as a jail, with a Python by another way than PATH; `calls` are what ran there."""

    def __init__(self, tmp: Path) -> None:
        self.tmp = tmp
        self.calls: list[str] = []

    def run(self, argv: Sequence[str], stdin: bytes) -> dict[str, Any]:
        self.calls.append(argv[2])
        environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "TMPDIR": str(self.tmp)}
        done = subprocess.run(list(argv), input=stdin, env=environment, capture_output=True, check=False)
        return {"retcode": done.returncode, "stdout": done.stdout.decode(), "stderr": done.stderr.decode()}


@pytest.fixture
def jail(tmp_path: Path) -> Jail:
    (tmp_path / "tmp").mkdir()
    return Jail(tmp_path / "tmp")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "place"


def tarball(path: Path, call: bytes = CALL) -> Path:
    return pack(path, file("salt-call", call), form="w:gz")


def inside(jail: Jail, place: Path) -> Inside:
    return Inside("web", jail.run, str(place))


def test_salt_comes_once_and_again_when_it_is_another_one(jail: Jail, place: Path, tmp_path: Path) -> None:
    inside(jail, place).deliver(tarball(tmp_path / "one"))
    (one,) = place.iterdir()
    first = len(jail.calls)
    inside(jail, place).deliver(tmp_path / "one")
    assert len(jail.calls) - first == first - 1  # nothing was unpacked
    inside(jail, place).deliver(tarball(tmp_path / "two", b"print('other')"))
    (two,) = place.iterdir()
    assert two != one
    assert place.stat().st_mode & 0o777 == 0o700


def test_a_run_has_its_package_and_grains_and_leaves_nothing(jail: Jail, place: Path, tmp_path: Path) -> None:
    salt = inside(jail, place)
    salt.deliver(tarball(tmp_path / "one"))
    told, status = salt.call("state.pkg", PACKAGE, grains={"app": "web"}, package=b"secret", turn=Turn.REFUSE)
    assert (told["function"], told["read"], status) == ("state.pkg", "secret", 3)
    assert told["config"]["id"] == "web"
    assert told["config"]["grains"] == {"app": "web"}
    assert told["config"]["root_dir"] == told["temporary"]
    assert list(jail.tmp.iterdir()) == []


def test_a_second_run_of_states_is_refused(jail: Jail, place: Path, tmp_path: Path) -> None:
    salt = inside(jail, place)
    salt.deliver(tarball(tmp_path / "one"))
    held = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(FailedPreconditionError, match="another run of states") as refused:
            salt.call("state.pkg", grains={}, turn=Turn.REFUSE)
        assert refused.value.reason == "SALT_FAILED_IN_JAIL"
        assert salt.call("grains.items", grains={})[1] == 3
    finally:
        os.close(held)
    assert salt.call("state.pkg", grains={}, turn=Turn.REFUSE)[1] == 3


def test_what_salt_said_last_is_told_if_it_gave_no_answer(jail: Jail, place: Path, tmp_path: Path) -> None:
    salt = inside(jail, place)
    salt.deliver(tarball(tmp_path / "one", b"raise OSError('Cannot locate OpenSSL libcrypto')"))
    with pytest.raises(FailedPreconditionError, match="jail web: OSError: Cannot locate OpenSSL libcrypto"):
        salt.call("state.pkg", grains={})


def test_what_cannot_be_unpacked_is_told_and_not_taken_for_salt(jail: Jail, place: Path, tmp_path: Path) -> None:
    (tmp_path / "torn").write_bytes(tarball(tmp_path / "one").read_bytes()[:-100])
    for _ in range(2):
        with pytest.raises(FailedPreconditionError, match="not unpacked") as refused:
            inside(jail, place).deliver(tmp_path / "torn")
        assert refused.value.reason == "SALT_FAILED_IN_JAIL"
    inside(jail, place).deliver(tmp_path / "one")


def test_a_jail_without_python_is_told_what_to_do(tmp_path: Path) -> None:
    def run(argv: Sequence[str], stdin: bytes) -> dict[str, Any]:
        del stdin
        done = subprocess.run(list(argv), env={"PATH": str(tmp_path)}, capture_output=True, check=False)
        return {"retcode": done.returncode, "stdout": "", "stderr": ""}

    with pytest.raises(FailedPreconditionError) as refused:
        Inside("web", run).deliver(tmp_path / "none")
    assert refused.value.reason == "NO_PYTHON_IN_JAIL"
    assert "release or its base" in refused.value.hint
