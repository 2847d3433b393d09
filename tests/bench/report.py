"""What was measured, beside its goals: as a table for people."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench import liveness, many_report, migration_report, programs, scraping, together
from tests.bench.figures import Goal, Row, seconds_of, spread_of

_DOWNTIME = 1.1
_WITH_COPIES = {"create": 1.3, "deploy": 1.5, "upgrade": 1.5}  # of the bare commands and the copies that it needs
_WIDTH = 140  # columns where there is no terminal


def goals(document: Mapping[str, Any]) -> list[Goal]:
    """The goals of the project for what was measured."""
    moved, counted = document.get("migration"), document.get("programs")
    return [
        *((*_times(document), *_goals(document)) if "changes" in document else []),
        *many_report.goals(document),
        *(programs.goals(counted) if counted else []),
        *(together.goals(document["together"]) if "together" in document else []),
        *(liveness.goals(document["liveness"]) if "liveness" in document else []),
        *(scraping.goals(document["scraping"]) if "scraping" in document else []),
        *(migration_report.goals(moved) if moved else []),
    ]


def rows(document: Mapping[str, Any]) -> list[Row]:
    """The lines of the table."""
    moved, counted = document.get("migration"), document.get("programs")
    return [
        *(_rows(document) if "changes" in document else []),
        *many_report.rows(document),
        *(programs.rows(counted) if counted else []),
        *(together.rows(document["together"]) if "together" in document else []),
        *(liveness.rows(document["liveness"]) if "liveness" in document else []),
        *(scraping.rows(document["scraping"]) if "scraping" in document else []),
        *(migration_report.rows(moved) if moved else []),
    ]


def _times(document: Mapping[str, Any]) -> list[Goal]:
    changes = document["changes"]
    return [
        Goal(
            name=f"{kind} of a jail to the bare commands with the copies",
            value=changes[kind]["ratio_with_copies"]["median"],
            limit=limit,
            unit="",
        )
        for kind, limit in _WITH_COPIES.items()
    ]


def _goals(document: Mapping[str, Any]) -> list[Goal]:
    downtime = document["changes"]["downtime"]
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
    ]


def _rows(document: Mapping[str, Any]) -> list[Row]:
    changes = document["changes"]
    restart, by_hand = _goals(document)
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
            goal=goal,
        )
        for kind, goal in zip(_WITH_COPIES, _times(document), strict=True)
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
    return found


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
