"""What came out of a story: the table for people and `build/demo.json` for programs, with the same numbers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from tests.demo.fleet import Result
from tests.demo.screen import STYLE


@dataclass
class Step:
    """One step. Seconds; a downtime is None where there was none to measure (nothing stopped, nobody writing yet)."""

    name: str
    expected: Result
    result: Result = Result.FAILED
    seconds: float = 0.0
    downtime_daemon: float | None = None
    downtime_client: float | None = None

    @property
    def right(self) -> bool:
        """Whether it ended as it should."""
        return self.result is self.expected


@dataclass(frozen=True)
class Promise:
    """What a rollout's plan said of some jails, and what happened."""

    jails: str
    planned: str
    happened: str


@dataclass
class Report:
    """All steps so far, what became of the client's writes, and of what a rollout's plan said."""

    steps: list[Step] = field(default_factory=list)
    acknowledged_writes: int = 0
    lost_writes: int | None = None  # None: the story did not come to count them
    promises: list[Promise] = field(default_factory=list)

    def problems(self, expected_steps: int) -> list[str]:
        """Everything that makes the demo fail."""
        found = [f"{step.name}: {step.result}, should be {step.expected}" for step in self.steps if not step.right]
        if len(self.steps) < expected_steps:
            found.append(f"{expected_steps - len(self.steps)} steps were not begun")
        if self.lost_writes is None:
            found.append("the writes were not counted")
        elif self.lost_writes:
            found.append(f"{self.lost_writes} acknowledged writes are lost")
        elif not self.acknowledged_writes:
            found.append("no write was acknowledged")
        return found

    def table(self) -> Table:
        """The steps with what they cost."""
        grid = Table(title="jaild: two hosts, one jail, three axes of time", title_justify="left")
        for name in ("step", "result"):
            grid.add_column(name, no_wrap=True)
        for name in ("seconds", "downtime: daemon", "client"):
            grid.add_column(name, justify="right", no_wrap=True)
        for step in self.steps:
            result = Text(step.result if step.right else f"{step.result} (not {step.expected})")
            result.stylize(STYLE[step.result] if step.right else "bold red")
            grid.add_row(
                step.name, result, f"{step.seconds:.1f}", _seconds(step.downtime_daemon), _seconds(step.downtime_client)
            )
        lost = "uncounted" if self.lost_writes is None else str(self.lost_writes)
        grid.caption = f"{self.acknowledged_writes} writes acknowledged, {lost} lost"
        grid.caption_justify = "left"
        return grid

    def promised(self) -> Table | None:
        """The rollout: what was planned, and what happened; None if there was none."""
        if not self.promises:
            return None
        grid = Table(title="the rollout", title_justify="left")
        for name in ("jails", "planned", "happened"):
            grid.add_column(name)
        for each in self.promises:
            grid.add_row(each.jails, each.planned, each.happened)
        return grid

    def document(self) -> dict[str, Any]:
        """The same for programs: no downtime is 0."""
        steps = [
            {
                "name": step.name,
                "result": str(step.result),
                "seconds": round(step.seconds, 3),
                "downtime_daemon_s": round(step.downtime_daemon or 0.0, 3),
                "downtime_client_s": round(step.downtime_client or 0.0, 3),
            }
            for step in self.steps
        ]
        return {
            "steps": steps,
            "acknowledged_writes": self.acknowledged_writes,
            "lost_writes": self.lost_writes,
            "rollout": [asdict(each) for each in self.promises],
        }

    def write(self, path: Path) -> None:
        """Write the document: the old one or the new one, whole."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(self.document(), indent=1) + "\n")
        part.replace(path)


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3f} s"
