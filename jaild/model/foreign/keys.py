"""What becomes of each key that a tool's configuration may have: a table for each tool, which docs and tests read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from jaild.model.foreign.jail import Left

_UNKNOWN = "this jaild does not know the key"
_ON, _OFF = frozenset({"1", "on", "yes", "true"}), frozenset({"0", "off", "no", "false", "", "none"})


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One key.

    `to` names the fields of the spec that it sets (`network.addresses`), or `base`; `sample` is a value by which a test
    sees that. Without `to`, `why` says what becomes of it, and a value that is not among the `quiet` ones, which ask
    for nothing, is told when the jail is adopted.
    """

    to: str = ""
    sample: str = ""
    why: str = ""
    quiet: tuple[str, ...] = ()


def to(field: str, sample: str) -> Key:
    """Return a key that sets a field of the spec."""
    return Key(to=field, sample=sample)


def lost(why: str, *quiet: str) -> Key:
    """Return a key that has no place in a spec, and is told unless it has one of the `quiet` values."""
    return Key(why=why, quiet=quiet)


def moot(why: str) -> Key:
    """Return a key whose value does not matter to jaild, and is not told."""
    return Key(why=why, quiet=("*",))


def leftovers(keys: Mapping[str, Key], values: Iterable[tuple[str, str]]) -> list[Left]:
    """Return what of a configuration no field of a spec says."""
    left = []
    for name, value in values:
        key = keys.get(name)
        if key is None:
            left.append(Left(key=name, value=value, why=_UNKNOWN))
        elif not key.to and "*" not in key.quiet and value.lower() not in key.quiet:
            left.append(Left(key=name, value=value, why=key.why))
    return left


def truth(value: str) -> bool:
    """Return whether a tool's flag is on. Anything but a word for no is a yes."""
    return value.strip().lower() not in _OFF


def is_flag(value: str) -> bool:
    """Return whether it is a yes or a no."""
    return value.strip().lower() in _ON | _OFF
