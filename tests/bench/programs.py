"""How many programs a daemon starts for one change: noted by itself, by Python's audit events (tests/loopwatch)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaild.v1 import jails_pb2
from tests.bench import changes
from tests.bench.daemon import Daemon, running
from tests.bench.figures import Goal, Row
from tests.demo.assets import Assets
from tests.demo.hosts import CHECKOUT

_GOALS = {"create": 5, "upgrade": 5, "rollback": 5, "restart": 3}
_TINY, _REDIS = "tiny", "redis"


@dataclass(frozen=True, kw_only=True)
class _Jail:
    spec: str
    release: str  # that it is deployed with next
    base: str  # and upgraded to after that


def measure(argv: Sequence[str], socket: Path, things: Assets) -> dict[str, Any]:
    """Count on a daemon of its own that has bases tiny-1 and tiny-2, releases tiny/1 and tiny/2, and `things`."""
    noted = socket.with_name("programs.log")
    path = f"{CHECKOUT}:{CHECKOUT / 'tests' / 'loopwatch'}"
    surroundings = os.environ | {"PYTHONPATH": path, "JAILD_TESTS_PROGRAMS": str(noted)}
    redis = changes.specification(things)
    jails = {
        _TINY: _Jail(spec=tiny(), release="tiny/2", base="tiny-2"),
        _REDIS: _Jail(spec=redis, release=things.tuned.reference, base=things.new_base.name),
    }
    with running(argv, socket, socket.with_name("jaild.log"), surroundings) as daemon:
        return {name: _counted(daemon, name, jail, noted) for name, jail in jails.items()}


def tiny() -> str:
    """The spec of a jail whose new /etc needs no tool of its base."""
    return "base: tiny-1\napp: tiny/1\nreadiness: {successes: 1, interval: 0.001}\nstop: {timeout: 3}\n"


def _counted(daemon: Daemon, jail: str, wanted: _Jail, noted: Path) -> dict[str, int]:
    name, jails, messages = f"jails/{jail}", daemon.jails, jails_pb2
    app, _, version = wanted.release.partition("/")
    spec = messages.SpecSource(yaml=wanted.spec)
    release = f"apps/{app}/releases/{version}"
    asked: Mapping[str, tuple[Callable[..., Any], Any]] = {
        "create": (jails.CreateJail, messages.CreateJailRequest(jail_id=jail, spec=spec)),
        "deploy": (jails.DeployRelease, messages.DeployReleaseRequest(name=name, release=release)),
        "upgrade": (jails.UpgradeBase, messages.UpgradeBaseRequest(name=name, base=f"bases/{wanted.base}")),
        "rollback": (jails.RollbackJail, messages.RollbackJailRequest(name=name)),
        "restart": (jails.RestartJail, messages.RestartJailRequest(name=name)),
    }
    found = {}
    for kind, (method, request) in asked.items():
        before = _lines(noted)
        daemon.carried_out(method, request)
        found[kind] = _lines(noted) - before
    daemon.carried_out(jails.DeleteJail, messages.DeleteJailRequest(name=name, force=True))
    return found


def _lines(noted: Path) -> int:
    return noted.read_bytes().count(b"\n")


def goals(found: Mapping[str, Any]) -> list[Goal]:
    """The goals of issue 14, for a jail whose new /etc needs no tool of its base."""
    return [
        Goal(name=f"programs started by one {kind}", value=found[_TINY][kind], limit=limit, unit="")
        for kind, limit in _GOALS.items()
    ]


def rows(found: Mapping[str, Any]) -> list[Row]:
    """The lines of the table."""
    return [
        Row(
            what=goal.name,
            measured=f"{goal.value:.0f}",
            reference=f"{found[_REDIS][kind]} of Redis on Debian",
            goal=goal,
        )
        for kind, goal in zip(_GOALS, goals(found), strict=True)
    ]
