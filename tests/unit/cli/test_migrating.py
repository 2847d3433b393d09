"""What the commands that move jails ask for, and what they tell of it."""

from __future__ import annotations

import pytest
from google.protobuf import duration_pb2

from jaild.v1 import jails_pb2, migrations_pb2, test_migrations_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.daemon import Daemon, operation

DEPLOY = ("jail", "deploy", "web", "redis/7.2")
JAIL = jails_pb2.Jail(
    name="jails/web",
    state=jails_pb2.Jail.STATE_RUNNING,
    generation=4,
    base="bases/b",
    release="apps/redis/releases/7.2",
)


def test_a_migration_carries_its_downtime_budget_and_tells_how_it_went(jailctl: Run, daemon: Daemon) -> None:
    moved = migrations_pb2.Migration(phase="activated", source="alpha", target="beta", bytes=3 << 30)
    daemon.answers = [operation(moved, kind="migrate", rounds=2)]

    result = jailctl("jail", "migrate", "web", "beta", "--max-downtime", "1500ms", "--deadline", "2h")

    (request,) = daemon.asked(migrations_pb2.MigrateJailRequest)
    assert request.max_downtime == duration_pb2.Duration(seconds=1, nanos=500_000_000)
    assert request.deadline == duration_pb2.Duration(seconds=7200)
    assert not request.proceed_over_budget
    assert "migrate jails/web: activated, alpha -> beta, 3G\n  rounds: 2\n" in result.stdout


def test_a_prediction_that_was_a_lower_bound_is_called_one(jailctl: Run, daemon: Daemon) -> None:
    one, fifteen = duration_pb2.Duration(seconds=1), duration_pb2.Duration(seconds=15)
    moved = migrations_pb2.Migration()
    daemon.answers = [
        operation(moved, kind="migrate", predicted_downtime=one, predicted_at_least=True, downtime=fifteen)
    ]
    shown = jailctl("jail", "migrate", "web", "beta").stdout
    assert "downtime: 15.00 s (predicted at least 1.00 s)" in shown


@pytest.mark.parametrize(
    ("flags", "proceeds"),
    [
        ((), False),
        (("--over-budget", "refuse"), False),
        (("--over-budget", "proceed"), True),
        (("--proceed",), True),
    ],
)
def test_what_becomes_of_a_migration_over_its_budget_is_the_callers_choice(
    jailctl: Run, daemon: Daemon, flags: tuple[str, ...], *, proceeds: bool
) -> None:
    daemon.answers = [operation(migrations_pb2.Migration(), kind="migrate")]
    jailctl("jail", "migrate", "web", "beta", *flags)
    (request,) = daemon.asked(migrations_pb2.MigrateJailRequest)
    assert request.proceed_over_budget is proceeds
    assert not request.HasField("deadline")


def test_a_test_migration_is_asked_for_and_told_with_what_was_measured(jailctl: Run, daemon: Daemon) -> None:
    migration = migrations_pb2.Migration(phase="tested", source="alpha", target="beta", bytes=3 << 20)
    facts = {"healthy": "true", "predicted_downtime": "1.20 s", "start": "0.31 s", "copy": "thrown away"}
    daemon.answers = [operation(migration, kind="test-migration", target="jails/web", rounds=2, facts=facts)]
    result = jailctl("jail", "migrate", "web", "beta", "--test", "--keep-copy", "--max-downtime", "2s")
    assert result.exit_code == 0
    assert "tested, alpha -> beta, 3M" in result.stdout
    assert "predicted_downtime: 1.20 s" in result.stdout
    (request,) = daemon.asked(test_migrations_pb2.TestMigrationRequest)
    assert (request.name, request.target, request.keep_copy) == ("jails/web", "beta", True)
    assert request.max_downtime.seconds == 2
    daemon.answers = [operation(migration, kind="test-migration", target="jails/web")]
    assert jailctl("jail", "migrate", "web", "beta", "--rehearse").exit_code == 0  # what it was called
    assert len(daemon.asked(test_migrations_pb2.TestMigrationRequest)) == 2


def test_a_copy_is_kept_by_a_test_migration_only(jailctl: Run, daemon: Daemon) -> None:
    assert jailctl("jail", "migrate", "web", "beta", "--keep-copy").exit_code == 2
    assert daemon.requests == []
