"""The proof beside the linker of this machine: what the one passes the other starts, what it refuses is not started.

A base is made of this machine's own C library, linker and ldconfig(8); releases are compiled. Each program is started
in it, after jaild's own call of ldconfig.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from jaild.adapters.files import elf
from jaild.model.etc import regenerate
from jaild.model.etc.tree import Entry, Kind
from jaild.model.layers.compatibility import check
from jaild.model.layers.libraries import Start, own_folders
from jaild.model.problems import Problem, errors
from tests import clibrary
from tests.clibrary import compiled
from tests.conftest import SYSTEM_PATH

pytestmark = pytest.mark.real("Linux", "gcc", "ldconfig", "chroot", "unshare")

CHROOT, UNSHARE, LDCONFIG = (shutil.which(name, path=SYSTEM_PATH) or name for name in ("chroot", "unshare", "ldconfig"))


@dataclass
class Tree:
    """A base, and a release at /usr/local of it."""

    root: Path
    build: Path
    variables: dict[str, str] = field(default_factory=dict)
    mount_point: str = "/usr/local"

    def library(self, path: str, name: str, *arguments: str, gives: str = "f", needs: str = "") -> None:
        """Make one of the release that defines a function, and calls another (`needs`)."""
        clibrary.library(self.place(path), name, *arguments, gives=gives, needs=needs)

    def program(self, *arguments: str) -> None:
        clibrary.program(self.place("bin/program"), *arguments)

    def stub(self, name: str, *, gives: str = "f") -> str:
        """Return a library to link with, which is not in the release."""
        return str(clibrary.library(self.build / name, name, gives=gives))

    def place(self, path: str) -> Path:
        place = self.root / self.mount_point[1:] / path
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def link(self, path: str, target: str) -> None:
        self.place(path).symlink_to(target)

    def ldconfig(self) -> None:
        """As jaild does it for a generation."""
        lib = self.place("lib")
        folders = own_folders(self.mount_point, [path.name for path in lib.iterdir()] if lib.is_dir() else [])
        (command,) = regenerate.linker_cache({"ld.so.conf": Entry(kind=Kind.FILE)}, folders)
        subprocess.run([CHROOT, str(self.root), *command], check=True, env={})

    def starts(self, *under: str, path: str = "bin/program") -> bool:
        command = [
            UNSHARE,
            "--mount",
            "--pid",
            "--fork",
            "--root",
            str(self.root),
            "--mount-proc",
        ]  # $ORIGIN asks proc(5)
        command += [*under, f"{self.mount_point}/{path}"]
        ended = subprocess.run(command, env=self.variables, capture_output=True, text=True, check=False)
        return ended.returncode == 0

    def problems(self) -> tuple[Problem, ...]:
        release = elf.index(self.root / self.mount_point[1:], prefix=self.mount_point)
        base = elf.index(self.root, prefix="/")
        return check(release, base, mount_point=self.mount_point, start=Start.of(self.variables))


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    found = Tree(tmp_path / "root", tmp_path / "build")
    for path, source in clibrary.system().items():
        (found.root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, found.root / path)
    (found.root / "etc").mkdir()
    (found.root / "proc").mkdir()
    (found.root / "etc/ld.so.conf").write_text(clibrary.LD_SO_CONF)
    return found


Release = Callable[[Tree], None]


@dataclass(frozen=True)
class Case:
    release: Release
    starts: bool


CASES: list[Case] = []


def it(*, starts: bool) -> Callable[[Release], Release]:
    def register(release: Release) -> Release:
        CASES.append(Case(release, starts))
        return release

    return register


@it(starts=True)
def a_library_in_the_releases_own_lib(tree: Tree) -> None:
    tree.library("lib/libf.so.1", "libf.so.1")
    tree.program(tree.stub("libf.so.1"))


@it(starts=True)
def the_same_where_ld_so_conf_does_not_know_the_mount_point(tree: Tree) -> None:
    tree.mount_point = "/opt/app"
    a_library_in_the_releases_own_lib(tree)


@it(starts=True)
def a_library_through_a_link_of_its_soname(tree: Tree) -> None:
    tree.library("lib/libf.so.1.2", "libf.so.1")
    tree.link("lib/libf.so.1", "libf.so.1.2")
    tree.program(tree.stub("libf.so.1"))


@it(starts=False)
def a_library_without_the_link_of_its_soname(tree: Tree) -> None:
    tree.library("lib/libf.so.1.2", "libf.so.1")
    tree.program(tree.stub("libf.so.1"))


@it(starts=False)
def a_name_without_its_link_hides_the_one_in_the_next_folder(tree: Tree) -> None:
    tree.library("lib/libf.so.1.2", "libf.so.1")
    tree.library("lib64/libf.so.1", "libf.so.1")
    tree.program(tree.stub("libf.so.1"))


@it(starts=True)
def a_name_without_its_link_does_not_hide_the_one_in_the_linkers_own_folder(tree: Tree) -> None:
    tree.library("lib/libf.so.1.2", "libf.so.1")
    tree.program(stub := tree.stub("libf.so.1"))
    (libc,) = tree.root.glob("**/libc.so.6")
    shutil.copy(stub, libc.parent)


@it(starts=True)
def a_name_that_ldconfig_knows_by_another_library(tree: Tree) -> None:
    tree.library("lib/libf.so.1", "libother.so.1")
    tree.library("lib/libf.so.1.2", "libf.so.1", gives="g")
    tree.program(tree.stub("libf.so.1"))


@it(starts=False)
def a_library_that_ldconfig_passes_over_for_its_name(tree: Tree) -> None:
    tree.library("lib/plug.so", "plug.so")
    tree.program(tree.stub("plug.so"))


@it(starts=False)
def a_library_that_ldconfig_knows_by_another_soname(tree: Tree) -> None:
    tree.library("lib/libf.so.1", "libother.so.1")
    tree.program(tree.stub("libf.so.1"))


@it(starts=False)
def a_library_in_another_folder(tree: Tree) -> None:
    tree.library("private/libf.so.1", "libf.so.1")
    tree.program(tree.stub("libf.so.1"))


@it(starts=True)
def a_folder_of_ld_library_path(tree: Tree) -> None:
    a_library_in_another_folder(tree)
    tree.variables["LD_LIBRARY_PATH"] = "/nowhere:/usr/local/private"


@it(starts=True)
def a_preloaded_plug_in_brings_what_the_program_lacks(tree: Tree) -> None:
    tree.library("lib/libf.so.1", "libf.so.1", gives="another")
    tree.library("private/plug.so", "plug.so")
    tree.program(tree.stub("libf.so.1"), "-Wl,-z,now")
    tree.variables["LD_PRELOAD"] = "/usr/local/private/plug.so"


@it(starts=False)
def the_same_program_without_it(tree: Tree) -> None:
    a_preloaded_plug_in_brings_what_the_program_lacks(tree)
    tree.variables.clear()


@it(starts=True)
def a_preloaded_library_that_is_not_there(tree: Tree) -> None:
    a_library_in_the_releases_own_lib(tree)
    tree.variables["LD_PRELOAD"] = "libgone.so.1"


@it(starts=True)
def a_run_path_with_lib(tree: Tree) -> None:
    lib = elf.index(tree.root, prefix="/").lib
    tree.library(f"private/{lib}/libf.so.1", "libf.so.1")
    tree.program(tree.stub("libf.so.1"), "-Wl,-rpath,/usr/local/private/$LIB")


@it(starts=False)
def a_run_path_with_lib_that_means_another_folder(tree: Tree) -> None:
    tree.library("private/libs/libf.so.1", "libf.so.1")
    tree.program(tree.stub("libf.so.1"), "-Wl,-rpath,/usr/local/private/${LIB}")


@it(starts=True)
def a_run_path_from_the_programs_own_folder(tree: Tree) -> None:
    tree.library("private/libf.so.1", "libf.so.1")
    tree.program(tree.stub("libf.so.1"), "-Wl,-rpath,$ORIGIN/../private")


@it(starts=False)
def a_run_path_with_a_word_that_means_nothing(tree: Tree) -> None:
    tree.library("private/libf.so.1", "libf.so.1")
    tree.program(tree.stub("libf.so.1"), "-Wl,-rpath,$HERE/../private")


def origin_through_a_link(tree: Tree, folder_of_the_other: str) -> None:
    tree.library("real/libf.so.1", "libf.so.1", "-Wl,-rpath,$ORIGIN", tree.stub("libg.so.1", gives="g"), needs="g")
    tree.link("lib/libf.so.1", "../real/libf.so.1")
    tree.library(f"{folder_of_the_other}/libg.so.1", "libg.so.1", gives="g")
    tree.program(tree.stub("libf.so.1"), "-Wl,-rpath,/usr/local/lib", "-Wl,--allow-shlib-undefined")


@it(starts=False)
def origin_of_a_linked_library_is_not_the_files_folder(tree: Tree) -> None:
    origin_through_a_link(tree, "real")


@it(starts=True)
def origin_of_a_linked_library_is_the_links_folder(tree: Tree) -> None:
    origin_through_a_link(tree, "lib")


@it(starts=True)
def two_dots_behind_a_link_to_a_folder_lead_out_of_where_it_leads(tree: Tree) -> None:
    tree.library("a/b/plugins/keep.so", "keep.so")
    tree.link("plugins", "a/b/plugins")
    tree.library("a/b/libf.so.1", "libf.so.1")
    tree.program(tree.stub("libf.so.1"), "-Wl,-rpath,/usr/local/plugins/..")


def run_paths_down_a_chain(tree: Tree, tag: str) -> None:
    tree.library(
        "one/libf.so.1", "libf.so.1", "-Wl,-rpath,$ORIGIN/../two", tag, tree.stub("libg.so.1", gives="g"), needs="g"
    )
    tree.library("two/libg.so.1", "libg.so.1", tree.stub("libh.so.1", gives="h"), gives="g", needs="h")
    tree.library("two/libh.so.1", "libh.so.1", gives="h")
    tree.program(tree.stub("libf.so.1"), "-Wl,-rpath,$ORIGIN/../one", "-Wl,--allow-shlib-undefined")


@it(starts=True)
def an_rpath_of_a_library_serves_what_its_libraries_need(tree: Tree) -> None:
    run_paths_down_a_chain(tree, "-Wl,--disable-new-dtags")


@it(starts=False)
def a_runpath_of_a_library_does_not(tree: Tree) -> None:
    run_paths_down_a_chain(tree, "-Wl,--enable-new-dtags")


@it(starts=False)
def a_weak_reference_to_a_version_that_is_gone(tree: Tree) -> None:
    tree.build.mkdir()
    script = tree.build / "versions"
    script.write_text("OLD { global: f; }; NEW { global: g; } OLD;")
    source = "int f(void) { return 0; }\nint g(void) { return 0; }"
    arguments = ("-shared", "-fPIC", "-Wl,-soname,libf.so.1", f"-Wl,--version-script={script}")
    newer = compiled(tree.build / "libf.so.1", source, *arguments)
    script.write_text("OLD { global: f; };")
    compiled(tree.place("lib/libf.so.1"), "int f(void) { return 0; }", *arguments)
    weak = "int g(void) __attribute__((weak));\nint main(void) { return g ? g() : 0; }"
    compiled(tree.place("bin/program"), weak, str(newer), "-Wl,-z,now")


@it(starts=False)
def a_library_that_lacks_what_nobody_has(tree: Tree) -> None:
    tree.library("lib/libf.so.1", "libf.so.1", "-Wl,-z,now", needs="g")
    tree.program(tree.stub("libf.so.1"))


@it(starts=True)
def a_library_that_lacks_what_its_program_has(tree: Tree) -> None:
    tree.library("lib/libf.so.1", "libf.so.1", "-Wl,-z,now", needs="g")
    source = "int f(void);\nint g(void) { return 0; }\nint main(void) { return f(); }"
    compiled(tree.place("bin/program"), source, tree.stub("libf.so.1"), "-rdynamic")


def a_variable(tree: Tree, *exports: str, has: str) -> None:
    """A program that has a copy of a library's variable (R_*_COPY), and a release with a library that has another."""
    tree.build.mkdir()
    script = tree.build / "versions"
    script.write_text("ONE { global: v; w; };")
    arguments = ("-shared", "-fPIC", "-Wl,-soname,libf.so.1", *(export.format(script) for export in exports))
    newer = compiled(tree.build / "libf.so.1", "int v = 1;", *arguments)
    compiled(tree.place("lib/libf.so.1"), f"int {has} = 1;", *arguments)
    compiled(tree.place("bin/program"), "extern int v;\nint main(void) { return v - 1; }", str(newer), "-no-pie")


