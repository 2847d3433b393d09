"""Package databases in a tree that anybody may have made: what is read of good ones, and that bad ones only lack."""

from __future__ import annotations

import random
import sqlite3
import struct
import subprocess
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from jaild.adapters.files import packagedbs
from jaild.model import bounds
from jaild.model.contents import rpmheader
from jaild.model.contents.index import Package
from jaild.model.contents.versions import Ecosystem
from jaild.model.errors import InvalidArgumentError
from tests.unit.model.contents.test_dpkg import STATUS

PKG = "var/db/pkg/local.sqlite"
RPM = "var/lib/rpm/rpmdb.sqlite"


def put(root: Path, path: str, content: str | bytes) -> Path:
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content.encode() if isinstance(content, str) else content)
    return place


def database(root: Path, path: str, *statements: str, wal: bool = False) -> Path:
    place = put(root, path, b"")
    with closing(sqlite3.connect(place)) as made:
        made.execute(f"pragma journal_mode={'wal' if wal else 'delete'}")
        for statement in statements:
            made.execute(statement)
        made.commit()
    return place


FOR_EVER = (
    "create view packages as with recursive n(x) as (select 1 union all select x + 1 from n)"
    " select x as id, 'a' as name, 'b' as version, 'c' as arch from n"
)
PKG_TABLES = (
    "create table packages (id integer primary key, origin text, name text, version text, arch text)",
    "create table files (path text primary key, sha256 text, package_id integer)",
    "insert into packages values (7, 'security/openssl', 'openssl', '3.0.13_1,1', 'FreeBSD:14:amd64')",
    "insert into packages values (9, 'x', 'odd', null, null)",
    "insert into files values ('/usr/local/lib/libssl.so.12', '1$ab', 7)",
    "insert into files values ('/usr/local/bin/openssl', '1$ab', 7)",
    "insert into files values ('/usr/local/lib/libodd.so', '1$ab', 9)",
)


def header(*entries: tuple[int, int, int, bytes]) -> bytes:
    """A header as rpm's database has it: (tag, type, count, data) each."""
    index, data = b"", b""
    for tag, kind, count, content in entries:
        index += struct.pack(">IIII", tag, kind, len(data), count)
        data += content
    return struct.pack(">II", len(entries), len(data)) + index + data


OPENSSL = header(
    (1000, 6, 1, b"openssl-libs\0"),
    (1001, 6, 1, b"3.0.7\0"),
    (1002, 6, 1, b"24.el9\0\0\0"),
    (1003, 4, 1, struct.pack(">I", 1)),
    (1022, 6, 1, b"x86_64\0"),
    (1044, 6, 1, b"openssl-3.0.7-24.el9.src.rpm\0\0\0"),
    (1116, 4, 2, struct.pack(">II", 1, 0)),
    (1117, 8, 2, b"libssl.so.3\0ct_log\0"),
    (1118, 8, 2, b"/etc/pki/\0/usr/lib64/\0"),
)


def test_dpkgs_packages_are_found_with_whose_a_library_is(tmp_path: Path) -> None:
    put(tmp_path, "var/lib/dpkg/status", STATUS)
    put(tmp_path, "var/lib/dpkg/info/libssl3:amd64.list", "/.\n/usr/lib/x86_64-linux-gnu/libssl.so.3\n/usr/share/doc\n")
    found = packagedbs.read(tmp_path)
    assert [each.name for each in found.packages] == ["libssl3", "adduser"]
    assert found.owners == {"/lib/x86_64-linux-gnu/libssl.so.3": 0}
    assert found.problems == ()


def test_an_image_without_dpkg_has_a_file_for_each_package(tmp_path: Path) -> None:
    put(tmp_path, "var/lib/dpkg/status.d/base", "Package: base-files\nVersion: 12.4\n")
    put(tmp_path, "var/lib/dpkg/status.d/base.md5sums", "Package: none\nVersion: 1\n")
    assert [each.name for each in packagedbs.read(tmp_path).packages] == ["base-files"]


def test_pkgs_packages_are_found_and_one_without_a_version_is_left_out(tmp_path: Path) -> None:
    database(tmp_path, PKG, *PKG_TABLES)
    found = packagedbs.read(tmp_path)
    openssl = Package(name="openssl", version="3.0.13_1,1", ecosystem=Ecosystem.PKG, arch="FreeBSD:14:amd64")
    assert found.packages == (openssl,)
    assert found.owners == {"/usr/local/lib/libssl.so.12": 0}
    assert found.problems == ()


