"""Files that say which machine it is: each jail has its own, and none of its base's.

What belongs to one machine alone, and should not be in an image at all: https://systemd.io/BUILDING_IMAGES; ssh_host_*:
sshd(8); /etc/hostid: gethostid(3), and rc.d/hostid of FreeBSD. A jail's are made when it gets the base that has such
files, and are its own from then on: no base changes or removes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from jaild.model import quantity
from jaild.model.etc.regenerate import HOST_KEYS, Argv
from jaild.model.etc.tree import Entry, Kind, Tree
from jaild.model.problems import Problem, Severity

_ETC = ("machine-id", "hostid", "ssh/ssh_host_*")
_MACHINE = "machine-id"
_HOST_KEY = "ssh/ssh_host_*key"  # the private halves
_EMPTY = (b"", b"uninitialized")  # machine-id(5): to be made at the first boot
_PRIVATE_KEY, _LONGEST_LINE = b" PRIVATE KEY-----", 100
# The same in a jail's data, which is the base's copied once: paths below its root, * in the last part only. None of
# them is needed by a program that starts: each makes its own where it is missing.
DATA = (
    "var/db/dbus/machine-id",
    "var/db/entropy/*",
    "var/lib/dbus/machine-id",
    "var/lib/misc/random-seed",
    "var/lib/random-seed",
    "var/lib/seedrng/*",
    "var/lib/systemd/credential.secret",
    "var/lib/systemd/random-seed",
    "var/lib/urandom/random-seed",
)


@dataclass(frozen=True, kw_only=True)
class Own:
    """A tree that has a jail's own identity, and what makes the rest of it."""

    tree: Tree
    tools: tuple[Argv, ...]


def kept(layer: Tree, mine: Tree) -> Tree:
    """Return a base's /etc with the identity of the jail's own in the place of the base's."""
    return {path: entry for path, entry in layer.items() if not is_identity(path, entry)} | {
        path: entry for path, entry in mine.items() if _matches(path)
    }


def completed(tree: Tree, theirs: Tree, ancestor: Tree, machine_id: str) -> Own:
    """Return `tree`, merged without a base's identity, with its own of each kind that the base `theirs` brings.

    What `ancestor`, the base before, had too is not made again: the jail has it, or has removed it. `machine_id`: 32
    hexadecimal digits, for this jail alone. A host ID is left out: programs make one of the network's address.
    """
    brought = [path for path, entry in theirs.items() if is_identity(path, entry) and path not in ancestor]
    result = dict(tree)
    if _MACHINE in brought and _MACHINE not in tree:
        result[_MACHINE] = Entry(kind=Kind.FILE, mode=0o444, content=f"{machine_id}\n".encode())
    keys = any(fnmatchcase(path, _HOST_KEY) for path in brought)
    has = any(fnmatchcase(path, _HOST_KEY) for path in (*tree, *ancestor))
    return Own(tree=dict(sorted(result.items())), tools=(HOST_KEYS,) if keys and not has else ())


def without(tree: Tree) -> Tree:
    """Return a jail's /etc without what says which machine it is: what a copy of it starts from."""
    return {path: entry for path, entry in tree.items() if not is_identity(path, entry)}


def with_made(etc: Tree, tools: Sequence[Argv], staged: Tree, made: Tree) -> Own:
    """Return a tree that was merged anew, with the keys that the tools added to the one that was `staged` before."""
    keys = {path: entry for path, entry in made.items() if _matches(path) and path not in staged and path not in etc}
    if HOST_KEYS not in tools or not any(fnmatchcase(path, _HOST_KEY) for path in keys):
        return Own(tree=etc, tools=tuple(tools))
    return Own(tree={**etc, **keys}, tools=tuple(tool for tool in tools if tool != HOST_KEYS))


def in_base(etc: Tree, data: Sequence[str]) -> tuple[Problem, ...]:
    """Return a warning SHARED_IDENTITY if a base has an identity or private keys: in /etc, or `data` of its `DATA`."""
    replaced = [f"{path}: not for jails" for path in data]
    shared: list[str] = []
    for path, entry in etc.items():
        if is_identity(path, entry):
            if not path.endswith(".pub") and entry.content.strip() not in _EMPTY:
                replaced.append(f"etc/{path}: each jail has its own, or none")
        elif entry.kind is Kind.FILE and _PRIVATE_KEY in entry.content[:_LONGEST_LINE].partition(b"\n")[0]:
            shared.append(f"etc/{path}: all jails of the base have it")
    if not replaced and not shared:
        return ()
    what = f"{quantity.count(len(replaced) + len(shared), 'file')} that should be one machine's alone"
    return (_shared(f"the base brings {what}", "/", (*shared, *replaced), "make the image without them"),)


def in_jail(mine: Tree, ancestor: Tree) -> tuple[Problem, ...]:
    """Return a warning SHARED_IDENTITY if a jail has the identity that its base brought: jaild did not make it."""
    same = [
        f"etc/{path}"
        for path, entry in mine.items()
        if is_identity(path, entry)
        and not path.endswith(".pub")
        and entry.content.strip() not in _EMPTY
        and (other := ancestor.get(path)) is not None
        and other.content == entry.content
    ]
    if not same:
        return ()
    hint = "remove them in the jail and make new ones: ssh-keygen -A; clients will see another host"
    return (
        _shared(
            f"the jail shares {quantity.count(len(same), 'file')} with all jails of its base", "/etc", tuple(same), hint
        ),
    )


def _shared(message: str, subject: str, evidence: tuple[str, ...], hint: str) -> Problem:
    return Problem(
        severity=Severity.WARNING,
        code="SHARED_IDENTITY",
        message=message,
        subject=subject,
        evidence=evidence,
        hint=hint,
    )


def _matches(path: str) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in _ETC)


def is_identity(path: str, entry: Entry) -> bool:
    """Tell whether a path of /etc says which machine it is."""
    return entry.kind is Kind.FILE and _matches(path)
