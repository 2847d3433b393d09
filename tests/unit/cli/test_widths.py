"""Lists fit a terminal of 80 columns, with names as one meets them; what is wider is shown with --wide."""

from __future__ import annotations

import importlib
import pkgutil
import time
from collections.abc import Sequence
from typing import Any

import click
import pytest
from click.testing import CliRunner
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import status_pb2

from jaild.cli.client.contexts import Context
from jaild.cli.commands import find, host, jail, jail_inside, rollout, stats
from jaild.cli.output import listing, render
from jaild.cli.output.listing import Column, Look
from jaild.cli.zabbix.push import Done, Result
from jaild.v1 import (
    apps_pb2,
    backups_pb2,
    bases_pb2,
    channels_pb2,
    contents_pb2,
    event_sinks_pb2,
    events_pb2,
    histories_pb2,
    host_pb2,
    jails_pb2,
    migrations_pb2,
    rollouts_pb2,
    snapshots_pb2,
    stats_pb2,
    templates_pb2,
    volumes_pb2,
)
from tests.unit.cli.daemon import operation

COMMANDS = "jaild.cli.commands"
LONG_AGO = Timestamp(seconds=int(time.time()) - 99 * 86400)
RELEASE, BASE = "apps/frontend/releases/2026.11.3", "bases/freebsd-14.3-p5"
DOWN = Duration(seconds=1, nanos=240_000_000)
ID = "0123456789abcdef" * 2

JAIL = jails_pb2.Jail(
    name="jails/web-frontend",
    state=jails_pb2.Jail.STATE_RUNNING,
    health=jails_pb2.HealthStatus(state=jails_pb2.HealthStatus.STATE_HEALTHY),
    generation=12,
    base=BASE,
    release=RELEASE,
    start_time=LONG_AGO,
    used_bytes=1_600_000_000,
    owner="alpha",
    spec=jails_pb2.JailSpec(network=jails_pb2.Network(addresses=["10.98.0.120/24", "2001:db8::78/64"])),
)
STATS = stats_pb2.JailStats(
    name=JAIL.name,
    cpu_seconds=98765.4,
    cpu_limit=2,
    memory_bytes=310 << 20,
    memory_limit_bytes=512 << 20,
    processes=112,
    processes_limit=200,
    data_bytes=1_300_000_000,
    data_quota_bytes=10 << 30,
    disk_bytes=1_600_000_000,
    start_time=LONG_AGO,
)
MIGRATION = migrations_pb2.Migration(
    name=f"migrations/{ID}",
    jail=JAIL.name,
    source="alpha-7",
    target="beta-12",
    phase="activated",
    downtime=DOWN,
    predicted_downtime=DOWN,
    predicted_at_least=True,
    create_time=LONG_AGO,
)
STEP = rollouts_pb2.RolloutStep(
    jail=JAIL.name,
    state=rollouts_pb2.RolloutStep.STATE_SOAKING,
    before="apps/frontend/releases/2026.11.2",
    target=RELEASE,
    downtime=DOWN,
    reason="HEALTH_CHECK_FAILED",
    runs=rollouts_pb2.RunsOn(generation=12, base=BASE, release=RELEASE, base_guid=1 << 62),
)
ROLLOUT = rollouts_pb2.Rollout(
    name=f"rollouts/{ID}", state=rollouts_pb2.Rollout.STATE_CANCELLING, target=RELEASE, create_time=LONG_AGO
)
HOST = host_pb2.HostInfo(
    name="alpha.example.org", jails=112, running=110, available_bytes=1 << 40, version="1.10.0", zfs="openzfs 2.3.2"
)
AUDITED = host_pb2.AuditEntry(
    sequence=123456,
    time=LONG_AGO,
    actor="cache-team",
    method="jaild.v1.Jails/DeployRelease",
    target=JAIL.name,
    outcome="FAILED_PRECONDITION PLAN_REFUSED",
    operation=f"operations/{ID}",
)
GENERATION = jails_pb2.Generation(
    number=12,
    active=True,
    base=BASE,
    release=RELEASE,
    reason="configure",
    parent=11,
    actor="ops-team",
    create_time=LONG_AGO,
)
VOLUME = volumes_pb2.JailVolume(
    name="jails/web-frontend/volumes/database",
    path="/var/db/postgres/data17",
    referenced_bytes=1 << 34,
    used_bytes=1 << 35,
    quota_bytes=40 << 30,
    generations=[9, 10, 11, 12],
)
LAYER: dict[str, Any] = {"size_bytes": 1_600_000_000, "used_bytes": 1_200_000_000, "used_by": [""] * 112}
PARENT: dict[str, Any] = {"from": "apps/frontend/releases/2026.11.2"}
UNDER_WAY = operation(
    error=status_pb2.Status(code=9, message="5.7 s are predicted, 5 s are allowed; no round makes it shorter"),
    name=f"operations/{ID}",
    kind="force-start",
    target=JAIL.name,
    phase="health checks",
    create_time=LONG_AGO,
)

