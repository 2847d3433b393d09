"""gRPC's poll engine, the only one that FreeBSD has: a part of the suites on it, with the oldest grpcio that we take.

In some versions, the floor's among them, it never connects a channel again that once found nobody there
(findings/grpc-poll-engine-never-reconnects.sh): here daemons die, and are met again.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import LINUX_HOST
from tests.demo.cache import Cache, default_root, digest_of
from tests.demo.hosts import CHECKOUT

pytestmark = [pytest.mark.real(*LINUX_HOST), pytest.mark.sampled, pytest.mark.timeout(1200)]

CASES = (
    "tests/unit/adapters/test_peers.py::test_a_host_that_comes_back_is_asked_and_streamed_to_by_whoever_found_it_gone",
    "tests/unit/cli/test_changes.py::test_a_daemon_that_was_away_is_reached_by_the_first_attempt_after_it_is_back",
    "tests/unit/rpc/test_access.py::test_whoever_opened_the_socket_is_local_whatever_name_his_own_end_has",
    "tests/e2e/test_migration.py::test_a_target_that_does_not_answer_is_told_and_the_jail_goes_on",
    "tests/e2e/test_migration.py::test_whichever_daemon_dies_in_the_seed_the_same_operation_moves_the_jail[beta]",
)
MOVES = ("--migrations", "2", "--rate", "1", "--seed", "7")  # one with the target killed, one with the source


@pytest.fixture(params=["floor", "newest"])
def python(request: pytest.FixtureRequest) -> Path:
    """An interpreter with the oldest grpcio that pyproject.toml allows, or with the one that is here."""
    return _floor() if request.param == "floor" else Path(sys.executable)


def test_hosts_and_jailctl_meet_daemons_again_that_were_away(python: Path) -> None:
    done = run(python, "pytest", "-q", "-p", "no:cacheprovider", *CASES)
    assert done.returncode == 0, done.stdout[-6000:]
    assert f"{len(CASES)} passed" in done.stdout


def test_a_jail_moves_between_daemons_that_are_killed(python: Path, tmp_path: Path) -> None:
    output = tmp_path / "soak.json"
    done = run(python, "tests.faults.soak", *MOVES, "--output", str(output))
    assert done.returncode == 0, done.stderr[-6000:]
    assert json.loads(output.read_text())["troubles"] == {"source killed": 1, "target killed": 1}


def run(python: Path, *words: str) -> subprocess.CompletedProcess[str]:
    surroundings = os.environ | {"GRPC_POLL_STRATEGY": "poll", "JAILD_FAULT_EVERY": "1"}
    argv = [str(python), "-m", *words]
    return subprocess.run(argv, cwd=CHECKOUT, env=surroundings, capture_output=True, text=True, check=False)


def _floor() -> Path:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]  # that of the tests names another one of jaild's, which PyPI has not
    wanted = [*project["dependencies"], *extras["metrics"], *extras["test"]]
    wanted = [each for each in wanted if not each.startswith("jaild[")]
    wanted = [re.sub(r"^(grpcio[a-z-]*)>=", r"\1==", each) for each in wanted]

    def install(folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--only-binary", ":all:"]
        subprocess.run([*pip, *wanted], check=True)

    digest = digest_of(sys.version, *wanted)
    return Cache(default_root()).folder("grpc-floor", digest, install) / "bin/python"
