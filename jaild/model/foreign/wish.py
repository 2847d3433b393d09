"""What is asked for when a jail is adopted."""

from __future__ import annotations

from dataclasses import dataclass

from jaild.model.foreign.jail import Tool
from jaild.model.jails.spec import JailSpec


@dataclass(frozen=True, kw_only=True)
class Wish:
    """One jail of one tool."""

    tool: Tool
    name: str  # as its tool calls it
    jail: str  # as jaild is to call it
    root: str = ""  # where the tool has its things; empty: where it usually has
    base: str = ""  # empty: one of the version that the jail is on
    spec: JailSpec | None = None  # in place of what its configuration says
    stop: bool = False  # stop the old one when all else is made
    stopped: bool = False  # do not start the new one
