"""How long daemons and jails are waited for: JAILD_PATIENCE=10 on a machine so much slower, such as an emulated one."""

from __future__ import annotations

import os

VARIABLE = "JAILD_PATIENCE"
_TIMES = float(os.environ.get(VARIABLE, "1"))


def patient(seconds: float) -> float:
    """Return so many seconds of a machine as this one needs."""
    return seconds * _TIMES
