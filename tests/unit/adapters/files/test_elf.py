"""Reads this machine's own programs: /bin/ls and what it is linked with."""

from __future__ import annotations

import os
import platform
import shutil
import struct
from pathlib import Path

import msgspec
import pytest

from jaild.adapters.files import elf
from jaild.model.layers.compatibility import ElfFile, Libraries, check
from jaild.model.layers.libraries import Linker

FREEBSD = platform.system() == "FreeBSD"
# The C library, how its versions begin, two of them, and a function of it that ls calls.
LIBC, VERSION, VERSIONS, CALLED = (
    ("libc.so.7", "FBSD_", {"FBSD_1.0", "FBSDprivate_1.0"}, "fts_open")
    if FREEBSD
    else ("libc.so.6", "GLIBC_", {"GLIBC_2.4", "GLIBC_2.34"}, "opendir")
)
LS = Path(shutil.which("ls") or "/bin/ls").resolve()


def copy(source: Path, to: Path) -> Path:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, to)
    return to


@pytest.fixture
def release(tmp_path: Path) -> Path:
    copy(LS, tmp_path / "release/bin/ls")
    return tmp_path / "release"


@pytest.fixture
def base(tmp_path: Path, release: Path) -> Path:
    """A base with nothing but what ls is linked with, each library where this machine has it."""
    root = tmp_path / "base"
    (root / "etc").mkdir(parents=True)
    (root / "etc/ld.so.conf").write_text("include ld.so.conf.d/*.conf\n")
    (root / "etc/ld.so.conf.d").mkdir()
    folders = [
        p for p in (*Path("/lib").glob("*-linux-gnu*"), Path("/lib"), Path("/lib64"), Path("/usr/lib")) if p.is_dir()
    ]
    (root / "etc/ld.so.conf.d/all.conf").write_text("# all\n" + "".join(f"{folder}\n" for folder in folders))
    (ls,) = elf.index(release, prefix="/usr/local").files
    copy(Path(ls.interpreter), root / ls.interpreter[1:])
    wanted = list(ls.needed)
    for name in wanted:
        place = next((folder / name for folder in folders if (folder / name).exists()), None)
        assert place is not None, name
        library = copy(place, root / str(place)[1:])
        for other in elf.index(library.parent, prefix="/x").files:
            wanted.extend(n for n in other.needed if n not in wanted)
    return root


def file(libraries: Libraries, start: str) -> ElfFile:
    return next(f for f in libraries.files if f.path.rpartition("/")[2].startswith(start))


def test_a_program_tells_its_interpreter_libraries_and_versioned_symbols(release: Path) -> None:
    (ls,) = elf.index(release, prefix="/usr/local").files
    assert ls.path == "/usr/local/bin/ls"
    assert ls.interpreter.startswith("/lib")
    assert LIBC in ls.needed
    names = {name for version, names in ls.needs[LIBC].items() if version.startswith(VERSION) for name in names}
    assert {"malloc", CALLED} & names
    assert "__gmon_start__" not in names  # weak


def test_a_c_library_defines_versions_and_the_symbols_of_each(base: Path) -> None:
    libc = file(elf.index(base, prefix="/"), LIBC)
    assert libc.soname == LIBC
    assert set(libc.versions) >= VERSIONS
    assert CALLED in {name for names in libc.defines.values() for name in names}
    assert not VERSIONS & {name for names in libc.defines.values() for name in names}
    assert libc.needs == {}  # a base offers; what it needs is its own affair


def test_a_real_program_runs_on_the_base_it_was_built_for(release: Path, base: Path) -> None:
    assert check(elf.index(release, prefix="/usr/local"), elf.index(base, prefix="/"), mount_point="/usr/local") == ()


