"""Many jails upgraded at once, by as many requests and by a rollout: beside as many times one; what others wait."""

from __future__ import annotations

import os
import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from google.longrunning import operations_pb2

from jaild.v1 import jails_pb2, rollouts_pb2
from tests.bench import thousand
from tests.bench.daemon import Daemon, NotMeasuredError, cpu_of
from tests.bench.figures import Goal, Row

COUNT = 40
_RATIO, _ANSWER, _CALLBACK = 0.35, 100.0, 50.0  # of issue 14; ms, ms
_ALONE = 3  # upgrades of one jail at a time
_PAUSE = 0.02  # seconds between what somebody else asks


def measure(
    daemon: Daemon,
    spec: str,
    bases: tuple[str, str],
    slow: Path,
    say: Callable[[str], None],
    *,
    fuse: int | None = None,
) -> dict[str, Any]:
    """Create jails by `spec`, which names the first of `bases`, upgrade some one by one and then all others at once to
    the second, roll them out to the first again, and delete them.

    `slow` is the file in which the daemon notes its slow callbacks, `fuse` the process of its zfs-fuse, if it has one.
    """

    def spent() -> dict[str, float]:
        return daemon.spent | ({"zfs-fuse": cpu_of(fuse)[0]} if fuse is not None else {})

    before, base = bases
    names = [f"together-{number}" for number in range(_ALONE + COUNT)]
    say(f"{len(names)} jails for upgrades")
    for name in names:
        source = jails_pb2.SpecSource(yaml=spec)
        daemon.carried_out(daemon.jails.CreateJail, jails_pb2.CreateJailRequest(jail_id=name, spec=source))
    alone = [daemon.carried_out(daemon.jails.UpgradeBase, _upgrade(name, base)).seconds for name in names[:_ALONE]]
    say(f"{COUNT} upgrades at once")
    before_all = spent()
    seconds, answers = _together(
        daemon, lambda: [daemon.jails.UpgradeBase(_upgrade(name, base)).name for name in names[_ALONE:]]
    )
    cpu = {name: after - before_all[name] for name, after in spent().items()}
    say(f"a rollout of {COUNT} jails")
    rollout = _rollout(names[_ALONE:], before)
    rolled_out, meanwhile = _together(daemon, lambda: [daemon.rollouts.StartRollout(rollout).name])
    for name in names:
        daemon.carried_out(daemon.jails.DeleteJail, jails_pb2.DeleteJailRequest(name=f"jails/{name}", force=True))
    return {
        "count": COUNT,
        "seconds": seconds,
        "alone_seconds": statistics.median(alone),
        "ratio": seconds / (COUNT * statistics.median(alone)),
        "cpu_seconds": cpu,
        "cores": os.cpu_count() or 1,
        "rollout_seconds": rolled_out,
        "rollout_ratio": rolled_out / (COUNT * statistics.median(alone)),
        "slowest_answer_milliseconds": max(*answers, *meanwhile),
        "longest_callback_milliseconds": thousand.longest_callback(slow),
    }


def _together(daemon: Daemon, ask: Callable[[], Sequence[str]]) -> tuple[float, list[float]]:
    """Return the seconds until the operations have ended that `ask` begins and names, and what others waited, in ms."""
    answers = [_milliseconds(daemon)]
    began = time.perf_counter()
    left = deque(ask())
    while left:
        answers += [_milliseconds(daemon) for _ in range(5)]
        while left and _is_done(daemon, left[0]):  # each is asked about until it has ended, and then no more
            left.popleft()
    return time.perf_counter() - began, answers


def _upgrade(name: str, base: str) -> jails_pb2.UpgradeBaseRequest:
    return jails_pb2.UpgradeBaseRequest(name=f"jails/{name}", base=f"bases/{base}")


def _rollout(names: Sequence[str], base: str) -> rollouts_pb2.StartRolloutRequest:
    """Of all at once, and without a soak: what is left is each jail's plan and change."""
    policy = rollouts_pb2.RolloutPolicy(max_parallel=len(names))
    policy.min_healthy_time.FromSeconds(0)
    jails = [f"jails/{name}" for name in names]
    spec = rollouts_pb2.RolloutSpec(base=f"bases/{base}", jails=jails, policy=policy)
    return rollouts_pb2.StartRolloutRequest(spec=spec)


def _is_done(daemon: Daemon, name: str) -> bool:
    operation = daemon.operations.GetOperation(operations_pb2.GetOperationRequest(name=name))
    if operation.HasField("error"):
        raise NotMeasuredError(f"an upgrade among many: {operation.error.message}")
    return bool(operation.done)


def _milliseconds(daemon: Daemon) -> float:
    """How long somebody waits for a list of the jails, from a look at the clock to the answer."""
    time.sleep(_PAUSE)
    began = time.perf_counter()
    daemon.jails.ListJails(jails_pb2.ListJailsRequest())
    return (time.perf_counter() - began) * 1000


def goals(found: Mapping[str, Any]) -> list[Goal]:
    """The goals of issue 14."""
    what = f"{found['count']} jails upgraded together"
    longest = found["longest_callback_milliseconds"]
    return [
        Goal(name=f"{what} to {found['count']} times one", value=found["ratio"], limit=_RATIO, unit=""),
        Goal(
            name=f"{what} by a rollout to {found['count']} times one",
            value=found["rollout_ratio"],
            limit=_RATIO,
            unit="",
        ),
        Goal(name=f"{what}: slowest answer", value=found["slowest_answer_milliseconds"], limit=_ANSWER, unit="ms"),
        Goal(name=f"{what}: longest callback", value=longest, limit=_CALLBACK, unit="ms"),
    ]


def rows(found: Mapping[str, Any]) -> list[Row]:
    """The lines of the table."""
    ratio, by_rollout, answer, callback = goals(found)
    longest = f"{callback.value:.0f} ms" if callback.value else "none over 50 ms"
    alone = f"{found['alone_seconds']:.3f} s for one alone"
    cpu, cores, alone_all = found["cpu_seconds"], found["cores"], found["count"] * found["alone_seconds"]
    return [
        *(
            Row(what=goal.name, measured=f"{seconds:.2f} s", reference=alone, ratio=f"{goal.value:.2f}", goal=goal)
            for goal, seconds in ((ratio, found["seconds"]), (by_rollout, found["rollout_seconds"]))
        ),
        Row(
            what=f"{found['count']} jails upgraded together: CPU",
            measured=f"{sum(cpu.values()):.2f} s",
            reference=", ".join(f"{name} {seconds:.2f} s" for name, seconds in cpu.items()),
            ratio=f"{sum(cpu.values()) / cores / alone_all:.2f} at best, {cores} cores",
        ),
        Row(what=answer.name, measured=f"{answer.value:.0f} ms", goal=answer),
        Row(what=callback.name, measured=longest, goal=callback),
    ]
