"""What a state tells: results, differences and plans, decided without asking anybody.

A jail's spec moves on three axes, each with a method of its own: its base, its release, and the rest. `moves` says
which of them a wanted spec asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jaild.model.jails.redaction import REDACTED

_AXES = ("base", "channel", "app")
# What is told of a jail that changed; the rest is of no state's making.
_TOLD = ("state", "generation", "base", "release")
_ENVIRONMENT = "spec:environment"


@dataclass(frozen=True)
class Move:
    """A function of the execution module `jaild` with its arguments."""

    function: str
    arguments: Mapping[str, Any]

    def expecting(self, etag: str) -> Move:
        """Return it for the jail as it was left; a move that is of no known jail as it is."""
        known = bool(etag and self.arguments.get("etag"))
        return Move(self.function, {**self.arguments, "etag": etag}) if known else self


@dataclass(frozen=True)
class Plan:
    """What moves would do, as the daemon planned them: each with its `jaild.v1.Plan` as data."""

    planned: tuple[tuple[Move, Mapping[str, Any]], ...]

    @property
    def moves(self) -> tuple[Move, ...]:
        """Those that would change something."""
        return tuple(move for move, plan in self.planned if not plan.get("unchanged"))

    @property
    def refused(self) -> bool:
        """Whether the first of them would be refused. Those after it are planned on what is there before it."""
        due = [plan for _, plan in self.planned if not plan.get("unchanged")]
        return bool(due) and _errors(due[0])

    def text(self) -> str:
        """Return steps and problems, a line for each."""
        return "\n".join(self._texts())

    def first(self) -> str:
        """Return those of the first that would change something."""
        return next(self._texts())

    def _texts(self) -> Iterator[str]:
        return ("\n".join(_lines(plan)) for _, plan in self.planned if not plan.get("unchanged"))

    def differences(self, before: Mapping[str, Any] | None, expected: Mapping[str, Any]) -> dict[str, Any]:
        """Return what would differ, as old and new: by the plans, and by what is `expected` besides."""
        old = before or {}
        after, due = {**old, **expected}, [plan for _, plan in self.planned if not plan.get("unchanged")]
        for made, plan in enumerate(due):  # each on what is there now: it counts as if it were the first
            told = {axis: plan[axis] for axis in ("base", "release") if plan.get(axis) and plan[axis] != old.get(axis)}
            if plan.get("to_generation"):
                told["generation"] = plan["to_generation"] + made
            after |= told
        return differences(old, after)


@dataclass
class Outcome:
    """A state's return, as Salt wants it."""

    name: str
    result: bool | None = True
    comment: str = ""
    changes: dict[str, Any] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """Return it as a mapping, for the master, its job cache and its returners: without values of environments."""
        changes = {key: _withheld(each) if key == _ENVIRONMENT else each for key, each in self.changes.items()}
        return {"name": self.name, "result": self.result, "comment": self.comment, "changes": changes}


def moves(name: str, wanted: Mapping[str, Any], jail: Mapping[str, Any]) -> Iterator[Move]:
    """Yield what takes a jail to a wanted spec: its base, then its release, then the rest.

    A jail that follows the wanted channel stays on its base: to move what is behind is a rollout's work. Each is
    refused (ETAG_MISMATCH) if somebody else changes the jail before it.
    """
    there, known = jail.get("spec", {}), {"name": name, "etag": jail.get("etag")}
    if channel := wanted.get("channel"):
        if there.get("channel") != channel:
            yield Move("upgrade_base", {**known, "channel": channel})
    elif wanted.get("base") and (there.get("base") != wanted["base"] or there.get("channel")):
        yield Move("upgrade_base", {**known, "base": wanted["base"]})
    if wanted.get("app") and there.get("app") != wanted["app"]:
        yield Move("deploy_release", {**known, "release": wanted["app"]})
    rest = {key: value for key, value in wanted.items() if key not in _AXES}
    yield Move("configure_jail", {**known, "spec": {**_axes(there), **rest}})


def brief(jail: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what is told of a jail, its spec key by key."""
    if jail is None:
        return {}
    return {**{name: jail[name] for name in _TOLD if name in jail}, **of_spec(jail.get("spec", {}))}


def of_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is told of a spec."""
    return {f"spec:{key}": value for key, value in spec.items()}


def differences(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return by name what is not the same, as old and new; None for what is not there."""
    old, new = before or {}, after or {}
    names = [*old, *(name for name in new if name not in old)]
    return {name: {"old": old.get(name), "new": new.get(name)} for name in names if old.get(name) != new.get(name)}


def with_standby(jail: Mapping[str, Any], peers: Iterable[str], interval: float | None) -> dict[str, Any]:
    """Return a jail's spec with replicas on `peers`; without any, for none."""
    spec = {key: value for key, value in jail.get("spec", {}).items() if key != "standby"}
    wanted: dict[str, Any] = {"peers": list(peers)}
    if interval is not None:
        wanted["interval"] = interval
    return {**spec, "standby": wanted} if wanted["peers"] else spec


def _withheld(change: Mapping[str, Any]) -> dict[str, Any]:
    """Return of a change of the environment which names are others, without their values: these are secrets."""
    old, new = change["old"] or {}, change["new"] or {}
    differ = {name for name in (*old, *new) if old.get(name) != new.get(name)}
    return {side: {name: REDACTED for name in change[side] or {} if name in differ} for side in ("old", "new")}


def _axes(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {key: spec[key] for key in _AXES if key in spec}


def _errors(plan: Mapping[str, Any]) -> bool:
    return any(problem.get("severity") == "error" for problem in plan.get("problems", ()))


def _lines(plan: Mapping[str, Any]) -> Iterator[str]:
    yield f"{plan.get('kind', '')} {plan.get('target', '')}".strip()
    yield from (f"  {step}" for step in plan.get("steps", ()))
    for each in plan.get("changes", ()):
        yield f"  {each['field']}: {each.get('before', 'nothing')} -> {each.get('after', 'nothing')}"
    for problem in plan.get("problems", ()):
        yield f"  {problem.get('severity', '')}: {problem.get('code', '')}: {problem.get('message', '')}"
        if problem.get("hint"):
            yield f"    hint: {problem['hint']}"
