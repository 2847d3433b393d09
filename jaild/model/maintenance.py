"""Maintenance windows: when what is down may be, as people write it.

    [WEEKDAYS] HH:MM-HH:MM [ZONE]        Mon..Fri 02:00-05:00 Europe/Berlin

Weekdays as systemd.time(7) has them: Mon to Sun, ranges with `..`, several with `,`; every day if none is said. The
zone is one of the IANA database, which zoneinfo reads from /usr/share/zoneinfo (FreeBSD's base has it); UTC if none is
said. An end that is not later than the beginning is on the day after, and the weekday is that of the beginning.

A window is open while a clock on the wall in its zone shows a time in it. So where clocks are put forward it is shorter
by what they leave out, and does not open if that is all of it; where they are put back it is longer, or opens twice.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from functools import lru_cache
from zoneinfo import ZoneInfo

from jaild.model.problems import Problem, Severity
from jaild.model.replication.policy import moment

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")  # as `date.weekday` counts them
_HOUR, _DAY = 60, 24 * 60  # minutes
_AHEAD = 30  # days in which a window opens, even if the hour that it is in is left out of one
_TIMES = r"(?P<begin>[0-9]{2}:[0-9]{2})-(?P<end>[0-9]{2}:[0-9]{2})"
_FORM = re.compile(rf"(?:(?P<days>[A-Za-z.,]+) +)?{_TIMES}(?: +(?P<zone>[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*))?")


@dataclass(frozen=True)
class Window:
    """A window that comes again each week. Times of day in minutes."""

    days: frozenset[int]  # on which it begins
    begin: int
    end: int  # of the day after, if it is not later than the beginning
    zone: ZoneInfo

    def is_open(self, now: float) -> bool:
        """Say whether it is open at a time, in seconds since the epoch."""
        there = datetime.fromtimestamp(now, self.zone)
        today, minute = there.weekday(), there.hour * _HOUR + there.minute
        if self.begin < self.end:
            return today in self.days and self.begin <= minute < self.end
        since_yesterday = (today - 1) % len(DAYS) in self.days and minute < self.end
        return since_yesterday or (today in self.days and minute >= self.begin)

    def next_opening(self, now: float) -> float:
        """Return `now` if it is open, else when it opens next, in seconds since the epoch."""
        if self.is_open(now):
            return now
        return next((at for at in self._moments(now) if at > now and self.is_open(at)), math.inf)

    def _moments(self, now: float) -> Iterator[float]:
        """Yield when it may open, in order: where it begins, and where clocks are put forward or back."""
        today = datetime.fromtimestamp(now, self.zone).date()
        for day in (today + timedelta(days=number) for number in range(_AHEAD)):
            begin = datetime.combine(day, time_of_day(*divmod(self.begin, _HOUR)), self.zone)
            begins = {begin.replace(fold=fold).timestamp() for fold in (0, 1)}  # a time that comes twice
            yield from sorted({*begins, *self._clock_change(day)})

    def _clock_change(self, day: date) -> Iterator[float]:
        """Yield when on that day the zone's clocks are put forward or back, if they are."""
        before, after = (
            int(datetime.combine(each, time_of_day(), self.zone).timestamp()) for each in (day, day + timedelta(days=1))
        )
        then = self._offset(after)
        if self._offset(before) == then:
            return
        while after - before > 1:
            middle = (before + after) // 2
            before, after = (before, middle) if self._offset(middle) == then else (middle, after)
        yield float(after)

    def _offset(self, at: float) -> timedelta | None:
        return datetime.fromtimestamp(at, self.zone).utcoffset()


@lru_cache(maxsize=256)
def parse(text: str) -> Window:
    """Return the window that a text says; `ValueError` with what is wrong, and with the form if it has another."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a window: write Mon..Fri 02:00-05:00 Europe/Berlin")
    begin, end = _minutes(found["begin"]), _minutes(found["end"])
    if begin in (end, _DAY):
        raise ValueError(f"{text!r} has no length: all of a day is 00:00-24:00")
    days = frozenset(_days(found["days"])) if found["days"] else frozenset(range(len(DAYS)))
    return Window(days, begin, end, _zone(found["zone"] or "UTC"))


def is_open(windows: Sequence[str], now: float) -> bool:
    """Say whether one of them is open. One whose zone this host does not know never is."""
    return any(window.is_open(now) for window in _known(windows))


def next_opening(windows: Sequence[str], now: float) -> float:
    """Return `now` if one of them is open, else when the first opens; infinity if none is known to."""
    return min((window.next_opening(now) for window in _known(windows)), default=math.inf)


def _known(windows: Sequence[str]) -> Iterator[Window]:
    for text in windows:
        try:
            yield parse(text)
        except ValueError:  # it was checked on a host with a newer database, and came with its jail
            continue


def _minutes(text: str) -> int:
    hours, minutes = map(int, text.split(":"))
    if minutes >= _HOUR or (total := hours * _HOUR + minutes) > _DAY:
        raise ValueError(f"{text} is no time of day: 00:00 to 24:00")
    return total


def _days(text: str) -> Iterator[int]:
    for part in text.split(","):
        first, dots, last = part.partition("..")
        try:
            begin, end = DAYS.index(first), DAYS.index(last if dots else first)
        except ValueError:
            raise ValueError(f"{part!r} is neither a weekday nor a range of them: write Mon, or Mon..Fri") from None
        yield from ((begin + number) % len(DAYS) for number in range((end - begin) % len(DAYS) + 1))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # OSError: the name of a folder
        raise ValueError(f"this host knows no time zone {name}: write one of /usr/share/zoneinfo") from None


def outside(windows: Sequence[str], now: float, resource: str) -> tuple[Problem, ...]:
    """Return the warning OUTSIDE_MAINTENANCE if there are windows, and none of them is open."""
    if not windows or is_open(windows, now):
        return ()
    opens = next_opening(windows, now)
    when = f"the next one opens at {moment(opens)}" if opens < math.inf else "this host knows the zone of none of them"
    return (
        Problem(
            severity=Severity.WARNING,
            code="OUTSIDE_MAINTENANCE",
            message=f"this is outside of the jail's maintenance windows: {when}",
            subject=resource,
            hint="leave it to a window: ask for the change with --stage",
            evidence=tuple(windows),
        ),
    )
