"""A plug-in with an executable stack, on the real bases of the demo: Debian 12 loads it, Debian 13 does not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from jaild.adapters.files import elf
from jaild.model.layers.compatibility import check
from tests import clibrary
from tests.conftest import LINUX_HOST
from tests.demo.assets import prepare
from tests.demo.programs import environment, run

pytestmark = [pytest.mark.real(*LINUX_HOST, "gcc", "chroot"), pytest.mark.timeout(900)]

OPENS = """
#include <dlfcn.h>
int main(int count, char **names) { return dlopen(names[1], RTLD_NOW) == 0; }
"""


def test_a_plug_in_with_an_executable_stack_is_told_where_dlopen_refuses_it_and_starts_as_a_needed_library(
    tmp_path: Path,
) -> None:
    assets = prepare()
    told, opened, started = [], [], []
    for base in (assets.old_base, assets.new_base):
        tree = tmp_path / base.name
        (tree / "usr/local").mkdir(parents=True)
        run(["bsdtar", "-xpf", str(base.archive), "-C", str(tree)])
        release = tree / "usr/local"
        clibrary.library(release / "lib/plug.so", "plug.so", "-z", "execstack")
        needed = clibrary.library(release / "lib/libneeded.so.1", "libneeded.so.1", "-z", "execstack")
        clibrary.compiled(release / "bin/opens", OPENS)
        clibrary.program(release / "bin/needs", str(needed), "-Wl,-rpath,/usr/local/lib")

        def status(*command: str, tree: Path = tree) -> int:
            return subprocess.run(["chroot", str(tree), *command], env=environment(), check=False).returncode

        opened.append(status("/usr/local/bin/opens", "/usr/local/lib/plug.so"))
        started.append(status("/usr/local/bin/needs"))
        problems = check(elf.index(release, prefix="/usr/local"), elf.index(tree, prefix="/"), mount_point="/usr/local")
        told.append([(problem.code, problem.subject) for problem in problems])
    assert opened == [0, 1]
    assert started == [0, 0]
    assert told == [[], [("EXECUTABLE_STACK", "/usr/local/lib/plug.so")]]
