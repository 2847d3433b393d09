"""What differs between two generations, and what of it is not shown."""

from __future__ import annotations

import difflib

import pytest

from jaild.model import bounds
from jaild.model.contents import comparison
from jaild.model.contents.comparison import Change, Comparison, Counts, FileChange, Side, compare
from jaild.model.contents.index import Contents, FileSums, Library, Package
from jaild.model.contents.versions import Ecosystem
from jaild.model.etc.tree import Entry, Kind
from jaild.model.jails.spec import JailSpec, Network
from jaild.model.layers.records import Generation

SPEC = JailSpec(base="deb-1", environment={"KEY": "secret", "OTHER": "x"})


def side(number: int = 1, spec: JailSpec = SPEC, etc: dict[str, Entry] | None = None, **known: object) -> Side:
    generation = Generation(number=number, spec=spec, base="deb-1")
    return Side(generation=generation, etc={"/etc": etc or {}}, **known)  # type: ignore[arg-type]


def compared(before: Side, after: Side, *, values: bool = True) -> Comparison:
    return compare(before, after, values=values)


def test_fields_of_the_spec_are_told_by_their_path() -> None:
    network = Network(addresses=("10.0.0.1/24",))
    new = JailSpec(base="deb-1", app="web/1", environment={"KEY": "other"}, network=network)
    found = {change.name: (change.before, change.after) for change in compared(side(), side(2, new)).spec}
    assert found["app"] == (None, "web/1")
    assert found["environment.KEY"] == ("secret", "other")
    assert found["environment.OTHER"] == ("x", None)
    assert found["network.addresses"] == (None, '["10.0.0.1/24"]')


def test_a_value_that_one_may_not_see_is_told_as_changed_and_not_shown() -> None:
    new = JailSpec(base="deb-1", environment={"KEY": "other"})
    found = compared(side(), side(2, new), values=False).spec
    assert found == (
        Change(name="environment.KEY", before="(redacted)", after="(redacted)"),
        Change(name="environment.OTHER", before="(redacted)", after=None),
    )


def test_packages_and_libraries_have_both_versions() -> None:
    def holds(*packages: tuple[str, str]) -> list[Contents]:
        ecosystem = Ecosystem.DPKG
        made = tuple(Package(name=name, version=version, ecosystem=ecosystem) for name, version in packages)
        libraries = tuple(Library(soname=f"{name}.so", path=f"/{name}", version=version) for name, version in packages)
        return [Contents(packages=made, libraries=libraries)]

    found = compared(
        side(contents=holds(("a", "1"), ("b", "1"), ("c", ""))),
        side(contents=holds(("a", "2"), ("c", ""), ("d", ""))),
    )
    assert [(p.name, p.before, p.after) for p in found.packages] == [("a", "1", "2"), ("b", "1", None), ("d", None, "")]
    first = found.libraries[0]
    assert (first.name, first.before, first.after) == ("a.so", "1", "2")


def test_a_library_that_is_there_twice_has_all_its_versions() -> None:
    libraries = (Library(soname="a.so", path="/1", version="1"), Library(soname="a.so", path="/2"))
    (found,) = compared(side(), side(2, contents=[Contents(libraries=libraries)])).libraries
    assert found.after == "1 ?"


def test_files_of_the_release_are_named_and_those_of_the_base_counted() -> None:
    old = FileSums(files={"/a": "1", "/b": "1"}, links={"/l": "/a"})
    new = FileSums(files={"/a": "2", "/c": "1"}, links={"/l": "/c"})
    found = compared(side(base=old, release=old), side(base=new, release=new))
    assert [(file.path, file.change) for file in found.files] == [
        ("/a", "changed"),
        ("/b", "removed"),
        ("/c", "added"),
        ("/l", "changed"),
    ]
    assert found.base_files == found.release_files == Counts(added=1, removed=1, changed=2)


