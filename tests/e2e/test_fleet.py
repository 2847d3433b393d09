"""Three real hosts: emptying one of them, over a death of its daemon too, and trying a move before it is made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jaild.model.errors import FailedPreconditionError
from jaild.v1 import evacuations_pb2, jails_pb2, test_migrations_pb2
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.client import metadata, refused, until
from tests.e2e.conftest import furnish
from tests.e2e.node import CHECKOUT, Node, surroundings
from tests.e2e.pair import joined
from tests.e2e.test_migration import WRITER, numbers

pytestmark = pytest.mark.real(*LINUX_HOST)
RUNNING = jails_pb2.Jail.STATE_RUNNING


@dataclass(frozen=True)
class Fleet:
    alpha: Node
    beta: Node
    gamma: Node

    @property
    def nodes(self) -> tuple[Node, ...]:
        return self.alpha, self.beta, self.gamma

    def running_on(self, jail: str) -> list[str]:
        return [node.name for node in self.nodes if node.jail_processes(jail)]


@pytest.fixture(scope="module")
def hosts(workshop: Path) -> Iterator[Fleet]:
    with joined({"gamma": "10.77.0.13"}) as (nodes, _):
        furnish(nodes["alpha"].api, workshop)
        yield Fleet(**nodes)


@pytest.fixture
def fleet(hosts: Fleet) -> Iterator[Fleet]:
    """The hosts without jails and without a drain, before and after."""
    yield hosts
    for node in hosts.nodes:
        node.api.call(node.api.evacuations.UndrainHost, evacuations_pb2.UndrainHostRequest())
        for name in node.api.names_of_jails():
            node.api.delete(name)
        assert [name for name in node.datasets() if name.startswith(("/jails/", "/rehearsals/"))] == []
        assert node.jail_processes() == []


def writer(number: int, **more: str) -> str:
    network = f"{{mode: vnet, addresses: [10.77.0.{100 + number}/24]}}"
    return trees.spec("tiny-1", "web/1", command=json.dumps(["/bin/sh", "-c", WRITER]), network=network, **more)


def jailctl(node: Node, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [
        sys.executable,
        "-c",
        "from jaild.cli.main import main; main()",
        "--address",
        f"unix://{node.folder}/jaild.sock",
    ]
    environment = {**surroundings(), "COLUMNS": "140", "XDG_CONFIG_HOME": str(node.folder)}
    return subprocess.run(
        [*argv, *words], cwd=CHECKOUT, env=environment, check=False, capture_output=True, text=True, timeout=240
    )


def has_written(node: Node, jail: str) -> bool:
    return len(numbers(node, jail)) > 3


def goes_on(fleet: Fleet, jail: str, host: Node, acknowledged: int) -> None:
    """That host, and no other, runs the jail, which has all that it had written and writes on."""
    assert fleet.running_on(jail) == [host.name]
    found = numbers(host, jail)
    assert found == list(range(1, len(found) + 1))
    assert len(found) >= acknowledged
    until(lambda: len(numbers(host, jail)) > len(found))


def test_a_host_is_emptied_and_nothing_is_lost(fleet: Fleet) -> None:
    alpha = fleet.alpha
    apart = {"labels": "{service: dns}", "placement": "{apart: service, priority: 500}"}
    for number in range(1, 5):
        alpha.api.create(f"edge-{number}", writer(number, **(apart if number > 2 else {})))
    alpha.api.create("huge", writer(9, limits="{memory: 900G}"))
    for number in range(1, 5):
        until(partial(has_written, alpha, f"edge-{number}"))
    plan = jailctl(alpha, "host", "evacuate", "--to", "beta,gamma", "--dry-run")
    assert plan.returncode == 0, plan.stderr
    assert "NO_MEMORY" in plan.stdout
    before = {f"edge-{number}": len(numbers(alpha, f"edge-{number}")) for number in range(1, 5)}

    done = jailctl(
        alpha, "host", "evacuate", "--to", "beta,gamma", "--parallel", "2", "--bandwidth", "50M", "-o", "json"
    )
    assert "EVACUATION_INCOMPLETE" in done.stderr
    moves = {move["jail"].removeprefix("jails/"): move for move in json.loads(done.stdout)["moves"]}
    assert {jail for jail, move in moves.items() if move["state"] == "moved"} == set(before)
    assert set(list(moves)[:2]) == {"edge-3", "edge-4"}  # the larger one first, whichever it is
    assert moves["edge-3"]["target"] != moves["edge-4"]["target"]
    assert moves["huge"]["reason"] == "NO_HOST_TAKES_IT"
    for jail, acknowledged in before.items():
        goes_on(fleet, jail, getattr(fleet, moves[jail]["target"]), acknowledged)
    assert fleet.running_on("huge") == ["alpha"]
    report = jailctl(alpha, "host", "evacuation")
    assert report.stdout.splitlines()[0].split() == ["JAIL", "TO", "STATE", "SENT", "TOOK", "DOWNTIME", "REASON"]
    with refused(FailedPreconditionError, "HOST_DRAINING"):
        alpha.api.create("late", writer(8))
    with refused(FailedPreconditionError, "PLAN_REFUSED"):
        fleet.beta.api.migrate(next(jail for jail in before if moves[jail]["target"] == "beta"), "alpha")


def test_a_daemon_that_dies_goes_on_with_the_evacuation_when_it_is_back(fleet: Fleet) -> None:
    alpha = fleet.alpha
    for number in range(1, 4):
        alpha.api.create(f"edge-{number}", writer(number))
        alpha.api.sh(f"edge-{number}", f"head -c {4 << 20} /dev/urandom | dd of=/var/ballast conv=fsync")
    operation = alpha.api.call(
        alpha.api.evacuations.EvacuateHost,
        evacuations_pb2.EvacuateHostRequest(targets=["gamma"], parallel=1, bandwidth=8 << 20),
    )
    moved = {f"edge-{number}" for number in range(1, 4)}
    until(lambda: bool(fleet.gamma.api.all_jails()), 60)
    alpha.kill()
    alpha.start()
    done = alpha.api.end(operation)
    assert not done.HasField("error"), done.error
    for jail in sorted(moved):
        goes_on(fleet, jail, fleet.gamma, 1)
    assert alpha.jail_processes() == []


WEB = json.dumps(["httpd", "-f", "-p", "10.77.0.107:80", "-h", "/usr/local"])


def web(app: str = "web/1", path: str = "/version") -> str:
    """A jail that serves on its own address, and is healthy if it answers there."""
    return trees.spec(
        "tiny-1",
        app,
        command=WEB,
        network="{mode: vnet, addresses: [10.77.0.107/24]}",
        health=f"[{{kind: http, port: 80, path: {path}}}]",
        readiness="{successes: 2, interval: 0.1, deadline: 3}",
    )


def asked_to_test(node: Node, jail: str, target: str, **more: Any) -> Any:
    request = test_migrations_pb2.TestMigrationRequest(name=f"jails/{jail}", target=target, **more)
    return node.api.call(node.api.test_migrations.TestMigration, request)


def test_a_test_migration_boots_a_clone_where_nobody_reaches_it_and_leaves_nothing(fleet: Fleet) -> None:
    alpha, beta = fleet.alpha, fleet.beta
    alpha.api.create("shop", web())
    started = alpha.api.jail("shop").start_time
    layers = [name for name in alpha.datasets() if not name.startswith("/jails")]
    told = jailctl(alpha, "jail", "migrate", "shop", "beta", "--test")
    assert told.returncode == 0, told.stderr
    assert "tested, alpha -> beta" in told.stdout
    assert "healthy: true" in told.stdout
    assert alpha.api.jail("shop").state == RUNNING
    assert alpha.api.jail("shop").start_time == started
    assert [name for name in alpha.datasets() if not name.startswith("/jails")] == layers
    assert [name for name in alpha.datasets() if "@mig-" in name] == []
    assert beta.traces()["trees"] == []
    assert [name for name in beta.datasets() if name.startswith(("/jails/", "/rehearsals/"))] == []
    assert beta.api.names_of_jails() == []
    assert beta.jail_processes() == []


def test_a_jail_that_would_not_come_up_is_told_with_what_its_check_said(fleet: Fleet) -> None:
    alpha, beta = fleet.alpha, fleet.beta
    check = "ip link show eth0 || { echo no uplink; exit 1; }"  # there is one where it is
    health = f"[{{kind: exec, command: [/bin/sh, -c, {json.dumps(check)}]}}]"
    alpha.api.create(
        "shop", trees.spec("tiny-1", "web/1", health=health, network="{mode: vnet, addresses: [10.77.0.107/24]}")
    )
    told = jailctl(alpha, "jail", "migrate", "shop", "beta", "--test")
    assert told.returncode != 0
    assert "TEST_MIGRATION_FAILED" in told.stderr
    assert "no uplink" in told.stderr
    assert fleet.running_on("shop") == ["alpha"]
    assert [name for name in beta.datasets() if name.startswith(("/jails/", "/rehearsals/"))] == []


def test_a_target_that_dies_while_the_clone_runs_has_nothing_of_it_when_it_is_back(fleet: Fleet) -> None:
    alpha, beta = fleet.alpha, fleet.beta
    alpha.api.create(
        "shop", trees.spec("tiny-1", "web/1", readiness="{successes: 50, interval: 0.5, deadline: 60}"), stopped=True
    )
    operation = asked_to_test(alpha, "shop", "beta")
    assert alpha.api.until_phase(operation, "test") == "test"
    until(lambda: bool(beta.jail_processes()))
    beta.kill()
    beta.start()
    end = alpha.api.end(operation)
    assert end.HasField("error")
    assert metadata(end).kind == "test-migration"
    until(lambda: not [name for name in beta.datasets() if name.startswith(("/jails/", "/rehearsals/"))], 60)
    assert beta.jail_processes() == []


def test_what_left_comes_back_after_the_repair(fleet: Fleet) -> None:
    alpha, beta = fleet.alpha, fleet.beta
    for node in fleet.nodes:
        added = jailctl(alpha, "context", "add", node.name, "--address", f"unix://{node.folder}/jaild.sock")
        assert added.returncode == 0, added.stderr
    for number in (1, 2):
        alpha.api.create(f"edge-{number}", writer(number))
    gone = jailctl(alpha, "host", "evacuate", "--to", "beta", "--proceed")
    assert gone.returncode == 0, gone.stderr
    planned = jailctl(alpha, "host", "evacuate", "--back", "--plan")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    first, *jails = [line.split(". ")[1] for line in planned.stdout.splitlines() if ". " in line]
    assert (first, sorted(jails)) == ("take new jails and migrations again", ["edge-1 from beta", "edge-2 from beta"])
    until(lambda: has_written(beta, "edge-1") and has_written(beta, "edge-2"))
    acknowledged = {number: len(numbers(beta, f"edge-{number}")) for number in (1, 2)}
    back = jailctl(alpha, "host", "evacuate", "--back", "--proceed", "--bandwidth", "50M")
    assert back.returncode == 0, back.stdout + back.stderr
    for number in (1, 2):
        goes_on(fleet, f"edge-{number}", alpha, acknowledged[number])
    assert jailctl(alpha, "host", "undrain").stderr == ""


def test_a_capped_move_is_let_go_while_it_runs(fleet: Fleet) -> None:
    alpha = fleet.alpha
    alpha.api.create("edge-1", writer(1))
    data = alpha.folder / "big"
    data.write_bytes(os.urandom(32 << 20))
    copied = jailctl(alpha, "jail", "cp", str(data), "edge-1:/var/big")
    assert copied.returncode == 0, copied.stderr
    began = jailctl(alpha, "jail", "migrate", "edge-1", "beta", "--bandwidth", "64K", "--proceed", "--no-wait")
    assert began.returncode == 0, began.stderr  # eight minutes, as it is

    def sending() -> list[dict[str, str]]:
        told = json.loads(jailctl(alpha, "migration", "ls", "-o", "json").stdout)["migrations"]
        return [each for each in told if each["phase"] == "sending" and each["jail"] == "jails/edge-1"]

    until(lambda: bool(sending()))
    let_go = jailctl(alpha, "migration", "cap", sending()[0]["name"], "0")
    assert (let_go.returncode, let_go.stdout) == (0, "edge-1 is sent to beta with as much as there is\n"), let_go.stderr
    ended = jailctl(alpha, "operation", "wait", began.stdout.strip())
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert fleet.running_on("edge-1") == ["beta"]
