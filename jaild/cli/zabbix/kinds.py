"""The kinds of objects that Zabbix watches by, as far as a template of ours has them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Item:
    """A value, cut out of the answer by a Prometheus pattern.

    `series` is the pattern; with `label` that label's text is the value, with `total` the sum of all that match.
    `absent` is the value where there is no such series; None: there is no value then. `rate`: per second, of a counter.
    """

    key: str
    name: str
    series: str
    label: str = ""
    total: bool = False
    absent: str | None = None
    rate: bool = False
    units: str = ""
    words: str = ""  # the value map
    keep: bool = False  # only what changes is kept, and once an hour what does not


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """`name` is the Prometheus alert's. In `when`, `{key}` or `{key,period}` stands for an item's place."""

    name: str
    says: str
    when: str
    page: bool = False  # somebody gets up


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A picture of some items, by key."""

    name: str
    keys: tuple[str, ...]
    stacked: bool = False


@dataclass(frozen=True, kw_only=True)
class Discovery:
    """Things that each have their own items: one for each line of `series`, told apart by `labels`."""

    key: str
    name: str
    series: str
    labels: tuple[str, ...]
    items: tuple[Item, ...]
    triggers: tuple[Trigger, ...] = ()
    graphs: tuple[Graph, ...] = ()
    without: tuple[tuple[str, str], ...] = ()  # label, and the value of it that is left out


@dataclass(frozen=True, kw_only=True)
class Watched:
    """All of it."""

    items: tuple[Item, ...]
    triggers: tuple[Trigger, ...]
    graphs: tuple[Graph, ...]
    discoveries: tuple[Discovery, ...]
    words: dict[str, dict[str, str]] = field(default_factory=dict)