def test_rpms_headers_are_read_with_epoch_release_and_files(tmp_path: Path) -> None:
    place = database(tmp_path, RPM, "create table Packages (hnum integer primary key, blob blob not null)", wal=True)
    with closing(sqlite3.connect(place)) as made:
        made.executemany("insert into Packages (blob) values (?)", [(OPENSSL,), (OPENSSL[:90],), ("text",)])
        made.commit()
    found = packagedbs.read(tmp_path)
    openssl = Package(
        name="openssl-libs", version="1:3.0.7-24.el9", ecosystem=Ecosystem.RPM, arch="x86_64", source="openssl"
    )
    assert found.packages == (openssl,)
    assert found.owners == {"/lib64/libssl.so.3": 0}
    assert found.problems == ("1 entries of rpm's database cannot be read",)


def test_a_form_of_rpms_database_that_is_not_read_is_told(tmp_path: Path) -> None:
    put(tmp_path, "var/lib/rpm/Packages", b"\0" * 100)
    (problem,) = packagedbs.read(tmp_path).problems
    assert "not read" in problem


@pytest.mark.real("rpm", "rpmbuild")
def test_a_database_that_rpm_itself_made_is_read(tmp_path: Path) -> None:
    spec = put(
        tmp_path,
        "lib.spec",
        "Name: libfind\nEpoch: 2\nVersion: 1.5\nRelease: 3\nSummary: x\nLicense: MIT\nBuildArch: noarch\n"
        "%description\nx\n%install\nmkdir -p %{buildroot}/opt/lib\ntouch %{buildroot}/opt/lib/libfind.so.1\n"
        "%files\n/opt/lib/libfind.so.1\n",
    )
    top, root = tmp_path / "top", tmp_path / "root"
    quiet: Callable[..., object] = lambda *argv: subprocess.run(argv, check=True, capture_output=True)  # noqa: E731
    quiet("rpmbuild", "--define", f"_topdir {top}", "-bb", str(spec))
    (made,) = (top / "RPMS").rglob("*.rpm")
    sqlite = ("--define", "_db_backend sqlite", "--define", "_dbpath /var/lib/rpm")
    quiet("rpm", "--root", str(root), *sqlite, "-i", "--nodeps", "--noscripts", str(made))
    found = packagedbs.read(root)
    assert [(each.name, each.version, each.arch) for each in found.packages] == [("libfind", "2:1.5-3", "noarch")]
    assert (found.owners, found.problems) == ({"/opt/lib/libfind.so.1": 0}, ())


@pytest.mark.parametrize(
    ("path", "statements"),
    [
        (PKG, (PKG_TABLES[0].replace("packages", "base"), "create view packages as select * from base", PKG_TABLES[1])),
        (
            PKG,
            (FOR_EVER, PKG_TABLES[1]),
        ),
        (PKG, ("create table packages (id, name)",)),
        (RPM, ("create table other (a)",)),
    ],
)
def test_a_database_of_another_shape_is_told_and_nothing_of_it_is_run(
    tmp_path: Path, path: str, statements: tuple[str, ...]
) -> None:
    database(tmp_path, path, *statements)
    found = packagedbs.read(tmp_path)
    assert found.packages == ()
    assert len(found.problems) == 1


def test_a_query_that_would_go_on_for_ever_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "QUERY_STEPS", 3000)
    many = "with recursive n(x) as (select 1 union all select x + 1 from n where x < 5000) select x from n"
    database(tmp_path, PKG, *PKG_TABLES[:2], f"insert into packages select x, 'o', 'n', '1', 'a' from ({many})")  # noqa: S608
    found = packagedbs.read(tmp_path)
    assert found.packages == ()
    assert "interrupted" in found.problems[0]


def test_scrambled_and_cut_databases_are_told_and_raise_nothing(tmp_path: Path) -> None:
    whole = {path: database(tmp_path, path, *PKG_TABLES).read_bytes() for path in (PKG,)}
    whole[RPM] = database(
        tmp_path,
        RPM,
        "create table Packages (hnum integer primary key, blob blob not null)",
        f"insert into Packages (blob) values (x'{OPENSSL.hex()}')",  # noqa: S608
    ).read_bytes()
    chance = random.Random(7)  # noqa: S311
    for path, content in whole.items():
        for _ in range(60):
            spoilt = bytearray(content[: chance.choice((len(content), chance.randrange(len(content))))])
            for _ in range(chance.randrange(40) if spoilt else 0):
                spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
            put(tmp_path, path, bytes(spoilt))
            packagedbs.read(tmp_path)
        put(tmp_path, path, content)


def test_a_header_is_read_or_refused_whatever_is_in_it() -> None:
    chance = random.Random(11)  # noqa: S311
    for _ in range(500):
        spoilt = bytearray(OPENSSL[: chance.choice((len(OPENSSL), chance.randrange(len(OPENSSL))))])
        for _ in range(chance.randrange(8) if spoilt else 0):
            spoilt[chance.randrange(len(spoilt))] = chance.choice((0, 1, 255, chance.randrange(256)))
        with suppress(InvalidArgumentError):
            rpmheader.read(bytes(spoilt))


