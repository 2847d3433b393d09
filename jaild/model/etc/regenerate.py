"""What is made of the texts in /etc, and when it must be made again: by the tools of the base that will read it.

FreeBSD: pwd_mkdb(8), cap_mkdb(1), services_mkdb(8), certctl(8). Linux with glibc: ldconfig(8). Both: ssh-keygen(1).
"""

from __future__ import annotations

from collections.abc import Sequence

from jaild.model.etc.tree import Tree
from jaild.model.layers.records import Family

Argv = tuple[str, ...]
PASSWORDS: Argv = ("/usr/sbin/pwd_mkdb", "-p", "-d", "/etc", "/etc/master.passwd")
_CAPABILITIES: Argv = ("/usr/bin/cap_mkdb", "/etc/login.conf")
# Not in /var/db, its default: that is the jail's data, which the generation that serves reads meanwhile.
_SERVICES: Argv = ("/usr/sbin/services_mkdb", "-q", "-o", "/etc/services.db", "/etc/services")
_CERTIFICATES: Argv = ("/usr/sbin/certctl", "rehash")
# -X: it would make links beside the libraries, and they are on read-only layers.
_LINKER_CACHE: Argv = ("/sbin/ldconfig", "-X")
HOST_KEYS: Argv = ("/usr/bin/ssh-keygen", "-A")
_CACHE, _CONF = "ld.so.cache", "ld.so.conf"  # and what is in the folder ld.so.conf.d
_MADE = (  # the text, what is made of it, and by what
    ("master.passwd", ("passwd", "pwd.db", "spwd.db"), PASSWORDS),
    ("login.conf", ("login.conf.db",), _CAPABILITIES),
    ("services", ("services.db",), _SERVICES),
)


def commands(family: Family, etc: Tree, known: Sequence[Tree], *, rebased: bool) -> tuple[Argv, ...]:
    """Return what must be run in a jail of FreeBSD whose /etc is `etc`, in order; elsewhere nothing.

    `known` are trees in which texts and databases belong together: the base's as shipped, the jail's as it runs. On
    another base (`rebased`) everything is made again, since formats and certificates are the base's.
    """
    if family is not Family.FREEBSD:
        return ()
    found = [
        argv
        for text, made, argv in _MADE
        if text in etc and (rebased or not any(_agree(etc, tree, (text, *made)) for tree in known))
    ]
    return (*found, _CERTIFICATES) if rebased else tuple(found)


def linker_cache(base: Tree, folders: Sequence[str]) -> tuple[Argv, ...]:
    """Return what makes the linker's cache know the libraries of a base, by its /etc, and those in `folders`.

    Nothing if the base's linker has no cache: FreeBSD's, musl's.
    """
    return ((*_LINKER_CACHE, *folders),) if {_CONF, _CACHE} & base.keys() else ()


def without_cache(etc: Tree, base: Tree) -> Tree:
    """Return a tree whose linker's cache is to be made anew: with no other until then than its base's own, if any.

    That of the jail is of other layers, and its root may have made it: the tool itself would be loaded by it.
    """
    return etc if _CACHE in base else {path: entry for path, entry in etc.items() if path != _CACHE}


def with_cache(etc: Tree, tools: Sequence[Argv], staged: Tree, made: Tree) -> tuple[Tree, tuple[Argv, ...]]:
    """Return a tree that was merged anew, and what must still be run for it, with the linker's cache as it was made.

    `staged` was written before, and `made` is what the tools made of it. The cache is of layers and ld.so.conf only.
    """
    cache = made.get(_CACHE)
    now, then = (
        {path: (entry.content, entry.target) for path, entry in tree.items() if path.startswith(_CONF)}
        for tree in (etc, staged)
    )
    if cache is None or now != then:
        return etc, tuple(tools)
    return {**etc, _CACHE: cache}, tuple(tool for tool in tools if tool[:2] != _LINKER_CACHE)


def _agree(one: Tree, other: Tree, paths: tuple[str, ...]) -> bool:
    pairs = [(one.get(path), other.get(path)) for path in paths]
    return all(mine is None if theirs is None else theirs.same(mine) for mine, theirs in pairs)
