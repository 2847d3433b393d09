"""What the tools of a base made of an /etc: for another jail on the same layers, where that decides it wholly.

Never the password databases nor host keys: they are one jail's alone, and its tools are run for each. All else that
tools can read there is part of `key_of`: so no jail can put anything into what is made for others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from jaild.model.etc.identity import is_identity
from jaild.model.etc.regenerate import HOST_KEYS, PASSWORDS, Argv
from jaild.model.etc.tree import Entry, Kind, Tree, is_backup

_FORM = 1  # of keys and results: another one is never found
# Each jail has its own, and of those that are `shared` no tool reads or writes them.
_ACCOUNTS = ("group", "gshadow", "master.passwd", "passwd", "pwd.db", "shadow", "spwd.db", "subgid", "subuid")
_PLACE = ("hostname", "hosts", "resolv.conf")  # a sandbox has no network


class Result(msgspec.Struct, frozen=True):
    """What becomes of a tree."""

    written: dict[str, Entry]
    removed: tuple[str, ...] = ()

    def applied(self, tree: Tree) -> Tree:
        """Return the tree as the tools would leave it."""
        return {path: entry for path, entry in tree.items() if path not in self.removed} | self.written


def shared(tools: Sequence[Argv]) -> list[Argv]:
    """Return those whose inputs decide what they make, and that make nothing of one jail's own."""
    return [tool for tool in tools if tool not in {PASSWORDS, HOST_KEYS}]


def key_of(tools: Sequence[Argv], layers: Sequence[object], etc: Tree, local_etc: Tree) -> str:
    """Return the name, in hex, of what `tools` make of these inputs: `layers` are the guids of what they run on."""
    digest = hashlib.sha256(msgspec.json.encode((_FORM, tools, layers)))
    for tree in (etc, local_etc):
        entries = [(path, _told(entry)) for path, entry in sorted(tree.items()) if not _is_own(path, entry)]
        digest.update(msgspec.msgpack.encode(entries))
    return digest.hexdigest()


def result_of(before: Tree, after: Tree) -> Result:
    """Return what has changed in a tree, but what is of one jail alone."""
    written = {
        path: entry for path, entry in after.items() if not _is_own(path, entry) and not entry.same(before.get(path))
    }
    gone = (path for path, entry in before.items() if path not in after and not _is_own(path, entry))
    return Result(written, tuple(sorted(gone)))


def encoded(result: Result) -> bytes:
    """Return it as a file's content, with its digest before it."""
    content = msgspec.msgpack.encode(result)
    return hashlib.sha256(content).digest() + content


def decoded(text: bytes) -> Result | None:
    """Return what `encoded` was given; None if it is not whole."""
    size = hashlib.sha256().digest_size
    if hashlib.sha256(text[size:]).digest() != text[:size]:
        return None
    return msgspec.msgpack.decode(text[size:], type=Result)


def _told(entry: Entry) -> tuple[object, ...]:
    return (entry.kind, entry.mode, entry.uid, entry.gid, entry.content, entry.target)


def _is_own(path: str, entry: Entry) -> bool:
    return is_identity(path, entry) or (
        entry.kind is Kind.FILE and (path in _ACCOUNTS or path in _PLACE or is_backup(path))
    )
