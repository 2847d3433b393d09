"""A tool and an administrator that snapshot, hold and clone what jaild has, on real ZFS: theirs stays, jails go on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import CalledProcessError

import pytest

from jaild.model.errors import FailedPreconditionError
from jaild.v1 import common_pb2
from tests.conftest import LINUX_HOST
from tests.e2e.client import refused, response
from tests.e2e.conftest import furnish
from tests.e2e.node import Node
from tests.e2e.pair import Pair, paired
from tests.e2e.test_migration import none_is_lost, writer

pytestmark = pytest.mark.real(*LINUX_HOST)


@pytest.fixture(scope="module")
def pair(workshop: Path) -> Iterator[Pair]:
    with paired() as made:
        furnish(made.alpha.api, workshop)
        yield made


@pytest.fixture
def jail(pair: Pair) -> Iterator[str]:
    """A jail on alpha that writes numbers; gone from both hosts afterwards."""
    pair.alpha.api.create("edge-1", writer())
    yield "edge-1"
    for node in (pair.alpha, pair.beta):
        for name in node.api.names_of_jails():
            node.api.delete(name)


def dataset(node: Node, jail: str, path: str = "") -> str:
    return f"{node.pool}/jaild/jails/{jail}{path}"


def theirs(node: Node, jail: str) -> list[str]:
    return [name for name in node.datasets() if f"/jails/{jail}" in name and "@" in name and "tool" in name]


@contextmanager
def snapshotting(node: Node, jail: str) -> Iterator[None]:
    """Snapshot a jail's datasets as often as can be."""
    end = threading.Event()

    def work() -> None:
        for number in range(1000):
            if end.wait(0.3):
                return
            with suppress(CalledProcessError):  # it is not here yet
                node.zfs("snapshot", "-r", f"{dataset(node, jail)}@mig-tool{number}")

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def test_a_tool_that_snapshots_both_hosts_all_the_time_stops_no_move_and_keeps_what_it_made(
    pair: Pair, jail: str
) -> None:
    alpha, beta = pair.alpha, pair.beta
    with snapshotting(alpha, jail), snapshotting(beta, jail):
        alpha.api.migrate(jail, "beta")
        none_is_lost(pair, beta, jail, 1)
        made = theirs(alpha, jail)
        assert made
        assert theirs(beta, jail)
        alpha.zfs("hold", "backup", f"{alpha.pool}/jaild{made[0]}")
        beta.api.migrate(jail, "alpha")
        none_is_lost(pair, alpha, jail, 1)
        alpha.api.deploy(jail, "web/1", force=True)
    assert set(made) <= set(theirs(alpha, jail))
    alpha.zfs("release", "backup", f"{alpha.pool}/jaild{made[0]}")


def test_what_others_keep_is_told_before_a_jail_is_stopped(pair: Pair, jail: str) -> None:
    alpha = pair.alpha
    alpha.zfs("snapshot", f"{dataset(alpha, jail, '/data')}@tool")
    alpha.zfs("clone", f"{dataset(alpha, jail, '/data')}@tool", f"{alpha.pool}/theirs")
    plan = response(alpha.api.delete(jail, validate_only=True), common_pb2.Plan())
    assert [problem.code for problem in plan.problems] == ["ONLY_COPY", "SNAPSHOTS_IN_USE"]
    with refused(FailedPreconditionError, "SNAPSHOTS_IN_USE") as caught:
        alpha.api.delete(jail)
    assert f"{alpha.pool}/theirs" in str(caught.value)
    none_is_lost(pair, alpha, jail, 1)
    alpha.zfs("destroy", f"{alpha.pool}/theirs")
    alpha.zfs("hold", "backup", f"{dataset(alpha, jail, '/data')}@tool")
    with refused(FailedPreconditionError, "SNAPSHOTS_IN_USE") as caught:
        alpha.api.delete(jail)
    assert "1 holds" in str(caught.value)
    none_is_lost(pair, alpha, jail, 1)
    alpha.zfs("release", "backup", f"{dataset(alpha, jail, '/data')}@tool")


def test_what_was_written_to_an_old_copy_is_refused_and_kept(pair: Pair, jail: str) -> None:
    alpha, beta = pair.alpha, pair.beta
    alpha.api.migrate(jail, "beta")
    data = dataset(alpha, jail, "/data")
    for words in (("set", "readonly=off", dataset(alpha, jail)), ("set", "readonly=off", data)):
        alpha.zfs(*words)
    alpha.zfs("mount", dataset(alpha, jail))
    alpha.zfs("mount", data)
    alpha.seen(f"jails/{jail}/data/theirs").write_text("not to be lost")
    alpha.zfs("snapshot", f"{data}@tool")
    plan = response(beta.api.done(beta.api.migrate_begin(jail, "alpha", validate_only=True)), common_pb2.Plan())
    assert "COPY_MODIFIED" in [problem.code for problem in plan.problems]
    with refused(FailedPreconditionError, "PLAN_REFUSED"):
        beta.api.migrate(jail, "alpha")
    none_is_lost(pair, beta, jail, 1)
    assert alpha.seen(f"jails/{jail}/data/theirs").read_text() == "not to be lost"
