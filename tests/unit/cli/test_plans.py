"""What a plan shows, and that one is never carried out for want of a daemon that knows plans."""

from __future__ import annotations

from jaild.v1 import common_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.daemon import Daemon, operation


def test_a_plan_shows_what_becomes_what(jailctl: Run, daemon: Daemon) -> None:
    changes = [
        common_pb2.FieldChange(field="$.environment.KEY", before="(redacted)", after="(redacted)"),
        common_pb2.FieldChange(field="$.limits.memory", after="512M"),
        common_pb2.FieldChange(field="$.user", before="web", after=""),
    ]
    plan = common_pb2.Plan(
        kind="configure",
        target="jails/web",
        from_generation=2,
        to_generation=3,
        base="bases/debian-13",
        from_base="bases/debian-12",
        release="apps/web/releases/2",
        from_release="apps/web/releases/1",
        changes=changes,
    )
    daemon.answers = [operation(plan, kind="configure")]
    assert jailctl("jail", "deploy", "web", "web/2", "--plan").stdout.splitlines()[1:7] == [
        "  generation  2 -> 3",
        "  base        debian-12 -> debian-13",
        "  release     web/1 -> web/2",
        "  spec        $.environment.KEY: (redacted) -> (redacted)",
        "              $.limits.memory: none -> 512M",
        "              $.user: web -> ''",
    ]
    same = common_pb2.Plan(kind="deploy", target="jails/web", base=plan.base, from_base=plan.base, release=plan.release)
    daemon.answers = [operation(same), operation(common_pb2.Plan(kind="create", base=plan.base, release=plan.release))]
    assert jailctl("jail", "deploy", "web", "web/2", "--plan").stdout.splitlines()[1:3] == [
        "  base        debian-13",
        "  release     none -> web/2",
    ]
    assert "  release     web/2" in jailctl("jail", "deploy", "web", "web/2", "--plan").stdout  # of a new jail
