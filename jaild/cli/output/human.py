"""Numbers and names as people read them. Pure."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and newline
_UNITS = "BKMGTPE"
_STEP = 1024


def printable(text: str) -> str:
    r"""Return `text` with its control characters written out (`\x1b`), so that no file name can move the cursor."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def size(count: int) -> str:
    """Return bytes in units of 1024 as zfs writes them: 512B, 1.5M, 40G."""
    value, power = float(count), 0
    while value >= _STEP - 0.5 and power < len(_UNITS) - 1:
        value, power = value / _STEP, power + 1
    digits = 0 if power == 0 or value >= 100 else 1 if value >= 10 else 2  # noqa: PLR2004  three figures in all
    text = f"{value:.{digits}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) + _UNITS[power]


def duration(seconds: float) -> str:
    """Return a measured time: 312 ms, 4.20 s, 2m05s, 3h20m."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"


def age(seconds: float) -> str:
    """Return how long ago something was: 12s, 5m, 3h, 9d."""
    left = max(0, int(seconds))
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if left >= 2 * length:
            return f"{left // length}{unit}"
    return f"{left}s"
