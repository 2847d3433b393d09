"""Which jails a host answers for as Salt's resources."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from jaild.salt import inside
from jaild.v1 import host_pb2, jails_pb2

Jail = jails_pb2.Jail


def host(*jails: jails_pb2.Jail) -> Any:
    """An API with these jails, on the host alpha."""
    return SimpleNamespace(
        host=SimpleNamespace(GetHost=lambda *_, **__: host_pb2.HostInfo(name="alpha")),
        jails=SimpleNamespace(
            ListJails=lambda *_, **__: jails_pb2.ListJailsResponse(jails=jails),
            GetJail=lambda *_, **__: jails[0],
        ),
    )


def away() -> Any:
    def refuse(*_: Any, **__: Any) -> Any:
        raise grpc.RpcError

    return SimpleNamespace(host=SimpleNamespace(GetHost=refuse))


@pytest.mark.parametrize(
    ("state", "owner", "ours"),
    [
        (Jail.STATE_RUNNING, "alpha", True),
        (Jail.STATE_STOPPED, "alpha", True),
        (Jail.STATE_FROZEN, "alpha", True),
        (Jail.STATE_STARTING, "alpha", True),
        (Jail.STATE_CRASH_LOOP, "alpha", True),
        (Jail.STATE_WAITING, "alpha", False),  # another host may have taken it over
        (Jail.STATE_MOVED, "beta", False),
        (Jail.STATE_MOVED, "alpha", False),
        (Jail.STATE_STANDBY, "beta", False),
        (Jail.STATE_INCOMING, "beta", False),
    ],
)
def test_a_host_answers_for_the_jails_that_it_owns(state: Any, owner: str, ours: Any) -> None:
    found = inside.owned(host(Jail(name="jails/web", state=state, owner=owner)))
    assert found == (["web"] if ours else [])


def test_a_daemon_that_is_away_has_the_jails_that_it_had(tmp_path: Path) -> None:
    cache = tmp_path / "cache.json"
    assert inside.discovered(away(), cache) == []
    running = Jail(name="jails/web", state=Jail.STATE_RUNNING, owner="alpha")
    assert inside.discovered(host(running), cache) == ["web"]
    assert inside.discovered(away(), cache) == ["web"]
    assert inside.discovered(host(), cache) == []
    assert inside.discovered(away(), cache) == []


def test_grains_are_what_one_targets_by() -> None:
    jail = Jail(name="jails/web", state=Jail.STATE_RUNNING, owner="alpha", base="bases/debian-12")
    jail.release = "apps/redis/releases/7.0"
    jail.spec.labels["team"] = "cdn"
    jail.health.state = jails_pb2.HealthStatus.STATE_HEALTHY
    assert inside.grains(host(jail), "web") == {
        "id": "web",
        "virtual": "jail",
        "host": "alpha",
        "state": "running",
        "base": "debian-12",
        "release": "redis/7.0",
        "app": "redis",
        "health": "healthy",
        "labels": {"team": "cdn"},
    }
