"""Times and durations: seconds as floats inside, protobuf's messages outside."""

from __future__ import annotations

from google.protobuf import duration_pb2, timestamp_pb2

from jaild.model.errors import InvalidArgumentError

_NANOS = 1_000_000_000
_FIRST, _LAST = -62_135_596_800, 253_402_300_799  # timestamp.proto: from the year 1 to 9999


def timestamp(seconds: float) -> timestamp_pb2.Timestamp | None:
    """Return a point in time; None, which leaves the field absent, for 0."""
    if not seconds:
        return None
    whole, nanos = divmod(round(seconds * 1_000_000) * 1000, _NANOS)  # a float of today holds microseconds, not more
    return timestamp_pb2.Timestamp(seconds=whole, nanos=nanos)


def since_epoch(message: timestamp_pb2.Timestamp, field: str) -> float:
    """Return a point in time in seconds. Raises `InvalidArgumentError` (INVALID_TIME) for what protobuf calls none."""
    if not (_FIRST <= message.seconds <= _LAST and 0 <= message.nanos < _NANOS):
        raise InvalidArgumentError(
            "INVALID_TIME",
            f"{field} is no point in time: {message.seconds} s, {message.nanos} ns",
            hint="give one of the years 1 to 9999",
            detail={"field": field},
        )
    return float(message.seconds + message.nanos / _NANOS)


def duration(seconds: float | None) -> duration_pb2.Duration | None:
    """Return a duration; None for None."""
    if seconds is None:
        return None
    nanos = round(seconds * _NANOS)
    sign = -1 if nanos < 0 else 1
    whole, rest = divmod(abs(nanos), _NANOS)
    return duration_pb2.Duration(seconds=sign * whole, nanos=sign * rest)


def seconds(message: duration_pb2.Duration, field: str) -> float:
    """Return a duration in seconds. Raises `InvalidArgumentError` (INVALID_DURATION) if it is negative."""
    value = message.seconds + message.nanos / _NANOS
    if value < 0:
        raise InvalidArgumentError("INVALID_DURATION", f"{field} is {value:g} s", hint="give 0 s or more")
    return value