def test_a_real_program_misses_a_symbol_that_the_c_library_loses(release: Path, base: Path) -> None:
    index = elf.index(base, prefix="/")
    libc = file(index, LIBC)
    poorer = {version: tuple(n for n in names if n != CALLED) for version, names in libc.defines.items()}
    files = tuple(msgspec.structs.replace(f, defines=poorer) if f is libc else f for f in index.files)
    problems = check(
        elf.index(release, prefix="/usr/local"), msgspec.structs.replace(index, files=files), mount_point="/usr/local"
    )
    assert [f.code for f in problems] == ["MISSING_SYMBOL"]
    assert problems[0].evidence[0].startswith(f"ls needs {CALLED}@{VERSION}")


def test_a_real_program_misses_a_library_that_was_taken_away(release: Path, base: Path) -> None:
    index = elf.index(base, prefix="/")
    fewer = msgspec.structs.replace(index, files=tuple(f for f in index.files if f.soname != LIBC))
    problems = check(elf.index(release, prefix="/usr/local"), fewer, mount_point="/usr/local")
    assert "MISSING_LIBRARY" in {f.code for f in problems}
    assert f"ls needs {LIBC}" in {line for f in problems for line in f.evidence}


def test_the_folders_of_a_bases_cache_are_read_from_ld_so_conf_with_its_includes(tmp_path: Path) -> None:
    (tmp_path / "etc/ld.so.conf.d").mkdir(parents=True)
    (tmp_path / "etc/ld.so.conf").write_text(
        "/opt/first # here\ninclude /etc/ld.so.conf.d/*.conf\ninclude ld.so.conf\n"
    )
    (tmp_path / "etc/ld.so.conf.d/b.conf").write_text("/opt/b\n")
    (tmp_path / "etc/ld.so.conf.d/a.conf").write_text("/opt/a\n")
    assert elf.index(tmp_path, prefix="/").cached == ()  # neither is the cache there, nor what would make it
    (tmp_path / "sbin").mkdir()
    (tmp_path / "sbin/ldconfig").touch()
    index = elf.index(tmp_path, prefix="/")
    assert index.ldconfig
    assert index.cached == ("/opt/first", "/opt/a", "/opt/b", "/lib", "/usr/lib", "/lib64", "/usr/lib64")
    assert index.search_path == ("/lib", "/usr/lib", "/lib64", "/usr/lib64")


def test_the_linkers_own_folders_and_the_meaning_of_lib_are_read_off_the_linker(base: Path) -> None:
    index = elf.index(base, prefix="/")
    libc = file(index, LIBC)
    assert libc.path.rpartition("/")[0] in index.search_path
    assert index.lib == ("" if FREEBSD else index.search_path[0][1:])  # FreeBSD's linker has one $LIB, everywhere


def test_what_keeps_its_own_path_file_is_musl(tmp_path: Path) -> None:
    copy(LS, tmp_path / "lib/ld-musl-x86_64.so.1")
    assert elf.index(tmp_path, prefix="/").search_path == ("/lib", "/usr/local/lib", "/usr/lib")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/ld-musl-x86_64.path").write_text("/lib:/opt/lib\n/usr/lib\n")
    index = elf.index(tmp_path, prefix="/")
    assert (index.linker, index.search_path) == (Linker.MUSL, ("/lib", "/opt/lib", "/usr/lib"))


def test_a_releases_packages_may_name_more_folders(release: Path) -> None:
    (release / "libdata/ldconfig").mkdir(parents=True)
    (release / "libdata/ldconfig/llvm19").write_text("/usr/local/llvm19/lib\n")
    (release / "lib").mkdir()
    assert elf.index(release, prefix="/usr/local").search_path == ("/usr/local/lib", "/usr/local/llvm19/lib")


def test_a_freebsd_base_has_its_linkers_folders_and_those_of_its_ldconfig(tmp_path: Path) -> None:
    copy(LS, tmp_path / "libexec/ld-elf.so.1")
    index = elf.index(tmp_path, prefix="/")
    assert (index.linker, index.search_path, index.ldconfig) == (Linker.FREEBSD, ("/lib", "/usr/lib"), False)
    copy(LS, tmp_path / "sbin/ldconfig")
    (tmp_path / "etc/rc.d").mkdir(parents=True)
    (tmp_path / "etc/rc.d/ldconfig").touch()
    index = elf.index(tmp_path, prefix="/")
    assert (index.search_path, index.ldconfig) == (("/lib", "/usr/lib", "/usr/lib/compat"), True)
    with (tmp_path / "libexec/ld-elf.so.1").open("ab") as linker:  # as 13.5's own says
        linker.write(b"\0/lib/casper:/lib:/usr/lib\0")
    assert elf.index(tmp_path, prefix="/").search_path == ("/lib/casper", "/lib", "/usr/lib", "/usr/lib/compat")


