"""Slow releases on a real daemon: undone unless confirmed, drained before the stop, cleaned up afterwards."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from google.protobuf import duration_pb2

from jaild.model.errors import FailedPreconditionError
from jaild.v1 import apps_pb2, bases_pb2, common_pb2
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.client import Client, metadata, refused, response, until
from tests.e2e.conftest import MANIFEST
from tests.e2e.node import Node

pytestmark = pytest.mark.real(*LINUX_HOST)
NOW = duration_pb2.Duration()


def test_what_nobody_confirms_is_undone_although_the_daemon_is_killed_meanwhile(node: Node, jail: str) -> None:
    node.api.deploy(jail, "web/2", confirm_within=duration_pb2.Duration(seconds=4))
    assert node.api.sh(jail, "cat /usr/local/version") == "version 2\n"
    with refused(FailedPreconditionError, "CHANGE_UNCONFIRMED"):
        node.api.done(node.api.deploy_begin(jail, "web/1"))
    node.kill()
    node.start()
    found = node.api.wait_for(jail, lambda jail: jail.release == "apps/web/releases/1" and not jail.operation)
    assert (found.generation, found.revert_generation) == (1, 0)
    assert node.api.sh(jail, "cat /usr/local/version") == "version 1\n"


def test_what_is_confirmed_stays(api: Client, jail: str) -> None:
    api.deploy(jail, "web/2", confirm_within=duration_pb2.Duration(seconds=600))
    assert api.jail(jail).revert_generation == 1
    api.confirm_change(jail)
    assert api.jail(jail).revert_generation == 0
    api.deploy(jail, "web/1")


def test_what_is_staged_survives_a_kill_and_its_window_cuts_over_by_itself(node: Node) -> None:
    node.api.create("staged-1", trees.spec("tiny-1", "web/1"))
    staged = node.api.deploy("staged-1", "web/2", stage=True)
    assert not metadata(staged).HasField("downtime")
    node.kill()
    node.start()
    api = node.api
    kept = api.jail("staged-1")
    assert (kept.generation, kept.staged.generation, kept.staged.release) == (1, 2, "apps/web/releases/2")
    assert api.sh("staged-1", "cat /usr/local/version; echo mine > /etc/mine") == "version 1\n"
    always = trees.spec("tiny-1", "web/1", maintenance="['00:00-24:00 Europe/Berlin']")
    api.configure("staged-1", always)  # what is staged is merged with it
    moved = api.wait_for("staged-1", lambda jail: jail.release == "apps/web/releases/2" and not jail.operation)
    assert (list(moved.spec.maintenance), moved.HasField("staged")) == (["00:00-24:00 Europe/Berlin"], False)
    assert api.sh("staged-1", "cat /usr/local/version /etc/mine") == "version 2\nmine\n"
    assert api.jail("staged-1").generation == 4
    api.delete("staged-1")


class LoadBalancer:
    """Notes what it is asked, and answers when it may."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.port = 0

    def hooks(self) -> str:
        drain = f"{{kind: http, method: PUT, url: 'http://127.0.0.1:{self.port}/drain', status: 204, on_error: abort}}"
        serve = f"{{kind: http, url: 'http://127.0.0.1:{self.port}/serve'}}"
        command = "{kind: exec, command: [/bin/sh, -c, 'cat /usr/local/version >> /var/drained']}"
        return f"{{before_stop: [{drain}, {command}], after_start: [{serve}]}}"


@contextmanager
def load_balancer() -> Iterator[LoadBalancer]:
    lb = LoadBalancer()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            lb.asked.append(f"{self.command} {self.path}")
            lb.may_answer.wait(30)
            self.send_response(204)
            self.end_headers()

        do_PUT = do_POST = answer  # noqa: N815 -- http.server's

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    lb.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield lb
    finally:
        lb.may_answer.set()
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_jail_drains_while_it_serves_and_what_is_before_it_hears_that_it_serves_again(node: Node) -> None:
    with load_balancer() as lb:
        node.api.create("edge-2", trees.spec("tiny-1", "web/1", hooks=lb.hooks()))
        done = node.api.deploy("edge-2", "web/2")
        assert node.api.sh("edge-2", "cat /var/drained") == "version 1\n"
        assert lb.asked == ["POST /serve", "PUT /drain", "POST /serve"]
        assert [phase.name for phase in metadata(done).phases].index("drain") == 2

        lb.may_answer.clear()
        node.api.deploy_begin("edge-2", "web/1")
        until(lambda: len(lb.asked) == 4)
        node.kill()  # between the hook and the stop
        lb.may_answer.set()
        node.start()
        until(lambda: lb.asked[3:] == ["PUT /drain", "POST /serve"])
        assert node.api.sh("edge-2", "cat /usr/local/version") == "version 2\n"
        node.api.delete("edge-2")


def test_what_nothing_needs_is_pruned_as_planned(
    api: Client, node: Node, jail: str, workshop: Path, tmp_path: Path
) -> None:
    api.import_base("spare", trees.base(workshop / "spare.tgz", "9"))
    first = api.push("gone/1", trees.release(tmp_path / "1.tgz", "1"), manifest=MANIFEST)
    api.push("gone/2", trees.release(tmp_path / "2.tgz", "2"), manifest=MANIFEST, **{"from": "apps/gone/releases/1"})
    assert first.done

    young = apps_pb2.PruneReleasesRequest(parent="apps/gone", validate_only=True)
    assert not response(api.call(api.apps.PruneReleases, young), common_pb2.Plan()).steps
    asked = apps_pb2.PruneReleasesRequest(parent="apps/gone", min_age=NOW, validate_only=True)
    planned = response(api.call(api.apps.PruneReleases, asked), common_pb2.Plan())
    assert list(planned.steps) == ["delete apps/gone/releases/2", "delete apps/gone/releases/1"]
    assert planned.frees_bytes > 0

    spare = f"{node.pool}/jaild/bases/spare@sealed"
    node.zfs("hold", "mine", spare)
    bases = bases_pb2.PruneBasesRequest(min_age=NOW)
    kept = metadata(api.done(api.call(api.bases.PruneBases, bases)))
    assert "spare" in api.names_of_bases()
    assert [problem.code for problem in kept.plan.problems if problem.subject == "bases/spare"] == ["LAYER_KEPT"]
    node.zfs("release", "mine", spare)

    asked.validate_only = False
    done = metadata(api.done(api.call(api.apps.PruneReleases, asked)))
    api.done(api.call(api.bases.PruneBases, bases))
    assert (done.facts["removed"], list(done.plan.steps)) == ("2", list(planned.steps))
    assert api.names_of_bases() == ["tiny-1"]
    assert not [name for name in node.datasets() if "/gone" in name or name.endswith("/spare")]
    assert api.sh(jail, "cat /usr/local/version") == "version 1\n"
