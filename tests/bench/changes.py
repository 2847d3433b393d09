"""Create, deploy, upgrade and restart of a jail by jaild, each followed at once by the same by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jaild.v1 import jails_pb2
from tests.bench.bare import BareJail, Place, Spent
from tests.bench.daemon import Change, Daemon, NotMeasuredError
from tests.bench.figures import ratios, summary
from tests.demo.assets import Assets

KINDS = ("create", "deploy", "upgrade", "restart")


@dataclass
class Pairs:
    """What was measured of one kind, in the order in which it was."""

    jaild: list[Change] = field(default_factory=list)
    bare: list[Spent] = field(default_factory=list)


def specification(assets: Assets) -> str:
    """Redis without a port, so that jails need no addresses, and quick to see a signal: every 2 ms, not 100.

    Without health checks jaild watches for the interval whether it stays up: as short as can be.
    """
    return (
        f"base: {assets.old_base.name}\n"
        f"app: {assets.plain.reference}\n"
        "command: [/usr/local/bin/redis-server, /usr/local/etc/redis/redis.conf, "
        '--port, "0", --unixsocket, /tmp/redis, --hz, "500"]\n'
        "readiness: {successes: 1, interval: 0.001}\n"
    )


def measure(daemon: Daemon, place: Place, assets: Assets, repetitions: int, say: Callable[[str], None]) -> Any:
    """Measure all kinds with a new jail for each repetition; returns what the JSON has. One more, the first, warms."""
    pairs = {kind: Pairs() for kind in KINDS}
    for number in range(repetitions + 1):
        say(f"create, deploy, upgrade, restart: {number} of {repetitions}" if number else "warming up")
        fresh = _one(daemon, BareJail(place=place, model=f"bench-{number}"), assets)
        if number:
            for kind, (change, spent) in fresh.items():
                pairs[kind].jaild.append(change)
                pairs[kind].bare.append(spent)
    return {
        "repetitions": repetitions,
        **{kind: _compared(pairs[kind]) for kind in KINDS},
        "downtime": _downtime(pairs["deploy"], pairs["restart"]),
    }


def _one(daemon: Daemon, bare: BareJail, assets: Assets) -> dict[str, tuple[Change, Spent]]:
    jail, messages, found = f"jails/{bare.model}", jails_pb2, {}
    spec = messages.SpecSource(yaml=specification(assets))
    create = messages.CreateJailRequest(jail_id=bare.model, spec=spec)
    found["create"] = (daemon.carried_out(daemon.jails.CreateJail, create), bare.create())
    release = f"apps/{assets.tuned.app}/releases/{assets.tuned.version}"
    deploy = messages.DeployReleaseRequest(name=jail, release=release)
    found["deploy"] = (daemon.carried_out(daemon.jails.DeployRelease, deploy), bare.change(2))
    upgrade = messages.UpgradeBaseRequest(name=jail, base=f"bases/{assets.new_base.name}")
    found["upgrade"] = (daemon.carried_out(daemon.jails.UpgradeBase, upgrade), bare.change(3))
    restart = messages.RestartJailRequest(name=jail)
    found["restart"] = (daemon.carried_out(daemon.jails.RestartJail, restart), bare.restart(3))
    bare.end(3)
    daemon.carried_out(daemon.jails.DeleteJail, messages.DeleteJailRequest(name=jail, force=True))
    return found


def _compared(pairs: Pairs) -> dict[str, Any]:
    programs = sorted({program for spent in pairs.bare for program in spent.by_program})
    return {
        "jaild_seconds": summary([change.seconds for change in pairs.jaild]),
        "bare_seconds": summary([spent.total for spent in pairs.bare]),
        "copies_by_hand_seconds": summary([spent.copies for spent in pairs.bare]),
        "ratio_with_copies": ratios(
            [change.seconds for change in pairs.jaild], [spent.total + spent.copies for spent in pairs.bare]
        ),
        "ratio": ratios([change.seconds for change in pairs.jaild], [spent.total for spent in pairs.bare]),
        "bare_seconds_by_program": {
            program: summary([spent.by_program[program] for spent in pairs.bare])["median"] for program in programs
        },
    }


def _downtime(deploy: Pairs, restart: Pairs) -> dict[str, Any]:
    deployed, restarted = _downtimes(deploy), _downtimes(restart)
    by_hand = [spent.downtime for spent in restart.bare]
    least = [spent.downtime for spent in deploy.bare]
    return {
        "deploy_seconds": summary(deployed),
        "restart_by_jaild_seconds": summary(restarted),
        "stop_and_start_by_hand_seconds": summary(by_hand),
        "cut_over_by_hand_seconds": summary(least),
        "ratio_to_restart_by_jaild": ratios(deployed, restarted),
        "ratio_to_stop_and_start_by_hand": ratios(deployed, by_hand),
        "ratio_to_cut_over_by_hand": ratios(deployed, least),
        "meaning": {
            "deploy_seconds": "downtime in the metadata of DeployRelease: from the request to stop until it started",
            "restart_by_jaild_seconds": "the same in the metadata of RestartJail: stop, unmount, mount, create, start",
            "stop_and_start_by_hand_seconds": "runc kill, the jail's end, runc delete, create, start: tree mounted",
            "cut_over_by_hand_seconds": "runc kill, the jail's end, runc start of the container prepared before",
        },
    }


def _downtimes(pairs: Pairs) -> list[float]:
    found = [change.downtime for change in pairs.jaild if change.downtime is not None]
    if len(found) != len(pairs.jaild):
        raise NotMeasuredError("an operation does not tell its downtime")
    return found
