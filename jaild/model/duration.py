"""Lengths of time as people write them: `90s`, `15m`, `1h`, `1d`, `2w`; of calendars they know nothing."""

from __future__ import annotations

import re

from jaild.model.errors import InvalidArgumentError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_FORM = re.compile(r"([0-9]{1,9})([smhdw])")
_LONGEST = 366 * 86_400


def parse(text: str) -> int:
    """Return the seconds that `text` means.

    `InvalidArgumentError` (INVALID_DURATION) unless it is a length of time, a year at most.
    """
    match = _FORM.fullmatch(text)
    meant = int(match[1]) * _UNITS[match[2]] if match is not None else 0
    if not 0 < meant <= _LONGEST:
        raise InvalidArgumentError(
            "INVALID_DURATION",
            f"{text!r} is not a length of time",
            hint="write a whole number with s, m, h, d or w, as in 15m; a year at most",
        )
    return meant
