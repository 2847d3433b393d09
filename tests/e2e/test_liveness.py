"""Jails that run are checked, and those that end are started again: on a real daemon and runtime."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from jaild.v1 import events_pb2, jails_pb2
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.client import Client, until
from tests.e2e.node import Node

pytestmark = pytest.mark.real(*LINUX_HOST)
Health = jails_pb2.HealthStatus
LIVENESS = (
    "{interval: 1, failures: 2, checks: [{kind: process}, {kind: exec, command: [/bin/test, '!', -e, /var/sick]}]}"
)


def is_so(node: Node, name: str, state: int) -> bool:
    found: bool = node.api.jail(name).health.state == state
    return found


def told(api: Client, name: str, *kinds: str) -> list[events_pb2.Event]:
    watched = api.events.WatchEvents(events_pb2.WatchEventsRequest(target=f"jails/{name}", no_follow=True), timeout=30)
    return [event for event in watched if event.kind in kinds]


def test_a_jail_is_checked_as_long_as_it_runs_also_by_the_next_daemon(node: Node) -> None:
    node.api.create("edge-1", trees.spec("tiny-1", "web/1", liveness=LIVENESS))
    until(lambda: is_so(node, "edge-1", Health.STATE_HEALTHY))
    node.api.sh("edge-1", "touch /var/sick")
    until(lambda: is_so(node, "edge-1", Health.STATE_UNHEALTHY))
    found = node.api.jail("edge-1")
    assert found.state == jails_pb2.Jail.STATE_RUNNING
    assert found.health.output == "/bin/test ! -e /var/sick: exit status 1"
    before = node.jail_processes("edge-1")
    node.kill()
    node.start()
    until(lambda: is_so(node, "edge-1", Health.STATE_UNHEALTHY))
    node.api.sh("edge-1", "rm /var/sick")
    until(lambda: is_so(node, "edge-1", Health.STATE_HEALTHY))
    assert node.jail_processes("edge-1") == before
    found_out = told(node.api, "edge-1", "jail.unhealthy", "jail.healthy")
    assert [event.kind for event in found_out] == ["jail.unhealthy", "jail.unhealthy", "jail.healthy"]
    node.api.stop("edge-1")
    assert not node.api.jail("edge-1").HasField("health")
    node.api.delete("edge-1")


def test_a_jail_that_ends_by_itself_is_started_again_until_it_does_so_too_often(node: Node) -> None:
    policy = "{policy: on-failure, max: 2, within: 600, backoff: {first: 0.2, longest: 0.2}}"
    node.api.create("edge-2", trees.spec("tiny-1", "web/1", restart=policy))
    for ends in (1, 2):
        before = node.jail_processes("edge-2")
        kill_first_process(node, "edge-2")
        until(partial(runs_after, node, "edge-2", ends))
        assert not set(before) & set(node.jail_processes("edge-2"))
        if ends == 1:
            node.kill()
            node.start()
    kill_first_process(node, "edge-2")
    until(lambda: node.api.jail("edge-2").state == jails_pb2.Jail.STATE_CRASH_LOOP)
    assert "signal 9 (SIGKILL)" in node.api.jail("edge-2").message
    node.terminate()
    node.start()
    assert node.api.jail("edge-2").state == jails_pb2.Jail.STATE_CRASH_LOOP
    node.api.start("edge-2")
    found = node.api.jail("edge-2")
    assert (found.state, found.HasField("restarts")) == (jails_pb2.Jail.STATE_RUNNING, False)
    node.kill()
    kill_first_process(node, "edge-2")
    node.start()
    until(partial(runs_after, node, "edge-2", 1))
    assert "while the daemon was away, with unknown status" in told(node.api, "edge-2", "jail.exited")[-1].message
    node.api.delete("edge-2")


def test_an_end_for_lack_of_memory_is_told_as_that(node: Node) -> None:
    grows = "[/bin/sh, -c, 'while ! test -e /var/grow; do sleep 0.1; done; tail /dev/zero']"
    more = {"command": grows, "limits": "{memory: 32M}", "restart": "{policy: never}"}
    node.api.create("edge-3", trees.spec("tiny-1", "web/1", **more))
    node.api.sh("edge-3", "touch /var/grow")
    until(lambda: node.api.jail("edge-3").state == jails_pb2.Jail.STATE_FAILED)
    assert "killed for lack of memory" in node.api.jail("edge-3").message
    node.api.delete("edge-3")


def runs_after(node: Node, name: str, ends: int) -> bool:
    found = node.api.jail(name)
    return found.restarts.ends == ends and found.HasField("start_time")


def kill_first_process(node: Node, name: str) -> None:
    (first,) = (pid for pid in node.jail_processes(name) if _is_first(pid))
    os.kill(first, signal.SIGKILL)


def _is_first(pid: int) -> bool:
    """Whether it is process 1 of its PID namespace; the lowest number here need not be: numbers begin anew."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return status["NSpid"].split()[-1] == "1"
