"""A cap on bytes per second, shared by any number of streams: a token bucket that may go into debt. Pure.

A piece is let through whole and waits first until what went before has been paid off, so the pieces' sizes do not
matter and streams that share a bucket share its rate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

_BURST = 0.25  # seconds of the rate that a stream which stood still may send at once


@dataclass(frozen=True)
class Bucket:
    """`level` bytes may go at once, as of the (monotonic) time `at`; below 0 it is in debt."""

    rate: float  # bytes per second
    level: float = 0.0
    at: float = 0.0


def take(bucket: Bucket, now: float, size: int) -> tuple[Bucket, float]:
    """Return the bucket without `size` bytes, and the seconds to wait before they may go."""
    filled = min(bucket.level + max(now - bucket.at, 0.0) * bucket.rate, bucket.rate * _BURST)
    left = filled - size
    return replace(bucket, level=left, at=now), max(-filled / bucket.rate, 0.0)