def file(content: bytes, mode: int = 0o644) -> Entry:
    return Entry(kind=Kind.FILE, content=content, mode=mode)


TEXTS = [
    (b"a\nb\nc\n", b"a\nB\nc\n"),
    (b"", b"a\n"),
    (b"a\n", b""),
    (b"a", b"a\n"),
    (b"a\nb", b"a\nc"),
    (b"".join(b"%d\n" % n for n in range(40)), b"".join(b"%d\n" % n for n in range(40) if n not in (3, 30))),
    (b"x\n" * 30, b"x\n" * 10 + b"y\n" + b"x\n" * 20),
]


@pytest.mark.parametrize(("old", "new"), TEXTS)
def test_a_diff_of_etc_is_the_unified_one(old: bytes, new: bytes) -> None:
    (found,) = compared(side(etc={"motd": file(old)}), side(2, etc={"motd": file(new)})).etc
    wanted = difflib.unified_diff(
        old.decode().splitlines(keepends=True),
        new.decode().splitlines(keepends=True),
        "/etc/motd",
        "/etc/motd",
        "generation 1",
        "generation 2",
    )
    lines = [line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in wanted]
    assert found.diff == "".join(lines)


@pytest.mark.parametrize(
    ("path", "old", "new", "why"),
    [
        ("shadow", file(b"a"), file(b"b"), "private"),
        ("ssl/key", file(b"a", 0o600), file(b"b", 0o600), "private"),
        ("ssl/key", file(b"a", 0o600), file(b"b", 0o644), "private"),
        ("pwd.db", file(b"\0a"), file(b"\0b"), "binary"),
        ("odd", file(b"\xff"), file(b"b"), "binary"),
        ("large", file(b"a" * (bounds.DIFF_FILE + 1)), file(b"b"), "large"),
        ("same", file(b"a", 0o644), file(b"a", 0o600), "mode 0644 to 0600"),
        ("link", Entry(kind=Kind.LINK, target="a"), Entry(kind=Kind.LINK, target="b"), "link a to b"),
        ("kind", Entry(kind=Kind.DIRECTORY), Entry(kind=Kind.LINK, target="b"), "directory to link, link - to b"),
    ],
)  # fmt: skip
def test_what_has_no_diff_says_why(path: str, old: Entry, new: Entry, why: str) -> None:
    (found,) = compared(side(etc={path: old}), side(2, etc={path: new})).etc
    assert found == FileChange(path=f"/etc/{path}", change="changed", why=why)


@pytest.mark.parametrize(("before", "after"), [(0o700, 0o700), (0o700, 0o755), (0o755, 0o710)])
def test_a_file_in_a_folder_that_not_everybody_enters_is_private(before: int, after: int) -> None:
    """Whoever may ask for a diff may be nobody in the jail: /etc/wireguard/wg0.conf is 0644 in a folder of 0700."""
    folders = [Entry(kind=Kind.DIRECTORY, mode=mode) for mode in (before, after)]
    old = {"wireguard": folders[0], "wireguard/wg0.conf": file(b"PrivateKey = a\n")}
    new = {"wireguard": folders[1], "wireguard/wg0.conf": file(b"PrivateKey = b\n")}
    found = compared(side(etc=old), side(2, etc=new)).etc[-1]
    assert (found.path, found.diff, found.why) == ("/etc/wireguard/wg0.conf", "", "private")


def test_what_is_too_much_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "MOST", 2)
    monkeypatch.setattr(bounds, "DIFF", 120)
    new = {name: file(b"text\n") for name in "abc"}
    found = compared(side(release=FileSums(files=dict.fromkeys("abc", "1"))), side(2, etc=new))
    assert [bool(each.diff) for each in found.etc] == [True, False]
    assert len(found.files) == 2
    assert len(found.notes) == 2
    monkeypatch.setattr(bounds, "MERGE_STEPS", 1)
    assert compared(side(), side(2, etc={"a": file(b"1\n2\n")})).etc[0].why == "large"
