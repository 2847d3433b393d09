"""An upgrade of jaild: a daemon of a former commit, with what it has under way, becomes one of now, and not back."""

from __future__ import annotations

import compileall
import contextlib
import sqlite3
import subprocess
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from jaild.adapters.sqlite import SCHEMA
from jaild.v1 import jails_pb2
from tests.conftest import LINUX_HOST
from tests.e2e.client import until
from tests.e2e.conftest import furnish
from tests.e2e.node import CHECKOUT, Node, surroundings
from tests.e2e.pair import Pair, paired, reaches
from tests.e2e.test_migration import ballast, none_is_lost, numbers, writer

pytestmark = pytest.mark.real("git", "git history", *LINUX_HOST)
# Before logs to syslog, jails as targets of Salt, and parts of logs.
FORMER = "36e164be0f8ae2d9bb8dd20e981496c2a6157678"
STAGED = "web/2"


@pytest.fixture(scope="module")
def former(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That jaild."""
    asked = ["git", "-C", str(CHECKOUT), "archive", FORMER, "jaild"]
    done = subprocess.run(asked, stdout=subprocess.PIPE, check=True)
    folder = tmp_path_factory.mktemp("former")
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    compileall.compile_dir(folder, quiet=1)
    return folder


@pytest.fixture
def pair(former: Path, workshop: Path) -> Iterator[Pair]:
    with paired(code=former) as made:
        furnish(made.alpha.api, workshop)
        yield made
        for node in (made.alpha, made.beta):
            for name in node.api.names_of_jails():
                node.api.delete(name)


def runs_on(node: Node, processes: list[int]) -> bool:
    """Say whether one of its processes, the first, is there still: what that starts comes and goes."""
    return bool({*processes} & {*node.jail_processes("edge-1")})


def upgrade(node: Node) -> None:
    """Restart the daemon as a package's upgrade does, with the code of now."""
    node.terminate()
    node.code = CHECKOUT
    node.start()


def test_a_former_daemons_migration_is_ended_by_the_one_of_now_and_nothing_of_its_state_is_lost(pair: Pair) -> None:
    alpha, beta = pair.alpha, pair.beta
    alpha.api.create("edge-1", writer())
    until(lambda: reaches(alpha, "edge-1", beta))
    processes = alpha.jail_processes("edge-1")
    ballast(pair, "edge-1", mebibytes=8)
    acknowledged = len(numbers(alpha, "edge-1"))
    operation = alpha.api.migrate_begin("edge-1", "beta")
    assert alpha.api.until_phase(operation, "seed") == "seed"
    upgrade(alpha)
    assert runs_on(alpha, processes)  # before its freeze: the jail served all the while
    alpha.api.done(operation)
    none_is_lost(pair, beta, "edge-1", acknowledged)
    processes = beta.jail_processes("edge-1")
    upgrade(beta)
    assert runs_on(beta, processes)
    assert beta.api.jail("edge-1").state == jails_pb2.Jail.STATE_RUNNING
    assert [told for node in (alpha, beta) for told in node.api.info().repairs if "cannot be read" in told] == []
    until(lambda: reaches(beta, "edge-1", alpha))
    beta.api.migrate("edge-1", "alpha")
    none_is_lost(pair, alpha, "edge-1", acknowledged)
    alpha.api.deploy("edge-1", STAGED)


def test_a_database_of_a_later_jaild_is_refused_while_the_jails_run_on(pair: Pair) -> None:
    alpha = pair.alpha
    alpha.api.create("edge-1", writer())
    upgrade(alpha)
    processes = alpha.jail_processes("edge-1")
    alpha.terminate()
    path = alpha.folder / "state/jaild.db"

    def set_schema(number: int) -> None:
        with contextlib.closing(sqlite3.connect(path)) as store:
            store.execute(f"pragma user_version={number}")

    set_schema(SCHEMA + 1)
    before = path.read_bytes()
    done = subprocess.run(
        alpha.argv(), cwd=CHECKOUT, env=surroundings(), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "STORE_TOO_NEW" in done.stderr
    assert path.read_bytes() == before
    assert runs_on(alpha, processes)
    set_schema(SCHEMA)
    assert alpha.start().jail("edge-1").state == jails_pb2.Jail.STATE_RUNNING
