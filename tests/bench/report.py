"""What was measured, beside its goals: as a table for people."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench import migration_report, programs
from tests.bench.figures import Goal, Row, seconds_of, spread_of

_DOWNTIME = 1.1
_WIDTH = 140  # columns where there is no terminal
_LIST = 20.0  # ms
_MEMORY = 120.0  # MB


def goals(document: Mapping[str, Any]) -> list[Goal]:
    """The goals of the project for what was measured."""
    moved, counted = document.get("migration"), document.get("programs")
    return [
        *(_goals(document) if "changes" in document else []),
        *(programs.goals(counted) if counted else []),
        *(migration_report.goals(moved) if moved else []),
    ]


def rows(document: Mapping[str, Any]) -> list[Row]:
    """The lines of the table."""
    moved, counted = document.get("migration"), document.get("programs")
    return [
        *(_rows(document) if "changes" in document else []),
        *(programs.rows(counted) if counted else []),
        *(migration_report.rows(moved) if moved else []),
    ]


def _goals(document: Mapping[str, Any]) -> list[Goal]:
    downtime, many = document["changes"]["downtime"], document["thousand"]
    return [
        Goal(
            name="downtime of a deploy to a restart by jaild",
            value=downtime["ratio_to_restart_by_jaild"]["median"],
            limit=_DOWNTIME,
            unit="",
        ),
        Goal(
            name="downtime of a deploy to stop and start by hand",
            value=downtime["ratio_to_stop_and_start_by_hand"]["median"],
            limit=_DOWNTIME,
            unit="",
        ),
        Goal(name="list", value=many["list_milliseconds"]["median"], limit=_LIST, unit="ms", below=True),
        Goal(name="memory", value=many["resident_megabytes"], limit=_MEMORY, unit="MB", below=True),
        Goal(name="processes started by listing", value=float(not many["no_process_started"]), limit=0, unit=""),
    ]


def _rows(document: Mapping[str, Any]) -> list[Row]:
    changes, many = document["changes"], document["thousand"]
    restart, by_hand, listing, memory, processes = _goals(document)
    dark = changes["downtime"]
    found = [
        Row(
            what=f"{kind} of a jail",
            measured=seconds_of(changes[kind]["jaild_seconds"]),
            reference=f"{seconds_of(changes[kind]['bare_seconds'])} by zfs, mount, runc",
            ratio=spread_of(changes[kind]["ratio"]),
        )
        for kind in ("create", "deploy", "upgrade")
    ]
    found += [
        Row(
            what=f"{kind} of a jail",
            measured=seconds_of(changes[kind]["jaild_seconds"]),
            reference=f"the same, and {seconds_of(changes[kind]['copies_by_hand_seconds'])} of cp",
            ratio=spread_of(changes[kind]["ratio_with_copies"]),
        )
        for kind in ("create", "deploy", "upgrade")
    ]
    measured = seconds_of(dark["deploy_seconds"])
    compared = (
        ("restart_by_jaild_seconds", "RestartJail", "ratio_to_restart_by_jaild", restart),
        ("stop_and_start_by_hand_seconds", "runc kill delete create start", "ratio_to_stop_and_start_by_hand", by_hand),
        ("cut_over_by_hand_seconds", "runc kill, start the next", "ratio_to_cut_over_by_hand", None),
    )
    found += [
        Row(
            what="downtime of a deploy",
            measured=measured,
            reference=f"{seconds_of(dark[reference])} by {name}",
            ratio=spread_of(dark[ratio]),
            goal=goal,
        )
        for reference, name, ratio, goal in compared
    ]
    found += [
        Row(what=f"{fewer['jails']} jails, real pool: ready after", measured=f"{fewer['ready_seconds']:.2f} s")
        for fewer in (document.get("fewer_on_the_real_pool"),)
        if fewer is not None
    ]
    pool = f"{many['jails']} jails, {many['pool']} pool: "
    return [
        *found,
        Row(what=pool + "list", measured=f"{many['list_milliseconds']['median']:.1f} ms", goal=listing),
        Row(what=pool + "processes started by it", measured=f"{processes.value:.0f}", goal=processes),
        Row(what=pool + "memory of the daemon", measured=f"{many['resident_megabytes']:.0f} MB", goal=memory),
        Row(what=pool + "ready after", measured=f"{many['ready_seconds']:.2f} s"),
        Row(what=pool + "answers after", measured=f"{many['answers_after_seconds']:.2f} s"),
    ]


def show(document: Mapping[str, Any]) -> None:
    """Print the table."""
    table = Table(title=f"jaild {document['commit']}, medians")
    for heading in ("what", "jaild", "beside", "ratio (least to greatest)", "goal"):
        table.add_column(heading)
    for row in rows(document):
        table.add_row(row.what, row.measured, row.reference, row.ratio, _verdict(row.goal))
    Console(width=None if sys.stdout.isatty() else _WIDTH).print(table)


def _verdict(goal: Goal | None) -> str:
    if goal is None:
        return ""
    return f"[green]{goal.told}: met[/]" if goal.met else f"[red]{goal.told}: missed[/]"
