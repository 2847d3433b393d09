"""Answers about a fleet, out of what its hosts told last: each with its age, and with the hosts that were not heard.

A host that was not heard may have what is asked for: no answer here is "nothing" without saying so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_NEVER = "has never told anything"
# Of jails that the host owns; what is in another state is a copy, or on its way.
_OWNED = frozenset({"running", "stopped", "failed", "frozen", "starting", "crash-loop"})
_OF_ROOM = ("available_bytes", "used_bytes", "running")

Row = dict[str, Any]


@dataclass(frozen=True)
class Told:
    """What a host told: its summary, and how old that is in seconds."""

    summary: Mapping[str, Any]
    age: int


@dataclass(frozen=True)
class Fleet:
    """By minion: what each host told, and why others are not heard. One that is late is in both."""

    told: Mapping[str, Told]
    unheard: Mapping[str, str]

    def asked(self, answers: Mapping[str, Any], hosts: Iterable[str], is_one: Callable[[Any], bool]) -> Fleet:
        """Return the same after `hosts` were asked: who gave no answer, or another one, is unheard."""
        failed = {host: silence(answers.get(host)) for host in hosts if not is_one(answers.get(host))}
        well = [host for host in answers if host not in failed]
        return Fleet(self.told, {**{h: why for h, why in self.unheard.items() if h not in well}, **failed})

    def newly(self, summaries: Mapping[str, Any]) -> Fleet:
        """Return the same with the summaries that were just asked for."""
        now = {host: Told(each, 0) for host, each in summaries.items() if is_summary(each)}
        return Fleet({**self.told, **now}, self.unheard)

    def answer(self, **found: Any) -> dict[str, Any]:
        """Return what was found with how many hosts were heard, the oldest word's age, and who was not heard."""
        ages = [each.age for each in self.told.values()]
        return {
            **found,
            "hosts": len(ages),
            "oldest": max(ages, default=0),
            "unheard": dict(sorted(self.unheard.items())),
        }


def gathered(minions: Iterable[str], summaries: Mapping[str, Any], now: float, max_age: float) -> Fleet:
    """Return the fleet that `minions` are, of their summaries in the mine.

    `now`: seconds since the epoch. What is older than `max_age` seconds counts, and its host as unheard.
    """
    told: dict[str, Told] = {}
    unheard: dict[str, str] = {}
    for minion in minions:
        summary: Any = summaries.get(minion)
        if not is_summary(summary):
            unheard[minion] = _NEVER
            continue
        told[minion] = Told(summary, max(int(now - datetime.fromisoformat(summary["time"]).timestamp()), 0))
        if told[minion].age > max_age:
            unheard[minion] = f"told this {told[minion].age} s ago, and nothing since"
    return Fleet(told, unheard)


def is_summary(answer: Any) -> bool:
    """Whether it is a host's summary, and no error in the place of one."""
    return isinstance(answer, Mapping) and "jails" in answer and "time" in answer


def silence(answer: Any) -> str:
    """Return why an answer is none: its first line if it is an error."""
    return answer.partition("\n")[0] if isinstance(answer, str) and answer else "does not answer"


def whereabouts(fleet: Fleet, jail: str) -> list[Row]:
    """Return the hosts that have a jail, with what it is there: whose it is first, then the newest word."""
    rows = [
        {"host": host, "age": each.age, **each.summary["jails"][jail]}
        for host, each in fleet.told.items()
        if jail in each.summary["jails"]
    ]
    return sorted(rows, key=lambda row: (row["state"] not in _OWNED, row["age"], row["host"]))


def by_room(fleet: Fleet, *, least: bool = False) -> list[Row]:
    """Return the hosts by the space that is left, most first, or least."""
    rows = [{"host": host, **_room(each)} for host, each in fleet.told.items()]
    sign = 1 if least else -1
    return sorted(rows, key=lambda row: (sign * row["available_bytes"], row["host"]))


def behind(fleet: Fleet, channel: str = "") -> list[Row]:
    """Return the jails that follow a channel and are not on its base; of all channels for ''."""
    rows = []
    for host, each in fleet.told.items():
        for name, jail in each.summary["jails"].items():
            if jail.get("behind") and channel in {"", jail.get("channel")} and jail["state"] in _OWNED:
                its = {key: jail[key] for key in ("channel", "base", "behind") if key in jail}
                rows.append({"jail": name, "host": host, **its, "age": each.age})
    return sorted(rows, key=lambda row: (row["channel"], row["base"], row["jail"]))


def bases_of_channels(fleet: Fleet, channel: str = "") -> dict[str, dict[str, int]]:
    """Return by channel on how many hosts it names each base."""
    found: dict[str, Counter[str]] = {}
    for each in fleet.told.values():
        for name, base in each.summary.get("channels", {}).items():
            if channel in {"", name}:
                found.setdefault(name, Counter())[base] += 1
    return {name: dict(counts.most_common()) for name, counts in sorted(found.items())}


def holders(answers: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[list[Row], list[Row]]:
    """Return which generations of which jails hold what was asked for, and which layers could not be looked into.

    `answers`: of each host what `find_contents` gave. A layer's matches come with the first of its messages.
    """
    rows: list[Row] = []
    dark: list[Row] = []
    for host, answer in sorted(answers.items()):
        matches: dict[str, list[str]] = {}
        for part in answer:
            if part.get("not_indexed"):
                dark.append({"host": host, "layer": part["layer"], "why": part["not_indexed"]})
            matches.setdefault(part["layer"], [_match(each) for each in part.get("matches", ())])
            rows.extend({"host": host, **_use(use), "holds": matches[part["layer"]]} for use in part.get("uses", ()))
    return _joined(rows), dark


def _joined(rows: Iterable[Row]) -> list[Row]:
    """Return a generation that holds it by its base and by its release as one row, the active ones first."""
    found: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        key = (not row["active"], row["jail"], row["host"], row["generation"])
        known = found.setdefault(key, {**row, "holds": []})
        known["holds"] = list(dict.fromkeys([*known["holds"], *row["holds"]]))
    return [found[key] for key in sorted(found)]


def _use(use: Mapping[str, Any]) -> Row:
    jail = str(use["jail"]).partition("/")[2]
    active = bool(use.get("active"))
    return {"jail": jail, "state": use.get("state", ""), "generation": use.get("generation", 0), "active": active}


def _match(match: Mapping[str, Any]) -> str:
    """Say `libssl.so.3 3.0.14 (openssl)`."""
    words: Iterator[str] = (str(match.get(key, "")) for key in ("name", "version"))
    package = f"({match['package']})" if match.get("package") else ""
    unsure = "(version not known)" if match.get("unsure") else ""
    return " ".join(word for word in (*words, package, unsure) if word)


def _room(told: Told) -> Row:
    summary = told.summary
    found = {key: summary.get(key, 0) for key in _OF_ROOM}
    own = sum(jail["state"] in _OWNED for jail in summary["jails"].values())
    drained = {"drained": summary["drain"].get("reason", "")} if "drain" in summary else {}
    warnings = {"warnings": list(summary["warnings"])} if summary.get("warnings") else {}
    return {**found, "jails": own, **drained, **warnings, "age": told.age}