# What is in each list of each module of commands.
FULL: dict[str, Any] = {
    "app._APPS": apps_pb2.App(name="apps/frontend", release_count=12, latest_release=RELEASE),
    "app._RELEASES": apps_pb2.Release(
        name=RELEASE,
        added_bytes=1_600_000_000,
        push_time=LONG_AGO,
        **PARENT,
        **LAYER,
    ),
    "base._COLUMNS": bases_pb2.Base(
        name=BASE, abi="FreeBSD:14:amd64", version="14.3-RELEASE-p5", import_time=LONG_AGO, **LAYER
    ),
    "channel._COLUMNS": channels_pb2.Channel(
        name="channels/freebsd-stable",
        base=BASE,
        followers=[""] * 112,
        behind=[""] * 12,
        moves=[channels_pb2.ChannelMove(actor="source-team", move_time=LONG_AGO)],
    ),
    "context._COLUMNS": ("beta", Context("beta.example.org:8443", cert="/home/someone/certificates/me.pem"), True),
    "event_sink._COLUMNS": event_sinks_pb2.EventSink(
        name="eventSinks/pager-service",
        kind="webhook",
        destination="https://hooks.example.org/services/jaild",
        state=event_sinks_pb2.EventSink.STATE_DELIVERING,
        delivered_count=1_234_567,
        last_delivery_time=LONG_AGO,
        dead_letter_count=112,
        lost_count=12,
    ),
    "event_sink._LETTERS": event_sinks_pb2.DeadLetter(
        event=events_pb2.Event(sequence=123456, time=LONG_AGO, kind="standby.volume_kept", target=JAIL.name),
        give_up_time=LONG_AGO,
        replay_time=LONG_AGO,
    ),
    "find._COLUMNS": find.Row(
        find.Layer("alpha", BASE, matches=[contents_pb2.ContentMatch(name="libssl.so.3", version="3.0.15-1~deb12u1")]),
        contents_pb2.LayerUse(jail=JAIL.name, generation=12, active=True, state="crash-loop"),
    ),
    "host._AUDIT": AUDITED,
    "host._HOSTS": ("alpha", HOST),
    "jail._COLUMNS": JAIL,
    "jail_inside._GENERATIONS": GENERATION,
    "jail_past._COLUMNS": histories_pb2.HistoryEntry(
        time=LONG_AGO,
        kind="configure",
        actor="ops-team",
        outcome="HEALTH_CHECK_FAILED",
        from_generation=11,
        to_generation=12,
        downtime=DOWN,
        predicted_downtime=DOWN,
        predicted_at_least=True,
    ),
    "migration._COLUMNS": MIGRATION,
    "operation._COLUMNS": UNDER_WAY,
    "peer._COLUMNS": (host_pb2.PeerAddress(name="beta-12", address="beta-12.example.org:8443"), True),
    "rollout._COLUMNS": ROLLOUT,
    "rollout._STEPS": STEP,
    "backup._TARGETS": backups_pb2.BackupTarget(name="vault-2", destination="jaild@backup.example.org:tank/backups"),
    "backup._COLUMNS": backups_pb2.Backup(
        id="backup-20261130t181500z",
        jail=JAIL.name,
        uid="0123456789abcdef0123456789abcdef",
        host="alpha.example.org",
        create_time=LONG_AGO,
        base=BASE,
        release=RELEASE,
        size_bytes=1 << 34,
    ),
    "jail_snapshots._COLUMNS": snapshots_pb2.JailSnapshot(
        name="jails/web-frontend/snapshots/auto-20261130T181500Z",
        create_time=LONG_AGO,
        used_bytes=1 << 34,
        referenced_bytes=1 << 35,
        purpose="migration",
        actor="alice",
        parts=[".", "data", "database"],
    ),
    "stats._COLUMNS": stats.row(STATS, {JAIL.name: 1.234}),
    "template._COLUMNS": templates_pb2.JailTemplate(
        name="templates/http-service", description="A service.", variables=["base", "release", "address", "quota"]
    ),
    "volume._COLUMNS": VOLUME,
    "zabbix._COLUMNS": Result(what="media type", name="jaild: jails of alpha.example.org", done=Done.MADE),
}


def lists() -> dict[str, Sequence[Column]]:
    """All columns of all modules of commands."""
    found: dict[str, Sequence[Column]] = {}
    for module in pkgutil.iter_modules(importlib.import_module(COMMANDS).__path__):
        for name, value in vars(importlib.import_module(f"{COMMANDS}.{module.name}")).items():
            if isinstance(value, tuple) and value and all(isinstance(each, Column) for each in value):
                found[f"{module.name}.{name}"] = value
    return found


def printed(columns: Sequence[Column], thing: Any, look: Look) -> list[str]:
    @click.command
    def command() -> None:
        listing.table(look, [thing], columns)

    return CliRunner().invoke(command, catch_exceptions=False).stdout.splitlines()


def test_every_list_has_an_example_here() -> None:
    assert {host, jail, jail_inside, rollout}  # imported, as all are
    assert set(lists()) == set(FULL)


@pytest.mark.parametrize("name", FULL)
def test_a_list_fits_80_columns_but_for_its_sentences(name: str) -> None:
    columns = lists()[name]
    assert all(not column.prose for column in columns[:-1])
    shown = [column for column in columns if not column.prose]
    lines = printed(shown, FULL[name], Look())
    room = len("  NOTE") if columns[-1].prose else 0
    assert max(map(len, lines)) + room <= 80, lines


def test_a_list_of_jails_of_all_contexts_fits_80_columns() -> None:
    lines = printed(jail.of_all_contexts(), ("alpha", JAIL), Look())
    assert max(map(len, lines)) <= 80, lines


def test_sentences_end_where_the_terminal_does(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("web", "all is well"), ("db", "it waits for beta, which has been away since 14:00 and does not answer")]
    render.table(("NAME", "NOTE"), rows, width=40)
    head, short, cut = capsys.readouterr().out.splitlines()
    assert (head, short) == ("NAME  NOTE", "web   all is well")
    assert cut == "db    it waits for beta, which has been…"
    render.table(("NAME", "NOTE"), rows, width=5)  # a word at least: the terminal wraps it
    assert capsys.readouterr().out.splitlines()[2] == "db    it waits fo…"
    render.table(("NAME", "NOTE"), rows)
    assert capsys.readouterr().out.splitlines()[2].endswith("does not answer")
