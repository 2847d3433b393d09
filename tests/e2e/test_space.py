"""What a jail may take of the pool, and of its host's memory: on a real ZFS and a real kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from jaild.model.errors import FailedPreconditionError
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.client import Client, codes, refused, until
from tests.e2e.conftest import furnish
from tests.e2e.node import Node, hosted
from tests.tars import folder

pytestmark = pytest.mark.real(*LINUX_HOST)

FILL = "dd if=/dev/urandom of=/var/fill bs=65536 count=320 conv=fsync 2>&1 && sync"  # 20 MiB


def test_jailds_own_snapshots_do_not_count_to_what_a_jail_may_write(api: Client) -> None:
    api.create("edge-1", trees.spec("tiny-1", "web/1", quota="30M"))
    for release in ("web/2", "web/1", "web/2", "web/1"):  # each with a safety snapshot of 20 MiB more
        api.sh("edge-1", FILL)
        api.deploy("edge-1", release)
        api.sh("edge-1", "rm /var/fill && sync")
    api.sh("edge-1", FILL)
    more = FILL.replace("/var/fill", "/var/more")
    said = api.exec("edge-1", "/bin/sh", "-c", more, check=False)
    assert "Disk quota exceeded" in said or "No space left" in said
    api.delete("edge-1")


def test_a_quota_below_what_is_used_is_refused_by_the_plan(api: Client, node: Node) -> None:
    api.create("edge-1", trees.spec("tiny-1", "web/1", quota="30M"))
    api.sh("edge-1", FILL)
    node.zfs("snapshot", f"{node.pool}/jaild/jails/edge-1/data@mine")  # which writes what zfs tells the size of
    with refused(FailedPreconditionError, "PLAN_REFUSED") as caught:
        api.configure("edge-1", trees.spec("tiny-1", "web/1", quota="10M"))
    assert codes(caught.value) == ["QUOTA_BELOW_USED"]
    assert api.generations("edge-1") == [1]
    api.configure("edge-1", trees.spec("tiny-1", "web/1", quota="25M"))
    api.delete("edge-1")


def test_run_is_writable_with_the_bases_folders_and_nothing_of_it_outlives_a_stop(api: Client, tmp_path: Path) -> None:
    archive = trees.base(tmp_path / "run-1.tgz", "1", None, folder("run"), folder("run/service"))
    api.import_base("run-1", archive)
    for base in ("tiny-1", "run-1"):  # one without a /run, which the import makes
        folders = ["lock", "service"] if base == "run-1" else ["lock"]
        api.create("edge-1", trees.spec(base, "web/1"))
        for _ in range(2):
            assert api.sh("edge-1", "ls -A /run").split() == folders
            api.sh("edge-1", "echo 1 > /run/service.pid && echo 1 > /run/lock/service")
            api.stop("edge-1")
            api.start("edge-1")
        api.delete("edge-1")


def test_what_the_pool_hands_on_keeps_no_jail_from_running(node: Node) -> None:
    given = {"exec": "off", "setuid": "off", "devices": "off", "atime": "on", "xattr": "off"}
    before = {prop: node.zfs("get", "-H", "-o", "value", prop, node.pool).strip() for prop in given}
    for prop, value in given.items():
        node.zfs("set", f"{prop}={value}", node.pool)
    node.terminate()
    repairs = node.start().info().repairs
    assert any("set atime=off, xattr=on on" in repair for repair in repairs)
    node.api.create("edge-1", trees.spec("tiny-1", "web/1"))
    found = node.zfs("get", "-H", "-o", "value", "atime,xattr", f"{node.pool}/jaild/jails/edge-1/data").split()
    assert (found, node.api.sh("edge-1", "id -u")) == (["off", "on"], "0\n")
    node.api.delete("edge-1")
    for prop, value in before.items():
        node.zfs("set", f"{prop}={value}", node.pool)


def test_in_a_full_pool_jails_are_stopped_and_deleted_and_a_deploy_is_refused_by_its_plan(workshop: Path) -> None:
    with hosted(Node("solo", pool_size="256M")) as node:
        api, reserve = node.api, "/reserve"
        furnish(api, workshop)
        for name in ("edge-1", "edge-2"):
            api.create(name, trees.spec("tiny-1", "web/1"))
        until(lambda: reserve in node.datasets())
        free = int(node.zfs("get", "-Hp", "-o", "value", "available", node.pool))
        node.zfs("create", "-o", f"reservation={free - (16 << 20)}", f"{node.pool}/others")
        api.exec("edge-1", "/bin/sh", "-c", "dd if=/dev/urandom of=/var/fill bs=65536; sync", check=False)
        for change in (
            lambda: api.deploy("edge-2", "web/2"),
            lambda: api.create("edge-3", trees.spec("tiny-1", "web/1")),
        ):
            with refused(FailedPreconditionError, "PLAN_REFUSED") as caught:
                change()
            assert "NO_SPACE" in codes(caught.value)
        assert (api.generations("edge-2"), reserve in node.datasets()) == ([1], True)
        api.stop("edge-2")
        assert reserve not in node.datasets()
        api.delete("edge-2")
        api.delete("edge-1")
        assert api.names_of_jails() == []
        until(lambda: is_reserved_again(node))
        api.create("edge-1", trees.spec("tiny-1", "web/1"))
        api.deploy("edge-1", "web/2")


def is_reserved_again(node: Node) -> bool:
    node.zfs("set", "jaild-test:again=1", node.pool)  # ends a transaction group: what was deleted is freed by them
    return "/reserve" in node.datasets()