@it(starts=True)
def a_variable_of_a_library(tree: Tree) -> None:
    a_variable(tree, has="v")


@it(starts=False)
def a_variable_that_its_library_lost(tree: Tree) -> None:
    a_variable(tree, has="w")


@it(starts=False)
def a_variable_that_a_version_lost(tree: Tree) -> None:
    a_variable(tree, "-Wl,--version-script={}", has="w")


@pytest.mark.parametrize("case", CASES, ids=[case.release.__name__ for case in CASES])
def test_what_the_proof_passes_starts_and_what_it_refuses_does_not(tree: Tree, case: Case) -> None:
    case.release(tree)
    tree.ldconfig()
    assert tree.starts() is case.starts
    assert (not errors(tree.problems())) is case.starts, tree.problems()


def test_without_ldconfig_the_linker_does_not_know_of_the_releases_lib(tree: Tree) -> None:
    a_library_in_the_releases_own_lib(tree)
    assert not tree.starts()
    (tree.root / "sbin/ldconfig").unlink()
    assert [problem.code for problem in tree.problems()] == ["MISSING_LIBRARY"]


def test_a_library_for_some_cpus_only_is_refused_since_weaker_hosts_do_not_find_it(tree: Tree) -> None:
    tree.library("lib/glibc-hwcaps/x86-64-v2/libf.so.1", "libf.so.1")
    tree.program(tree.stub("libf.so.1"))
    tree.ldconfig()
    (program,) = elf.index(tree.place("bin"), prefix="/usr/local/bin").files
    assert not tree.starts(program.interpreter, "--glibc-hwcaps-mask", "none")
    (problem,) = errors(tree.problems())
    assert problem.message.endswith("needs libf.so.1, which is there for some CPUs only")
    tree.library("lib/libf.so.1", "libf.so.1")
    tree.ldconfig()
    assert tree.starts(program.interpreter, "--glibc-hwcaps-mask", "none")
    assert errors(tree.problems()) == ()


def test_a_library_for_better_cpus_is_looked_at_as_their_hosts_find_it(tree: Tree) -> None:
    tree.library("lib/libf.so.1", "libf.so.1")
    tree.library("lib/glibc-hwcaps/x86-64-v2/libf.so.1", "libf.so.1", gives="another")
    tree.program(tree.stub("libf.so.1"), "-Wl,-z,now")
    tree.ldconfig()
    (program,) = elf.index(tree.place("bin"), prefix="/usr/local/bin").files
    assert tree.starts(program.interpreter, "--glibc-hwcaps-mask", "none")
    assert not tree.starts()
    (problem,) = errors(tree.problems())
    assert (problem.code, problem.evidence[0]) == ("MISSING_SYMBOL", "program needs f")
    assert "x86-64-v2" in problem.evidence[1]