def test_a_database_behind_a_link_or_beyond_the_bound_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = put(tmp_path, "outside", STATUS)
    root = tmp_path / "root"
    (root / "var/lib/dpkg").mkdir(parents=True)
    (root / "var/lib/dpkg/status").symlink_to(outside)
    found = packagedbs.read(root)
    assert (found.packages, len(found.problems)) == ((), 1)
    (root / "var/lib/dpkg/status").unlink()
    put(root, "var/lib/dpkg/status", STATUS)
    assert len(packagedbs.read(root).packages) == 2
    monkeypatch.setattr(bounds, "PACKAGE_DATABASE", 10)
    assert packagedbs.read(root).packages == ()
    monkeypatch.undo()
    monkeypatch.setattr(bounds, "PACKAGES", 1)
    found = packagedbs.read(root)
    assert ([each.name for each in found.packages], len(found.problems)) == (["libssl3"], 1)


WORKED_OUT = (
    "create table packages (id integer primary key, name text as (hex(zeroblob(9))), version text, arch text)",
    "insert into packages (version) values ('1')",
    PKG_TABLES[1],
)
VIRTUAL = ("create virtual table packages using fts5(id, name, version, arch)", PKG_TABLES[1])


@pytest.mark.parametrize("statements", [WORKED_OUT, VIRTUAL])
def test_a_table_that_costs_more_than_its_bytes_is_not_read(tmp_path: Path, statements: tuple[str, ...]) -> None:
    database(tmp_path, PKG, *statements)
    found = packagedbs.read(tmp_path)
    assert (found.packages, len(found.problems)) == ((), 1)
    assert "no plain table packages" in found.problems[0]


def test_rows_that_are_all_the_same_bytes_are_not_read_again_and_again(tmp_path: Path) -> None:
    """A page of 512 bytes may have 250 rows, each of which is the same megabyte."""
    rows = [f"insert into packages values ({n}, 'o', '{'n' * 20000 if not n else 'n'}', '1', 'a')" for n in range(20)]  # noqa: S608
    place = database(tmp_path, PKG, *PKG_TABLES[:2], *rows)
    with closing(sqlite3.connect(place)) as made:
        ((root, size),) = made.execute(
            "select rootpage, page_size from sqlite_master, pragma_page_size where name = 'packages'"
        )
    spoilt = bytearray(place.read_bytes())
    page = (root - 1) * size
    (cells,) = struct.unpack_from(">H", spoilt, page + 3)
    assert (spoilt[page], cells) == (0x0D, 20)  # https://www.sqlite.org/fileformat.html#b_tree_pages: a leaf
    for number in range(1, cells):
        spoilt[page + 8 + 2 * number : page + 10 + 2 * number] = spoilt[page + 8 : page + 10]
    place.write_bytes(spoilt)
    found = packagedbs.read(tmp_path)
    assert found.packages == ()
    assert "more than the whole database" in found.problems[0]


def test_lists_are_read_as_far_as_one_database_may_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("a", "b", "c")
    status = "\n".join(f"Package: {name}\nStatus: install ok installed\nVersion: 1\n" for name in names)
    put(tmp_path, "var/lib/dpkg/status", status)
    for name in names:
        put(tmp_path, f"var/lib/dpkg/info/{name}.list", f"/lib/lib{name}.so.1\n" + "/usr/share/doc\n" * 20)
    monkeypatch.setattr(bounds, "PACKAGE_DATABASE", len(status) + 400)
    found = packagedbs.read(tmp_path)
    assert [each.name for each in found.packages] == ["a", "b", "c"]
    assert found.owners == {"/lib/liba.so.1": 0}
    assert [problem.partition(":")[0] for problem in found.problems] == ["b.list and the lists after it are not read"]


def test_as_many_packages_and_libraries_are_read_as_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "PACKAGES", 3)
    monkeypatch.setattr(bounds, "CONTENT_FILES", 2)
    for name in "ab":
        put(tmp_path, f"var/lib/dpkg/status.d/{name}", "\n".join(f"Package: {name}{n}\nVersion: 1\n" for n in range(9)))
    put(tmp_path, "var/lib/dpkg/info/a0.list", "/lib/a.so\n" + f"/{'x' * 2000}.so\n" + "/lib/b.so\n/lib/c.so")
    found = packagedbs.read(tmp_path)
    assert ([each.name for each in found.packages], len(found.problems)) == (["a0", "a1", "a2"], 1)
    assert found.problems[0].startswith("4 packages")
    assert found.owners == {"/lib/a.so": 0, "/lib/b.so": 0}


def test_a_folder_before_all_files_of_a_package_has_a_bound() -> None:
    entries = [(1000, 6, 1, b"x\0"), (1001, 6, 1, b"1\0"), (1118, 8, 1, b"/" + b"d" * 5000 + b"\0")]
    with pytest.raises(InvalidArgumentError, match="too long a name"):
        rpmheader.read(header(*entries))
