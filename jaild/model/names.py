"""Names of things: what is allowed, and why. Checked at the edge, and again where a path or dataset is made of one."""

from __future__ import annotations

import re

from jaild.model.errors import InvalidArgumentError

# Letters, digits and - for jails: a jail's name is its host name, a DNS label, a cgroup and part of an interface name.
# Not all digits: jail(8) takes such a block name for a jid. No '.': in jail(8) it means hierarchy.
_JAIL = re.compile(r"(?![0-9]+$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# Bases, apps and releases: what versions look like, and what ZFS takes in a dataset's name.
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SNAPSHOT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,99}")  # as zfs(8) takes them, but for their length and spaces
_VOLUME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
# `generations` is a folder in the jail's dataset, and `data` its first volume.
_SANDBOX = "work_"
_RESERVED_VOLUMES = frozenset({"data", "generations"})


def _check(kind: str, name: str, pattern: re.Pattern[str], rule: str) -> str:
    if not pattern.fullmatch(name):
        raise InvalidArgumentError(
            "INVALID_NAME", f"{name!r} is not a name for a {kind}", hint=f"use {rule}", detail={"kind": kind}
        )
    return name


def jail(name: str) -> str:
    """Return `name` if a jail may have it; raise `InvalidArgumentError` (INVALID_NAME) if not."""
    return _check("jail", name, _JAIL, "1 to 63 of a-z, 0-9 and -, not only digits, no - at either end")


def base(name: str) -> str:
    """Return `name` if a base may have it; raise `InvalidArgumentError` (INVALID_NAME) if not."""
    return _check("base", name, _VERSION, "1 to 100 of A-Z, a-z, 0-9 and ._-, starting with a letter or digit")


def channel(name: str) -> str:
    """Return `name` if a channel may have it; raise `InvalidArgumentError` (INVALID_NAME) if not."""
    return _check("channel", name, _JAIL, "1 to 63 of a-z, 0-9 and -, not only digits, no - at either end")


def event_sink(name: str) -> str:
    """Return `name` if an event sink may have it; raise `InvalidArgumentError` (INVALID_NAME) if not."""
    return _check("event sink", name, _JAIL, "1 to 63 of a-z, 0-9 and -, not only digits, no - at either end")


def backup_target(name: str) -> str:
    """Return `name` if a target of backups may have it; raise `InvalidArgumentError` (INVALID_NAME) if not."""
    return _check("backup target", name, _JAIL, "1 to 63 of a-z, 0-9 and -, not only digits, no - at either end")


def app(name: str) -> str:
    """Return `name` if an app may have it; raise `InvalidArgumentError` (INVALID_NAME) if not."""
    return _check("app", name, _JAIL, "1 to 63 of a-z, 0-9 and -, not only digits, no - at either end")


def version(name: str) -> str:
    """Return `name` if a release's version may be it; raise `InvalidArgumentError` (INVALID_NAME) if not."""
    return _check("release", name, _VERSION, "1 to 100 of A-Z, a-z, 0-9 and ._-, starting with a letter or digit")


def volume(name: str) -> str:
    """Return `name` if a volume may have it; raise `InvalidArgumentError` (INVALID_NAME) if not."""
    _check("volume", name, _VOLUME, "1 to 32 of a-z, 0-9, - and _, starting with a letter")
    if name in _RESERVED_VOLUMES:
        raise InvalidArgumentError("INVALID_NAME", f"{name!r} is kept for jaild", hint="choose another name")
    return name


def snapshot(name: str) -> str:
    """Return `name` if a snapshot may have it; raise `InvalidArgumentError` (INVALID_NAME) if not."""
    return _check("snapshot", name, _SNAPSHOT, "1 to 100 of A-Z, a-z, 0-9 and _.:-, starting with a letter, digit or _")


def sandbox(operation_id: str) -> str:
    """Return the runtime's name for a jail that an operation works in. No jail has such a name: it holds a `_`."""
    return f"{_SANDBOX}{operation_id[:12]}"


def is_sandbox(name: str) -> bool:
    """Tell whether a run of this name was made by `sandbox`."""
    return name.startswith(_SANDBOX)


def release(reference: str) -> tuple[str, str]:
    """Split `app/version`; raise `InvalidArgumentError` (INVALID_NAME) unless both halves are names."""
    app_name, slash, version_name = reference.partition("/")
    if not slash:
        raise InvalidArgumentError(
            "INVALID_NAME", f"{reference!r} is not a release", hint="write it as app/version, as in redis/7.0.15"
        )
    return app(app_name), version(version_name)


def layer(path: str) -> str:
    """Return `bases/NAME` or `apps/APP/VERSION` if a layer may have it; raise `InvalidArgumentError` (INVALID_NAME)."""
    kind, _, name = path.partition("/")
    if kind == "bases":
        base(name)
    elif kind == "apps":
        release(name)
    else:
        raise InvalidArgumentError(
            "INVALID_NAME", f"{path!r} is not a layer", hint="a layer is bases/NAME or apps/APP/VERSION"
        )
    return path
