"""The parts of a jail's log that were put away: by which names, when that is due, and which of them go.

A log is written to at its end by processes that hold it open, and counts its bytes from its first one for ever. What is
put away is compressed into a file of its own beside it, and its place in the log becomes a hole, which takes no space:

    web.log.0000000000000000-0000000016777216.gz
                         web.log.0000000016777216-0000000033554490.gz
    web.log   ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄███████████▶
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated

import msgspec

from jaild.model import quantity
from jaild.model.errors import JaildError

_NAME = re.compile(r"(?P<log>[^/]+\.log)\.(?P<begin>[0-9]{16})-(?P<end>[0-9]{16})\.gz")
_ASIDE = re.compile(r"(?P<log>[^/]+\.log)\.[0-9]+\.[0-9]{16}\.gz")
_AWAY = ".gz"


class Rotation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When what a jail wrote is put away, and how much of it is kept: the setting `log_rotation`."""

    size: str = "16M"  # of a log that is not put away yet
    age: Annotated[float, msgspec.Meta(ge=60)] = 86400.0  # seconds, of its oldest line
    keep: str = "256M"  # compressed, of one jail; the oldest go
    days: Annotated[float, msgspec.Meta(gt=0)] = 30.0  # that what was put away is kept

    def __post_init__(self) -> None:
        """Refuse what is no size: msgspec tells a ValueError with the field's path."""
        for text in (self.size, self.keep):
            try:
                quantity.parse(text)
            except JaildError as error:
                raise ValueError(error.message) from error

    @property
    def bytes(self) -> int:
        """The size, as a number."""
        return quantity.parse(self.size)

    def is_due(self, waiting: int, seconds: float) -> bool:
        """Whether so many bytes, of which the oldest has been there for so long, are to be put away."""
        return waiting > 0 and (waiting >= self.bytes or seconds >= self.age)


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What was put away at once."""

    log: str  # the log's file name
    begin: int  # position in the log
    end: int

    @property
    def name(self) -> str:
        """Its file's name."""
        return f"{self.log}.{self.begin:016}-{self.end:016}{_AWAY}"


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A file that something was put away in."""

    size: int
    time: float  # when


def chains(names: Iterable[str]) -> dict[str, list[Part]]:
    """Return the parts of each log, in order: of what lies there, the newest that follow on one another."""
    found: dict[str, list[Part]] = {}
    for name in sorted(names):
        if match := _NAME.fullmatch(name):
            part = Part(log=match["log"], begin=int(match["begin"]), end=int(match["end"]))
            before = found.get(part.log, [])
            found[part.log] = [*before, part] if before and before[-1].end == part.begin else [part]
    return found


def surplus(kept: Mapping[str, Kept], rotation: Rotation, now: float) -> list[str]:
    """Return which files of one log go: what is too old, and the oldest beyond the bound."""
    room, going = quantity.parse(rotation.keep), list[str]()
    for name, file in sorted(kept.items(), key=lambda item: (item[1].time, item[0]), reverse=True):
        room -= file.size
        if room < 0 or now - file.time > rotation.days * 86400:
            going.append(name)
    return going


def log_of(name: str) -> str:
    """Return which log a file has something of, also of one that was begun anew since; '' if we did not put it there.

    `web.log.0.gz` is newsyslog(8)'s, `web.log-20261130.gz` logrotate(8)'s.
    """
    match = _NAME.fullmatch(name) or _ASIDE.fullmatch(name)
    return match["log"] if match else ""


def set_aside(part: Part, now: float) -> str:
    """Return the name of a part whose log was begun anew: its positions mean nothing any more."""
    return f"{part.log}.{now:.0f}.{part.begin:016}{_AWAY}"
