"""A jail that another tool made, described in the words of no tool: what is read of it, and what is made of that."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from jaild.model.jails.spec import JailSpec


class Tool(StrEnum):
    """Whose jails can be adopted."""

    IOCAGE = "iocage"
    BASTILLE = "bastille"
    POT = "pot"
    EZJAIL = "ezjail"


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """A setting of the old jail that the new one does not have."""

    key: str
    value: str
    why: str


class ForeignMount(msgspec.Struct, frozen=True, kw_only=True):
    """What a jail has mounted beside its own tree and its userland."""

    source: str  # as fstab(5) has it: a folder of the host for nullfs
    target: str  # absolute, in the jail
    kind: str = "nullfs"
    readonly: bool = False


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """The folders of the host that a jail is made of, absolute. All but the userland are the jail's own to write."""

    own: str  # its tree
    etc: str
    local: str  # /usr/local
    local_etc: str
    packages: str  # the package database
    data: Mapping[str, str]  # var, root and home: each where it is, all below `own`
    userland: str = ""  # the release's tree, which it sees read-only or is a copy of; empty: all there is is `own`
    links: str = ""  # a link in `own` whose text begins so leads into the userland
    hidden: tuple[str, ...] = ()  # paths below `own` that the userland is mounted on
    is_whole: bool = True  # `own` is laid out as the jail sees it; else only the parts named here are

    @property
    def is_thick(self) -> bool:
        """Whether `own` holds a whole userland, which may be newer than the one that it was made of."""
        return self.is_whole and not self.links and not self.hidden


class ForeignJail(msgspec.Struct, frozen=True, kw_only=True):
    """A jail as its tool's files tell it. Nothing has been looked at of what they name."""

    tool: Tool
    name: str
    kernel_name: str  # what jls(8) calls it while it runs
    spec: JailSpec  # without base and app
    places: Places
    release: str = ""  # what its tool says it was made of: 14.1-RELEASE
    mounts: tuple[ForeignMount, ...] = ()
    left: tuple[Left, ...] = ()
    boots: bool = False  # its tool starts it when the host boots


def places(own: str, *, userland: str = "", links: str = "", hidden: tuple[str, ...] = ()) -> Places:
    """Return the folders of a jail whose tree is laid out as FreeBSD's."""
    return Places(
        own=own,
        etc=f"{own}/etc",
        local=f"{own}/usr/local",
        local_etc=f"{own}/usr/local/etc",
        packages=f"{own}/var/db/pkg",
        data={name: f"{own}/{name}" for name in ("var", "root", "home")},
        userland=userland,
        links=links,
        hidden=hidden,
    )
