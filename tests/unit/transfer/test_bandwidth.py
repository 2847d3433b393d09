"""A cap on bytes per second, shared by streams."""

from __future__ import annotations

import pytest

from jaild.model.bandwidth import Bucket, take
from jaild.transfer.sender import RateLimiter
from tests.fakes.clock import FakeClock


def test_what_goes_first_goes_at_once_and_the_next_waits_until_it_is_paid_off() -> None:
    bucket, wait = take(Bucket(100.0), now=0.0, size=1000)
    assert wait == 0.0
    bucket, wait = take(bucket, now=0.0, size=1000)
    assert wait == pytest.approx(10.0)
    _, wait = take(bucket, now=5.0, size=1)
    assert wait == pytest.approx(15.0)


def test_standing_still_saves_up_a_quarter_of_a_second_and_no_more() -> None:
    bucket, _ = take(Bucket(100.0), now=3600.0, size=0)
    assert bucket.level == pytest.approx(25.0)


def test_a_clock_that_stands_still_gives_nothing() -> None:
    bucket, _ = take(Bucket(100.0), now=10.0, size=1000)
    assert take(bucket, now=9.0, size=0)[0].level == pytest.approx(bucket.level)


async def test_streams_together_take_no_more_than_the_rate() -> None:
    clock = FakeClock(now=0.0)
    limiter = RateLimiter(1000.0, clock)
    for _ in range(50):
        await limiter.acquire(100)
        await limiter.acquire(300)
    assert clock.time >= 50 * 400 / 1000.0 - 1.0


async def test_what_must_go_at_once_is_not_held_up_and_the_others_pay_for_it() -> None:
    clock = FakeClock(now=0.0)
    limiter = RateLimiter(1000.0, clock)
    await limiter.acquire(10_000, at_once=True)
    await limiter.acquire(10_000, at_once=True)
    assert clock.slept == []
    await limiter.acquire(1)
    assert clock.time == pytest.approx(20.0)


async def test_without_a_cap_nothing_waits() -> None:
    clock = FakeClock()
    await RateLimiter(0, clock).acquire(1 << 40)
    assert clock.slept == []
