"""`--plan`: every verb that changes something takes it, and asks for the plan alone."""

from __future__ import annotations

from pathlib import Path

import click

from jaild.cli.output.exits import Exit
from jaild.v1 import apps_pb2, channels_pb2, common_pb2, evacuations_pb2, jails_pb2, rollouts_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.daemon import Daemon, operation
from tests.unit.cli.test_channels import STABLE
from tests.unit.cli.test_help import ALL

READING = {
    *(
        "ls",
        "show",
        "releases",
        "history",
        "diff",
        "find",
        "sbom",
        "generations",
        "logs",
        "build-log",
        "wait",
        "stats",
        "audit",
    ),
    *("explain", "data-loss", "evacuation", "events", "help", "completion", "top", "snapshots", "targets"),
}
# What changes something and has no plan, and why.
UNPLANNED = {
    ("jail", "exec"): "what a command does is not ours to tell",
    ("jail", "console"): "the same",
    ("operation", "cancel"): "it asks for an end, and is refused where it is too late; its request is Google's",
    ("context", "add"): "only a file of the user's own, which keeps the daemons by name",
    ("context", "use"): "the same",
    ("context", "rm"): "the same",
    ("zabbix", "template"): "it prints",
    ("web",): "it shows, and what it does is planned first",
}


def test_every_verb_that_changes_something_can_be_planned() -> None:
    without = set()
    for path, found in ALL:
        options = [option for parameter in found.params for option in parameter.opts]
        if not isinstance(found, click.Group) and "--plan" not in options and path[-1] not in READING:
            without.add(path)
        assert ("--plan" in options) is ("--dry-run" in options), path
    assert without == UNPLANNED.keys()


def test_what_the_daemon_answers_at_once_is_told_as_a_plan_too(jailctl: Run, daemon: Daemon) -> None:
    daemon.channels, daemon.rollouts = [STABLE], [rollouts_pb2.Rollout(name="rollouts/op-1")]
    told = {
        (
            "channel",
            "set",
            "stable",
            "debian-14",
        ): "let it name debian-14, debian-13 before: followed by 2 jails, 1 of",
        ("channel", "set", "stable", "debian-13"): "nothing to change",
        ("channel", "rm", "stable"): "remove it",
        ("host", "drain"): "take no new jails and no migrations; 3 jails here",
        ("host", "undrain"): "nothing to change",
        ("rollout", "pause", "op-1"): "nothing to change",  # as it is in this daemon afterwards
    }
    for words, step in told.items():
        done = jailctl(*words, "--dry-run")
        assert (words, done.exit_code, step in done.stdout) == (words, Exit.OK, True)
        assert done.stdout.startswith("plan: ")
        assert '"kind"' in jailctl(*words, "--plan", "-o", "json").stdout
    kinds = (
        channels_pb2.SetChannelRequest,
        channels_pb2.DeleteChannelRequest,
        evacuations_pb2.DrainHostRequest,
        evacuations_pb2.UndrainHostRequest,
        rollouts_pb2.PauseRolloutRequest,
    )
    requests = [request for kind in kinds for request in daemon.asked(kind)]
    assert len(requests) == 2 * len(told)
    assert all(request.validate_only for request in requests)


def test_of_an_archive_to_be_planned_nothing_is_read_or_sent(jailctl: Run, daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "redis.yaml").write_text("command: [redis-server]\n")
    daemon.answers = [operation(common_pb2.Plan(kind="push", target="apps/redis/releases/7.2", steps=["seal it"]))]
    done = jailctl("app", "push", "redis/7.2", "/dev/zero", "--manifest", str(tmp_path / "redis.yaml"), "--plan")
    assert (done.exit_code, "1. seal it" in done.stdout) == (Exit.OK, True)
    (only,) = daemon.uploads
    assert isinstance(only, apps_pb2.PushReleaseRequest)
    assert only.header.validate_only


def test_many_jails_are_planned_one_by_one(jailctl: Run, daemon: Daemon) -> None:
    plans = [common_pb2.Plan(kind="stop", target=f"jails/{name}", unchanged=True) for name in ("web", "db")]
    daemon.answers = list(map(operation, plans))
    done = jailctl("jail", "stop", "web", "db", "--plan")
    assert done.stdout.splitlines()[:2] == ["plan: stop jails/web", "  nothing to change"]
    assert [request.validate_only for request in daemon.asked(jails_pb2.StopJailRequest)] == [True, True]
