"""What differs between two generations of a jail: their specs, layers, packages, libraries, files and /etc. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TypeVar

import msgspec

from jaild.model import bounds
from jaild.model.contents.index import Contents, FileSums
from jaild.model.etc import accountfiles
from jaild.model.etc.linematch import Steps, TooManyStepsError
from jaild.model.etc.tree import Entry, Kind, Tree, changed
from jaild.model.jails import spec_changes
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.records import Generation

MOST = 1000  # changes of a kind that are told
ADDED, REMOVED, CHANGED = "added", "removed", "changed"
_CONTEXT = 3  # lines around a change
_ENVIRONMENT = "environment"
_READABLE, _SEARCHABLE = 0o004, 0o001  # by others
_Key = TypeVar("_Key", bound=Hashable)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that differs. None: it is not there; '': it is, and what it is is not known."""

    name: str
    before: str | None = None
    after: str | None = None
    ecosystem: str = ""  # of a package


class FileChange(msgspec.Struct, frozen=True, kw_only=True):
    """A file that differs. `diff`: unified, empty where there is none to show, and `why` says why."""

    path: str
    change: str  # ADDED, REMOVED or CHANGED
    diff: str = ""
    why: str = ""  # private, binary, large; what of it differs if not its content: mode 0644 to 0600


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How many files differ."""

    added: int = 0
    removed: int = 0
    changed: int = 0


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between two generations; of each kind the first `MOST`."""

    before: Generation
    after: Generation
    spec: tuple[Change, ...] = ()
    packages: tuple[Change, ...] = ()
    libraries: tuple[Change, ...] = ()
    files: tuple[FileChange, ...] = ()  # of the release
    release_files: Counts = Counts()
    base_files: Counts = Counts()
    etc: tuple[FileChange, ...] = ()
    notes: tuple[str, ...] = ()  # what could not be compared, or was too much


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two generations with what is known of it."""

    generation: Generation
    contents: Sequence[Contents] = ()  # of its layers
    base: FileSums = FileSums()
    release: FileSums = FileSums()
    etc: Mapping[str, Tree] = {}  # /etc -> what stands there


def compare(before: Side, after: Side, *, values: bool) -> Comparison:
    """Compare two generations; `values`: whether those of the environment are shown."""
    release = file_changes(before.release, after.release)
    notes: list[str] = []
    packages, libraries = _packages(before, after), _libraries(before, after)
    for kind, found in (("packages", packages), ("libraries", libraries), ("files of the release", release)):
        if len(found) > MOST:
            notes.append(f"{len(found)} {kind} differ, the first {MOST} are told")
    return Comparison(
        before=before.generation,
        after=after.generation,
        spec=tuple(_spec(before.generation.spec, after.generation.spec, values=values)),
        packages=tuple(packages[:MOST]),
        libraries=tuple(libraries[:MOST]),
        files=tuple(release[:MOST]),
        release_files=_counts(release),
        base_files=_counts(file_changes(before.base, after.base)),
        etc=tuple(_etc(before, after, notes)),
        notes=tuple(notes),
    )


def _counts(found: Sequence[FileChange]) -> Counts:
    kinds = [each.change for each in found]
    return Counts(added=kinds.count(ADDED), removed=kinds.count(REMOVED), changed=kinds.count(CHANGED))


def _spec(before: JailSpec, after: JailSpec, *, values: bool) -> Iterator[Change]:
    for each in spec_changes.differences(before, after, values=values):
        yield Change(name=each.field.removeprefix("$."), before=each.before, after=each.after)


def _packages(before: Side, after: Side) -> list[Change]:
    old, new = (
        _by({(p.ecosystem, p.name, p.arch): p.version for c in side.contents for p in c.packages}.items())
        for side in (before, after)
    )
    return [
        Change(name=name, ecosystem=ecosystem, before=old.get(key), after=new.get(key))
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
        for ecosystem, name, _ in [key]
    ]


def _libraries(before: Side, after: Side) -> list[Change]:
    old, new = (_by((lib.soname, lib.version) for c in s.contents for lib in c.libraries) for s in (before, after))
    return [
        Change(name=name, before=old.get(name), after=new.get(name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def _by(found: Iterable[tuple[_Key, str]]) -> dict[_Key, str]:
    """Return versions by what they are of; of what is there in several each, `?` for one that is not known."""
    all_: defaultdict[_Key, set[str]] = defaultdict(set)
    for key, version in found:
        all_[key].add(version)
    return {
        key: " ".join(sorted(version or "?" for version in versions)) if len(versions) > 1 else versions.pop()
        for key, versions in all_.items()
    }


def file_changes(before: FileSums, after: FileSums) -> list[FileChange]:
    """Return the files that differ, by path; links where they lead elsewhere."""
    old, new = before.files | before.links, after.files | after.links
    return [
        FileChange(path=path, change=_change(old.get(path), new.get(path)))
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    ]


def _change(old: object | None, new: object | None) -> str:
    return ADDED if old is None else REMOVED if new is None else CHANGED


# -- configuration


def _etc(before: Side, after: Side, notes: list[str]) -> Iterator[FileChange]:
    steps, room, told = Steps(bounds.MERGE_STEPS), bounds.DIFF, 0
    titles = (f"generation {before.generation.number}", f"generation {after.generation.number}")
    for folder in sorted(before.etc.keys() | after.etc.keys()):
        old, new = before.etc.get(folder, {}), after.etc.get(folder, {})
        for path in changed(old, new):
            if told == MOST:
                notes.append(f"more than {MOST} paths below {folder} differ")
                return
            told += 1
            found = _entry_change(f"{folder}/{path}", path, (old, new), steps, titles)
            room -= len(found.diff)
            if room < 0:
                found = msgspec.structs.replace(found, diff="", why="large")
            yield found


def _entry_change(shown: str, path: str, trees: Sequence[Tree], steps: Steps, titles: Sequence[str]) -> FileChange:
    """Compare what stands at `path` in two trees; it is told as `shown`."""
    old, new = (tree.get(path) for tree in trees)
    found = FileChange(path=shown, change=_change(old, new), why=_differs(old, new))
    texts = [each.content if each is not None and each.kind is Kind.FILE else b"" for each in (old, new)]
    if texts[0] == texts[1]:
        return found
    if why := _withheld(path, trees, texts):
        return msgspec.structs.replace(found, why=why)
    lines = [text.decode("utf-8", "replace").split("\n") for text in texts]
    try:
        diff = "\n".join(_unified(shown, lines[0], lines[1], steps, titles))
    except TooManyStepsError:
        return msgspec.structs.replace(found, why="large")
    return msgspec.structs.replace(found, diff=f"{diff}\n")


def _withheld(path: str, trees: Iterable[Tree], texts: Sequence[bytes]) -> str:
    """Say why no diff is shown of a file; '' if one is."""
    if path in accountfiles.PRIVATE or any(_is_private(path, tree) for tree in trees):
        return "private"
    if any(len(text) > bounds.DIFF_FILE for text in texts):
        return "large"
    return "binary" if any(map(_is_binary, texts)) else ""


def _is_private(path: str, tree: Tree) -> bool:
    """Say whether not everybody in the jail may read a file: by its own mode, or by those of the folders it is in."""
    entry = tree.get(path)
    if entry is None or entry.kind is not Kind.FILE:
        return False
    folders = [above for each in PurePosixPath(path).parents if (above := tree.get(str(each))) is not None]
    return not entry.mode & _READABLE or any(not each.mode & _SEARCHABLE for each in folders)


def _is_binary(content: bytes) -> bool:
    try:
        return "\0" in content.decode()
    except UnicodeDecodeError:
        return True


def _differs(old: Entry | None, new: Entry | None) -> str:
    """Say what differs beside the content."""
    if old is None or new is None:
        link = old or new
        return f"a link to {link.target}" if link is not None and link.kind is Kind.LINK else ""
    found = []
    if old.kind is not new.kind:
        found.append(f"{old.kind} to {new.kind}")
    if old.target != new.target:
        found.append(f"link {old.target or '-'} to {new.target or '-'}")
    if old.mode != new.mode and Kind.LINK not in {old.kind, new.kind}:
        found.append(f"mode {old.mode:04o} to {new.mode:04o}")
    if (old.uid, old.gid) != (new.uid, new.gid):
        found.append(f"owner {old.uid}:{old.gid} to {new.uid}:{new.gid}")
    return ", ".join(found)


def _unified(path: str, old: list[str], new: list[str], steps: Steps, titles: Sequence[str]) -> Iterator[str]:
    """Yield the lines of a unified diff, as difflib's and diff -u's: by a matcher that has an end."""
    old, closed = _lines(old)
    new, closed2 = _lines(new)
    yield f"--- {path}\t{titles[0]}"
    yield f"+++ {path}\t{titles[1]}"
    if not closed and old:
        old[-1] += "\n\\ No newline at end of file"
    if not closed2 and new:
        new[-1] += "\n\\ No newline at end of file"
    for group in steps.matcher(None, old, new).get_grouped_opcodes(_CONTEXT):
        first, last = group[0], group[-1]
        yield f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@"
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                yield from (f" {line}" for line in old[i1:i2])
                continue
            yield from (f"-{line}" for line in old[i1:i2])
            yield from (f"+{line}" for line in new[j1:j2])


def _lines(lines: list[str]) -> tuple[list[str], bool]:
    """Return lines without the empty one behind the last end, and whether there was that end."""
    return (lines[:-1], True) if lines[-1] == "" else (lines, False)


def _range(begin: int, end: int) -> str:
    """Return a range as diff -u writes it: one line without its length, none from the line before."""
    length = end - begin
    if length == 1:
        return str(begin + 1)
    return f"{begin + 1 if length else begin},{length}"
