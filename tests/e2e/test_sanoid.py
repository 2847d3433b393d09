"""sanoid, as Debian has it, on the datasets of a jail: it drops its own snapshots alone, and they can be restored."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from jaild.v1 import snapshots_pb2
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.client import Client, until
from tests.e2e.node import Node
from tests.patience import patient

pytestmark = pytest.mark.real(*LINUX_HOST, "sanoid", "perl")
VOLUME = "{db: {path: /var/db/x}}"
CONFIG = """\
[{dataset}]
  use_template = small
  recursive = zfs
[template_small]
  frequently = 0
  hourly = 1
  daily = 0
  monthly = 0
  yearly = 0
  autosnap = yes
  autoprune = yes
"""
# zfs-fuse's `zfs get` has no -t, without which sanoid sees no snapshot at all.
ZFS = """\
#!/bin/sh
case "$*" in
"get -Hrpt snapshot creation") exec {zfs} get -Hrp -o name,property,value,source creation | grep '^[^\t]*@' ;;
esac
exec {zfs} "$@"
"""
# Its clock alone ages a snapshot. The prototype: else `time - $start` is a call with an argument.
LATER = "BEGIN {{ *CORE::GLOBAL::time = sub () {{ CORE::time() + {seconds} }} }} do '{program}'; die $@ if $@"


class Sanoid:
    """Run as cron does, for one jail."""

    def __init__(self, node: Node, dataset: str, folder: Path) -> None:
        self._node = node
        self._folder = folder
        programs = folder / "programs"
        programs.mkdir(parents=True)
        (programs / "zfs").write_text(ZFS.format(zfs=shutil.which("zfs")))
        (programs / "zfs").chmod(0o755)
        (folder / "sanoid.conf").write_text(CONFIG.format(dataset=dataset))
        self._path = f"{programs}:{os.environ['PATH']}"

    def run(self, seconds: int = 0) -> str:
        """Run it, with a clock that is so far ahead."""
        program = LATER.format(seconds=seconds, program=shutil.which("sanoid"))
        places = [f"--configdir={self._folder}", f"--cache-dir={self._folder}/c", f"--run-dir={self._folder}/r"]
        argv = ["perl", "-e", program, "--", *places, "--cron", "--verbose", "--force-update"]
        return self._node.run("env", f"PATH={self._path}", *argv, timeout=patient(60.0))


@pytest.fixture
def jail(node: Node) -> Iterator[str]:
    """A running jail with a volume, gone afterwards."""
    node.api.create("edge-1", trees.spec("tiny-1", "web/1", volumes=VOLUME))
    yield "edge-1"
    node.api.delete("edge-1")


def write(api: Client, text: str) -> None:
    api.sh("edge-1", f"echo {text} >/var/state && echo {text} >/var/db/x/rows")


def read(api: Client) -> list[str]:
    return api.sh("edge-1", "cat /var/state /var/db/x/rows").split()


def snapshots(node: Node, prefix: str) -> dict[str, set[str]]:
    """By tag, the parts of the jail that have such a snapshot."""
    found: dict[str, set[str]] = {}
    for name in node.datasets():
        dataset, _, tag = name.removeprefix("/jails/edge-1").partition("@")
        if tag.startswith(prefix) and name.startswith("/jails/edge-1"):
            found.setdefault(tag, set()).add(dataset)
    return found


ALL = {"", "/data", "/db"}


def test_a_jail_is_restored_to_a_snapshot_of_sanoid_which_prunes_its_own_alone(
    node: Node, jail: str, tmp_path: Path
) -> None:
    api = node.api
    sanoid = Sanoid(node, f"{node.pool}/jaild/jails/{jail}", tmp_path)
    api.configure(jail, trees.spec("tiny-1", "web/1", volumes=VOLUME, snapshots="{every: 60s, keep: {last: 1}}"))
    until(lambda: api.jail(jail).snapshots.count == 1)
    write(api, "old")
    sanoid.run()
    (theirs,) = snapshots(node, "autosnap_")
    assert snapshots(node, "autosnap_")[theirs] == ALL
    write(api, "new")
    request = snapshots_pb2.RestoreJailRequest(name=f"jails/{jail}", snapshot=theirs)
    api.done(api.call(api.snapshots.RestoreJail, request))
    assert read(api) == ["old", "old"]
    assert snapshots(node, "autosnap_") == {theirs: ALL}
    own = snapshots(node, "auto-") | snapshots(node, "before-")
    for hours in (3, 6):
        sanoid.run(seconds=hours * 3600)
    assert own.items() <= (snapshots(node, "auto-") | snapshots(node, "before-")).items()
    assert theirs not in snapshots(node, "autosnap_")
    assert snapshots(node, "autosnap_")
