"""Where the bench measures: namespaces of its own, which end with all that runs and is mounted in them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.demo.hosts import CHECKOUT, Host
from tests.demo.programs import environment

_CGROUPS = Path("/sys/fs/cgroup")
_INIT = CHECKOUT / "tests/demo/init.py"


@contextmanager
def room() -> Iterator[Host]:
    """Make mount, network, process and host name spaces; process 1 in there ends with this process, however that ends.

    No network namespace has a name: the host's `namespace` is empty.
    """
    argv = ["unshare", "--mount", "--propagation=slave", "--net", "--uts", "--pid", "--fork", "--mount-proc"]
    keeper = subprocess.Popen(
        [*argv, sys.executable, "-I", str(_INIT), "bench"],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    host = Host(name="bench", namespace="", address="", keeper=keeper)
    try:
        if keeper.stdout is None or keeper.stdout.readline() != "ready\n":
            raise RuntimeError(f"the namespaces of the bench could not be made: status {keeper.poll()}")
        yield host
    finally:
        host.end()


def remove_cgroups(parent: str) -> None:
    """Remove the control groups below `parent` (a name at the top of every hierarchy), which outlive namespaces."""
    for top in (_CGROUPS / parent, *_CGROUPS.glob(f"*/{parent}")):
        if top.is_dir():
            folders = [path for path in top.rglob("*") if path.is_dir()]
            for folder in [*sorted(folders, reverse=True), top]:
                folder.rmdir()
