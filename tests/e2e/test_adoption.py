"""Jails as iocage and Bastille lay them out, with a Linux userland, adopted on a real pool; daemons killed in it."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jaild.model.errors import FailedPreconditionError
from jaild.v1 import common_pb2, foreign_jails_pb2, jails_pb2
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.client import codes, refused, response, until
from tests.e2e.conftest import furnish
from tests.e2e.node import Node, hosted
from tests.e2e.pair import paired

pytestmark = pytest.mark.real(*LINUX_HOST)
LOOK = (
    "cat /var/db/shop /root/notes /home/ann/letter /etc/motd /etc/shop.conf /usr/local/version /usr/local/etc/shop.ini"
)
OWN = {
    "etc/motd": "the shop\n",
    "etc/shop.conf": "port=80\n",
    "usr/local/version": "version of old\n",
    "usr/local/serve": trees.SERVE,
    "usr/local/etc/shop.ini": "colour=blue\n",
    "var/db/shop": "old\n",
    "root/notes": "mine\n",
    "home/ann/letter": "dear\n",
    "opt/left": "behind\n",
}
SEEN = "old\nmine\ndear\nthe shop\nport=80\nversion of old\ncolour=blue\n"


class Old:
    """An old jail on a node's pool."""

    def __init__(self, node: Node, tool: str, name: str, dataset: str) -> None:
        self.node, self.tool, self.name, self.dataset = node, tool, name, f"{node.pool}/{dataset}"
        self.tool_root = mountpoint(node, f"{node.pool}/{tool}")
        self.root = mountpoint(node, self.dataset)

    def picture(self) -> str:
        """A word for all that is in its tree."""
        found = hashlib.sha256()
        top = self.node.seen(self.root)
        for path in sorted(top.rglob("*")):
            status = path.lstat()
            found.update(f"{path.relative_to(top)} {status.st_mode} {status.st_uid} {status.st_mtime_ns}\n".encode())
            found.update(path.read_bytes() if path.is_file() and not path.is_symlink() else b"")
        return found.hexdigest()

    def snapshots(self) -> list[str]:
        listed = self.node.zfs("list", "-H", "-t", "snapshot", "-r", "-o", "name", self.dataset).split()
        return [name.rpartition("@")[2] for name in listed]

    def adopt_begin(self, **how: Any) -> Any:
        request = foreign_jails_pb2.AdoptForeignJailRequest(
            tool=self.tool, foreign_name=self.name, jail_id=self.name, root=str(self.tool_root), **how
        )
        return self.node.api.call(self.node.api.foreign_jails.AdoptForeignJail, request)

    def adopt(self, **how: Any) -> Any:
        return self.node.api.done(self.adopt_begin(**how))

    def plan(self) -> common_pb2.Plan:
        found: common_pb2.Plan = response(self.adopt(validate_only=True), common_pb2.Plan())
        return found


def mountpoint(node: Node, dataset: str) -> Path:
    return Path(node.zfs("get", "-H", "-o", "value", "mountpoint", dataset).strip())


def lay(node: Node, folder: Path, files: dict[str, str]) -> None:
    top = node.seen(folder)
    for path, text in files.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text(text)


def destroyed(node: Node, dataset: str) -> bool:
    """Destroy it; zfs-fuse lets go of what was mounted a moment after its unmount."""
    try:
        node.zfs("destroy", "-R", dataset)
    except subprocess.CalledProcessError as error:
        return "does not exist" in error.stderr
    return True


def unpacked(node: Node, archive: Path, folder: Path) -> None:
    node.run("bsdtar", "-x", "-f", str(archive), "-C", str(folder))


@pytest.fixture(scope="module")
def node(workshop: Path) -> Iterator[Node]:
    with hosted(Node("adopts")) as made:
        furnish(made.api, workshop)
        yield made
        assert made.busy() == []


def laid(node: Node, workshop: Path, **keys: object) -> Old:
    """Lay an iocage out with the jail `web`, a clone of its release."""
    node.zfs("create", "-o", f"mountpoint={node.folder}/iocage", f"{node.pool}/iocage")
    for dataset in ("iocage/releases", "iocage/releases/1", "iocage/releases/1/root", "iocage/jails"):
        node.zfs("create", f"{node.pool}/{dataset}")
    release = f"{node.pool}/iocage/releases/1/root"
    unpacked(node, workshop / "tiny-1.tgz", mountpoint(node, release))
    node.zfs("snapshot", f"{release}@web")
    node.zfs("create", f"{node.pool}/iocage/jails/web")
    node.zfs("clone", f"{release}@web", f"{node.pool}/iocage/jails/web/root")
    old = Old(node, "iocage", "web", "iocage/jails/web/root")
    config = {
        "host_hostname": "web",
        "release": "1",
        "cloned_release": "1",
        "ip4": "inherit",
        "exec_start": "/bin/sh /usr/local/serve",
        "boot": 1,
        "depends": "db",
    } | keys
    lay(node, old.root, OWN)
    lay(node, old.root.parent, {"config.json": json.dumps(config), "fstab": ""})
    return old


@pytest.fixture
def iocage(node: Node, workshop: Path) -> Iterator[Old]:
    """The jail `web` of iocage."""
    yield laid(node, workshop)
    if "web" in node.api.names_of_jails():
        node.api.delete("web")
    until(lambda: destroyed(node, f"{node.pool}/iocage"))


