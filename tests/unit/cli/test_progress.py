"""What one sees while one waits."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console
from rich.progress import Progress

from jaild.cli.output import board, human, progress
from jaild.v1 import evacuations_pb2


class Screen(StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_bar_only_while_bytes_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("sys.stderr", Screen())
    with progress.shown() as view:
        assert isinstance(view, progress.Live)
    line = progress.line(Console(file=StringIO()))
    view = progress.Live(line)
    view.step("seed", "round 1", 1 << 20, 4 << 20)
    counted = _frame(line)
    view.step("health-check", "[b]check 1", 0, 0)
    waiting = _frame(line)

    assert "1M of 4M" in counted
    assert "━" in counted
    assert "1M" not in waiting
    assert "━" not in waiting
    assert "[b]check 1" in waiting


@pytest.mark.parametrize("term", ["", "dumb", "unknown", None])
def test_a_console_that_does_not_say_what_it_is_gets_lines_and_no_codes(
    monkeypatch: pytest.MonkeyPatch, term: str | None
) -> None:
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    if term is None:
        monkeypatch.delenv("TERM", raising=False)
    else:
        monkeypatch.setenv("TERM", term)
    with progress.shown() as view:
        view.step("stop", "order 100: web")
    with board.shown(evacuations_pb2.Evacuation) as moves:
        moves.step("move", "web")
    assert screen.getvalue() == "stop: order 100: web\nmove: web\n"


def test_a_log_gets_a_line_for_each_change_of_phase_or_message_and_none_for_bytes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress.shown() as view:
        for done in range(3):
            view.step("seed", "round 1", done, 3)
        view.step("seed", "round 2\x1b", 3, 3)

    assert capsys.readouterr() == ("", "seed: round 1\nseed: round 2\\x1b\n")


@pytest.mark.parametrize(("seconds", "text"), [(0.0004, "0 ms"), (0.312, "312 ms"), (4.2, "4.20 s"), (125, "2m05s")])
def test_measured_times_have_a_unit(seconds: float, text: str) -> None:
    assert human.duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(-5, "0s"), (90, "90s"), (150, "2m"), (86400 * 9, "9d")])
def test_ages_are_short(seconds: float, text: str) -> None:
    assert human.age(seconds) == text


def _frame(line: Progress) -> str:
    console = Console(file=StringIO(), width=120, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(line.get_renderable())
    return capture.get()
