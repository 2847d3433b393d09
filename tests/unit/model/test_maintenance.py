"""Maintenance windows are open while a clock on the wall in their zone says so, and tell when they open next."""

from __future__ import annotations

import math
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaild.model import maintenance

BERLIN = "Europe/Berlin"
ZONES = (BERLIN, "America/St_Johns", "Australia/Lord_Howe", "Asia/Beirut", "Pacific/Apia", "America/Sao_Paulo", "UTC")
_MINUTE = 60


def at(text: str, zone: str = BERLIN, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


@pytest.mark.parametrize(
    ("text", "days", "times"),
    [
        ("Mon..Fri 02:00-05:00 Europe/Berlin", {0, 1, 2, 3, 4}, (120, 300)),
        ("Sat,Sun 00:00-24:00", {5, 6}, (0, 1440)),
        ("Sat..Mon,Wed 22:30-01:00 UTC", {5, 6, 0, 2}, (1350, 60)),
        ("04:00-04:30", set(range(7)), (240, 270)),
    ],
)
def test_a_window_is_read_as_it_is_written(text: str, days: set[int], times: tuple[int, int]) -> None:
    window = maintenance.parse(text)
    assert (set(window.days), (window.begin, window.end)) == (days, times)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a window"),
        ("Mon 2:00-5:00", "is not a window"),
        ("Mon..Fri", "is not a window"),
        ("Mon 02:00-05:00 ../../etc/passwd", "is not a window"),
        ("Mon 02:00-05:00 /etc/localtime", "is not a window"),
        ("Mo 02:00-05:00", "neither a weekday"),
        ("Mon.. 02:00-05:00", "neither a weekday"),
        ("Mon 02:60-05:00", "no time of day"),
        ("Mon 02:00-24:01", "no time of day"),
        ("Mon 02:00-02:00", "no length"),
        ("Mon 24:00-02:00", "no length"),
        ("Mon 02:00-05:00 Europe/Atlantis", "no time zone Europe/Atlantis"),
        ("Mon 02:00-05:00 Europe", "no time zone Europe"),
    ],
)
def test_what_is_no_window_is_refused_with_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        maintenance.parse(text)


NIGHT, GAP, LATE = f"02:00-05:00 {BERLIN}", f"02:15-02:45 {BERLIN}", f"Sat 22:00-02:30 {BERLIN}"


@pytest.mark.parametrize(
    ("text", "now", "opens"),
    [
        # a winter's day, a weekend before a window of workdays, midnight between
        (NIGHT, at("2026-01-05T01:59:59"), at("2026-01-05T02:00")),
        (f"Mon..Fri {NIGHT}", at("2026-01-09T05:00"), at("2026-01-12T02:00")),
        (LATE, at("2026-01-11T02:29"), at("2026-01-11T02:29")),
        (LATE, at("2026-01-11T02:30"), at("2026-01-17T22:00")),
        # clocks go from 02:00 to 03:00: the window has an hour less, what is in that hour alone does not open
        (NIGHT, at("2026-03-29T01:00"), at("2026-03-29T03:00")),
        (GAP, at("2026-03-29T01:00"), at("2026-03-30T02:15")),
        (f"Sun {GAP}", at("2026-03-29T01:00"), at("2026-04-05T02:15")),
        # clocks go from 03:00 back to 02:00: it opens twice, what was still open is an hour longer
        (GAP, at("2026-10-25T02:45"), at("2026-10-25T02:15", fold=1)),
        (LATE, at("2026-10-25T02:40"), at("2026-10-25T02:00", fold=1)),
        (NIGHT, at("2026-10-25T02:59", fold=1), at("2026-10-25T02:59", fold=1)),
    ],
)
def test_when_a_window_opens_next(text: str, now: float, opens: float) -> None:
    assert maintenance.next_opening((text,), now) == opens


def test_the_first_of_several_counts_and_one_whose_zone_is_not_known_here_never_opens() -> None:
    now = at("2026-01-05T12:00")
    assert maintenance.next_opening((NIGHT, f"13:00-14:00 {BERLIN}"), now) == at("2026-01-05T13:00")
    assert maintenance.next_opening(("02:00-05:00 Mars/Olympus",), now) == math.inf
    assert not maintenance.is_open(("00:00-24:00 Mars/Olympus",), now)


_MINUTES = st.integers(0, 24 * 60 - 1)


@given(
    zone=st.sampled_from(ZONES),
    days=st.sets(st.sampled_from(maintenance.DAYS), min_size=1),
    begin=_MINUTES,
    length=st.integers(1, 24 * 60 - 1),
    # 2026, by the minute: also days on which clocks change
    now=st.integers(29_454_720, 29_980_320),
)
def test_a_window_opens_when_it_says_and_not_before(
    zone: str, days: set[str], begin: int, length: int, now: int
) -> None:
    end = (begin + length) % (24 * 60)
    text = f"{','.join(days)} {begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02} {zone}"
    window, now = maintenance.parse(text), now * _MINUTE
    opens = window.next_opening(now)
    assert now <= opens < now + 22 * 86400
    assert window.is_open(opens)
    assert opens == now or not window.is_open(opens - 1)
    step = max(int(opens - now) // 50, 1)
    assert not any(window.is_open(between) for between in range(now, int(opens), step))