@pytest.fixture
def bastille(node: Node, workshop: Path) -> Iterator[Old]:
    """The thin jail `shop`, which sees Bastille's release through links."""
    node.zfs("create", "-o", f"mountpoint={node.folder}/bastille", f"{node.pool}/bastille")
    for dataset in ("bastille/releases", "bastille/releases/1", "bastille/jails", "bastille/jails/shop"):
        node.zfs("create", f"{node.pool}/{dataset}")
    node.zfs("create", f"{node.pool}/bastille/jails/shop/root")
    prefix = mountpoint(node, f"{node.pool}/bastille")
    unpacked(node, workshop / "tiny-1.tgz", prefix / "releases/1")
    old = Old(node, "bastille", "shop", "bastille/jails/shop/root")
    release = 'ID=tiny\nVERSION_ID="1"\nNAME="Tiny"\n'
    accounts = {"etc/passwd": trees.PASSWD, "etc/group": trees.GROUP, "etc/os-release": release}
    lay(node, old.root, OWN | accounts)
    node.run("mkdir", str(old.root / ".bastille"))
    node.run("ln", "-s", "/.bastille/bin", str(old.root / "bin"))
    conf = f"""shop {{
  exec.start = '/bin/sh /usr/local/serve';
  host.hostname = shop;
  path = {old.root};
  mount.fstab = {prefix}/jails/shop/fstab;
  osrelease = 1;
  ip4 = inherit;
}}
"""
    fstab = f"{prefix}/releases/1 {old.root}/.bastille nullfs ro 0 0\n"
    lay(node, prefix / "jails/shop", {"jail.conf": conf, "fstab": fstab, "settings.conf": 'boot="off"\n'})
    yield old
    if "shop" in node.api.names_of_jails():
        node.api.delete("shop")
    until(lambda: destroyed(node, f"{node.pool}/bastille"))


def test_a_jail_of_iocage_runs_here_with_all_that_it_has_and_stays_as_it_was(node: Node, iocage: Old) -> None:
    before = iocage.picture()
    plan = iocage.plan()
    found = {problem.code: problem for problem in plan.problems}
    assert {"SETTING_NOT_ADOPTED", "OLD_JAIL_BOOTS", "FILES_NOT_ADOPTED"} == found.keys()
    assert list(found["FILES_NOT_ADOPTED"].evidence) == ["/opt"]
    assert iocage.snapshots() == []  # the plan touched nothing
    adopted = iocage.adopt()
    jail: jails_pb2.Jail = response(adopted, jails_pb2.Jail())
    assert jail.state == jails_pb2.Jail.STATE_RUNNING
    assert jail.base == "bases/tiny-1"
    assert jail.release.startswith("apps/web/releases/adopted-")
    assert node.api.sh("web", LOOK) == SEEN
    origin = node.zfs("get", "-H", "-o", "value", "origin", f"{node.pool}/jaild/jails/web/data").strip()
    assert origin == f"{iocage.dataset}@{iocage.snapshots()[0]}"
    node.api.sh("web", "echo new >/var/db/shop; sync")
    assert iocage.picture() == before
    node.api.delete("web")
    assert iocage.snapshots() == []


def test_a_thin_jail_of_bastille_runs_here_with_all_that_it_has(node: Node, bastille: Old) -> None:
    before = bastille.picture()
    bastille.adopt()
    assert node.api.sh("shop", LOOK) == SEEN
    assert node.api.sh("shop", "hostname").strip() == "shop"
    assert bastille.picture() == before


def test_an_adopted_jail_is_deployed_to_and_restarted_as_any_other(node: Node, iocage: Old) -> None:
    iocage.adopt()
    node.api.deploy("web", "web/1")
    assert node.api.sh("web", "cat /usr/local/version /var/db/shop") == "version 1\nold\n"


@pytest.mark.sampled
@pytest.mark.parametrize("phase", ["look", "release", "seal-release", "plan", "stage", "start", "commit"])
def test_a_daemon_that_is_killed_in_an_adoption_leaves_the_old_jail_whole(node: Node, iocage: Old, phase: str) -> None:
    before = iocage.picture()
    operation = iocage.adopt_begin()
    node.api.until_phase(operation, phase, "settle", "done")
    node.kill()
    node.start()
    assert iocage.picture() == before
    if "web" not in node.api.names_of_jails():
        assert iocage.snapshots() == []
        iocage.adopt()
    until(lambda: node.api.jail("web").state == jails_pb2.Jail.STATE_RUNNING)
    assert node.api.sh("web", LOOK) == SEEN


def test_a_spec_that_cannot_be_is_refused_with_nothing_made(node: Node, iocage: Old) -> None:
    before = node.datasets()
    spec = jails_pb2.SpecSource(yaml="base: tiny-1\nvolumes: {x: {path: /nowhere}}\n")
    with refused(FailedPreconditionError, "PLAN_REFUSED") as caught:
        iocage.adopt(spec=spec)
    assert "MOUNT_TARGET" in codes(caught.value)
    assert iocage.snapshots() == []
    assert node.datasets() == before


def test_an_adopted_jail_moves_to_another_host_without_what_it_was_made_of(workshop: Path) -> None:
    with paired() as pair:
        alpha, beta = pair.alpha, pair.beta
        furnish(alpha.api, workshop)
        old = laid(alpha, workshop, ip4="disable")
        old.adopt()
        alpha.api.migrate("web", "beta")
        assert beta.api.sh("web", LOOK) == SEEN
        assert beta.zfs("get", "-H", "-o", "value", "origin", f"{beta.pool}/jaild/jails/web/data").strip() == "-"
        alpha.api.delete("web")  # the copy that stayed
        until(lambda: destroyed(alpha, f"{alpha.pool}/iocage"))
