"""Sizes as people write and read them: `512M`, `2G`, or plain bytes, in powers of 1024, as ZFS counts; and counts."""

from __future__ import annotations

import re

from jaild.model.errors import InvalidArgumentError

_UNITS = "KMGTPE"
_SIZE = re.compile(r"([0-9]{1,19})([KMGTPE]?)", re.IGNORECASE)
_STEP = 1024
_LIMIT = 1 << 63  # ZFS and the kernels keep sizes in signed 64 bits


def parse(text: str) -> int:
    """Return the bytes that `text` means.

    Raises `InvalidArgumentError` (INVALID_QUANTITY) unless it is a positive size.
    """
    match = _SIZE.fullmatch(text)
    meant = 0 if match is None else int(match[1]) << (10 * (_UNITS.find(match[2].upper()) + 1 if match[2] else 0))
    if not 0 < meant < _LIMIT:
        raise InvalidArgumentError(
            "INVALID_QUANTITY",
            f"{text!r} is not a size",
            hint="write whole bytes, or a whole number with K, M, G, T, P or E, as in 512M",
        )
    return meant


def render(count: int) -> str:
    """Return the shortest exact text for `count` bytes: `parse` reads the same number back."""
    power = 0
    while power < len(_UNITS) and count and count % _STEP == 0:
        count //= _STEP
        power += 1
    return f"{count}{_UNITS[power - 1] if power else ''}"


def size(count: int) -> str:
    """Return `count` bytes for people, in three figures as zfs(8) writes them: 512B, 1.5M, 40G."""
    value, power = float(count), 0
    while value >= _STEP - 0.5 and power < len(_UNITS):
        value, power = value / _STEP, power + 1
    digits = 0 if power == 0 or value >= 100 else 1 if value >= 10 else 2  # noqa: PLR2004  three figures in all
    text = f"{value:.{digits}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) + f"B{_UNITS}"[power]


def count(number: int, noun: str, plural: str = "") -> str:
    """Return how many there are of something, for people: `1 jail`, `2 jails`; `plural` where it is not noun + s."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"
