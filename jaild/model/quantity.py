"""Sizes as people write them: `512M`, `2G`, or plain bytes. Units are powers of 1024, as ZFS counts."""

from __future__ import annotations

import re

from jaild.model.errors import InvalidArgumentError

_UNITS = "KMGTPE"
_SIZE = re.compile(r"([0-9]{1,19})([KMGTPE]?)", re.IGNORECASE)
_LIMIT = 1 << 63  # ZFS and the kernels keep sizes in signed 64 bits


def parse(text: str) -> int:
    """Return the bytes that `text` means.

    Raises `InvalidArgumentError` (INVALID_QUANTITY) unless it is a positive size.
    """
    match = _SIZE.fullmatch(text)
    size = 0 if match is None else int(match[1]) << (10 * (_UNITS.find(match[2].upper()) + 1 if match[2] else 0))
    if not 0 < size < _LIMIT:
        raise InvalidArgumentError(
            "INVALID_QUANTITY",
            f"{text!r} is not a size",
            remedy="write whole bytes, or a whole number with K, M, G, T, P or E, as in 512M",
        )
    return size


def render(size: int) -> str:
    """Return the shortest exact text for `size` bytes: `parse` reads the same number back."""
    power = 0
    while power < len(_UNITS) and size and size % 1024 == 0:
        size //= 1024
        power += 1
    return f"{size}{_UNITS[power - 1] if power else ''}"


def about(size: int) -> str:
    """Return a short text for `size` bytes, for people: 512B, 1.5G."""
    value, power = float(size), 0
    while value >= 1024 and power < len(_UNITS):  # noqa: PLR2004 -- as units are
        value, power = value / 1024, power + 1
    return f"{value:.1f}{_UNITS[power - 1]}" if power else f"{size}B"
