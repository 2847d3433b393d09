"""Snapshots by a schedule and by hand, and restores from them, on a real daemon and real ZFS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from jaild.model.errors import FailedPreconditionError, NotFoundError
from jaild.v1 import common_pb2, jails_pb2, snapshots_pb2
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.client import Client, metadata, refused, response, until
from tests.e2e.node import Node

pytestmark = pytest.mark.real(*LINUX_HOST)
VOLUME = "{db: {path: /var/db/x}}"


@pytest.fixture
def jail(node: Node) -> Iterator[str]:
    """A running jail with a volume, gone afterwards."""
    node.api.create("edge-1", trees.spec("tiny-1", "web/1", volumes=VOLUME))
    yield "edge-1"
    node.api.delete("edge-1")


def write(api: Client, jail: str, text: str) -> None:
    api.sh(jail, f"mkdir -p /var/app && echo {text} >/var/app/state && echo {text} >/var/db/x/rows")


def read(api: Client, jail: str) -> list[str]:
    return api.sh(jail, "cat /var/app/state /var/db/x/rows").split()


def listed(api: Client, jail: str) -> dict[str, str]:
    request = snapshots_pb2.ListJailSnapshotsRequest(parent=f"jails/{jail}")
    return {s.name.rpartition("/")[2]: s.purpose for s in api.call(api.snapshots.ListJailSnapshots, request).snapshots}


def take(api: Client, jail: str, name: str) -> None:
    request = snapshots_pb2.TakeJailSnapshotRequest(parent=f"jails/{jail}", snapshot_id=name)
    api.done(api.call(api.snapshots.TakeJailSnapshot, request))


def restore(api: Client, jail: str, snapshot: str, **more: Any) -> Any:
    request = snapshots_pb2.RestoreJailRequest(name=f"jails/{jail}", snapshot=snapshot, **more)
    return api.done(api.call(api.snapshots.RestoreJail, request))


def test_data_comes_back_from_a_snapshot_and_the_restore_is_undone(node: Node, jail: str) -> None:
    api = node.api
    write(api, jail, "old")
    take(api, jail, "mine")
    write(api, jail, "new")
    api.sh(jail, "echo x >/var/app/later && mkfifo /var/app/pipe")
    node.zfs("snapshot", "-r", f"{node.pool}/jaild/jails/{jail}@autosnap_1")
    planned = response(restore(api, jail, "mine", validate_only=True), common_pb2.Plan())
    assert planned.steps[0].startswith("stop generation 1")
    assert read(api, jail) == ["new", "new"]
    about = metadata(restore(api, jail, "mine"))
    assert about.HasField("downtime")
    assert read(api, jail) == ["old", "old"]
    assert api.sh(jail, "ls /var/app").split() == ["state"]
    assert api.jail(jail).state == jails_pb2.Jail.STATE_RUNNING
    assert {"mine", "autosnap_1", about.facts["before"]} <= set(listed(api, jail))
    restore(api, jail, about.facts["before"])
    assert read(api, jail) == ["new", "new"]
    assert not [name for name in node.datasets() if "/rehearsals/" in name]


def test_a_path_comes_back_beside_the_running_jail(node: Node, jail: str) -> None:
    api = node.api
    write(api, jail, "old")
    take(api, jail, "mine")
    write(api, jail, "new")
    plan = response(restore(api, jail, "mine", path="/var/app", validate_only=True), common_pb2.Plan())
    assert [problem.code for problem in plan.problems] == ["JAIL_RUNS_ON"]
    pids = node.jail_processes(jail)
    restore(api, jail, "mine", path="/var/app")
    assert (read(api, jail), node.jail_processes(jail)) == (["old", "new"], pids)
    with refused(NotFoundError, "PATH_NOT_IN_SNAPSHOT"):
        restore(api, jail, "mine", path="/var/none")


def test_the_schedule_takes_them_by_itself_and_leaves_those_of_others(node: Node, jail: str) -> None:
    api = node.api
    node.zfs("snapshot", "-r", f"{node.pool}/jaild/jails/{jail}@autosnap_2")
    api.configure(jail, trees.spec("tiny-1", "web/1", volumes=VOLUME, snapshots="{every: 60s, keep: {last: 1}}"))
    until(lambda: api.jail(jail).snapshots.count == 1)
    there = listed(api, jail)
    assert sorted(there.values()) == ["", "safety", "schedule"]
    request = snapshots_pb2.DeleteJailSnapshotRequest(name=f"jails/{jail}/snapshots/autosnap_2")
    with refused(FailedPreconditionError, "SNAPSHOT_NOT_OURS"):
        api.done(api.call(api.snapshots.DeleteJailSnapshot, request))
    (own,) = [tag for tag, purpose in there.items() if purpose == "schedule"]
    whole = [name for name in node.datasets() if name.endswith(f"@{own}")]
    assert len(whole) == 3  # the jail's own, data, the volume