def test_links_are_noted_and_not_followed_out_of_the_tree(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    (root / "lib").mkdir(parents=True)
    (root / "lib/libout.so").symlink_to("../../outside/libout.so")
    (root / "lib/libabs.so").symlink_to("/lib/libreal.so.1")
    (root / "lib64").symlink_to("lib")
    (root / "out").symlink_to(tmp_path / "outside")
    copy(LS, tmp_path / "outside/libout.so")
    index = elf.index(root, prefix="/usr/local")
    assert index.files == ()
    assert index.links["/usr/local/lib/libabs.so"] == "/lib/libreal.so.1"
    assert index.links["/usr/local/lib64"] == "/usr/local/lib"
    assert index.links["/usr/local/lib/libout.so"] == "/usr/outside/libout.so"


def test_a_library_is_found_through_a_folders_link(release: Path, base: Path) -> None:
    (ls,) = elf.index(release, prefix="/usr/local").files
    moved = base / "usr/lib/moved"
    (base / "lib").rename(base / "moved")
    (base / "usr/lib").mkdir(parents=True, exist_ok=True)
    (base / "moved").rename(moved)
    (base / "lib").symlink_to("usr/lib/moved")
    index = elf.index(base, prefix="/")
    assert index.links["/lib"] == "/usr/lib/moved"
    problems = check(elf.index(release, prefix="/usr/local"), index, mount_point="/usr/local")
    assert problems == (), ls


def test_what_is_no_elf_file_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/bin/sh\n")
    (tmp_path / "short").write_bytes(b"\x7fE")
    (tmp_path / "empty").touch()
    (tmp_path / "lib").mkdir()
    os.mkfifo(tmp_path / "fifo")
    assert elf.index(tmp_path, prefix="/opt/x") == Libraries(search_path=("/opt/x/lib",))


@pytest.mark.parametrize("size", [4, 40, 64, 1000, 20000])
def test_a_file_cut_short_is_a_warning_and_the_others_are_read(release: Path, size: int) -> None:
    (release / "bin/cut").write_bytes(LS.read_bytes()[:size])
    index = elf.index(release, prefix="/usr/local")
    assert [f.path for f in index.files] == ["/usr/local/bin/ls"]
    assert [(f.code, f.subject) for f in index.problems] == [("DAMAGED_ELF", "/usr/local/bin/cut")]


def test_scrambled_tables_end_in_a_warning_or_a_reading_and_never_in_a_crash(release: Path) -> None:
    whole = LS.read_bytes()
    (table,) = struct.unpack_from("<Q", whole, 0x28)
    for step in range(0, 30 * 64, 8):  # each field of the section headers in turn
        scrambled = bytearray(whole)
        scrambled[table + step : table + step + 8] = b"\xff\x00\xff\x7f\x01\x00\x00\x80"
        (release / "bin/ls").write_bytes(scrambled)
        index = elf.index(release, prefix="/usr/local")
        assert len(index.files) + len(index.problems) == 1


def test_a_program_without_section_headers_keeps_its_libraries_and_is_opaque(release: Path) -> None:
    headless = bytearray(LS.read_bytes())
    headless[0x28:0x30] = bytes(8)  # e_shoff
    headless[0x3C:0x40] = bytes(4)  # e_shnum, e_shstrndx
    (release / "bin/ls").write_bytes(headless)
    (ls,) = elf.index(release, prefix="/usr/local").files
    assert LIBC in ls.needed
    assert ls.opaque
