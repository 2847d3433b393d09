"""A curve as the path of an SVG, made here: the page loads nothing from elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan

from jaild.model.quantity import size

_SHORT = 600.0  # seconds: of less, the seconds are told, too


@dataclass(frozen=True)
class Chart:
    """A curve in a box of `width` and `height`. `label` says it all in words, for whoever does not see it."""

    title: str
    label: str
    path: str
    area: str
    width: int
    height: int
    now: str
    top: str
    first: str
    last: str


def cpu(values: Sequence[float], times: Sequence[float], width: int, height: int) -> Chart | None:
    """Return the chart of CPUs that were kept busy; None for fewer than two measurements."""
    return _chart("CPU", values, times, width, height, lambda value: f"{100 * value:.0f}%", least=0.05)


def memory(values: Sequence[float], times: Sequence[float], width: int, height: int) -> Chart | None:
    """Return the chart of bytes in memory; None for fewer than two measurements."""
    return _chart("Memory", values, times, width, height, lambda value: size(int(value)), least=1 << 20)


def _chart(
    title: str,
    values: Sequence[float],
    times: Sequence[float],
    width: int,
    height: int,
    told: Callable[[float], str],
    *,
    least: float,
) -> Chart | None:
    known = [value for value in values if not isnan(value)]
    if len(known) < 2:  # noqa: PLR2004 -- a curve has two ends
        return None
    most, now = max(known), values[-1]
    last = "not running" if isnan(now) else told(now)
    spans = _spans(values, times, width, height, max(most, least) * 1.1)
    line = "".join("M" + " ".join(f"{x:.1f},{y:.1f}" for x, y in span) for span in spans)
    area = "".join(
        f"M{span[0][0]:.1f},{height} " + " ".join(f"{x:.1f},{y:.1f}" for x, y in span) + f" {span[-1][0]:.1f},{height}Z"
        for span in spans
    )
    shown = "%H:%M" if times[-1] - times[0] > _SHORT else "%H:%M:%S"
    first, end = (time.strftime(shown, time.localtime(at)) for at in (times[0], times[-1]))
    label = f"{title} from {first} to {end}: now {last}, most {told(most)}"
    return Chart(title, label, line, area, width, height, last, told(most), first, end)


def _spans(
    values: Sequence[float], times: Sequence[float], width: int, height: int, top: float
) -> list[list[tuple[float, float]]]:
    """Return the points, apart where nothing is known."""
    length = (times[-1] - times[0]) or 1.0
    spans: list[list[tuple[float, float]]] = [[]]
    for at, value in zip(times, values, strict=True):
        if isnan(value):
            spans.append([])
        else:
            spans[-1].append((width * (at - times[0]) / length, height * (1 - value / top)))
    return [span for span in spans if span]
