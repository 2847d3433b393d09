"""Lists of CPUs as cpuset(1) and Linux's cpuset(7) both write them: `0-3,6`."""

from __future__ import annotations

import re
from collections.abc import Iterable

from jaild.model.errors import InvalidArgumentError

_LIST = re.compile(r"[0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?)*")


def parse(text: str) -> tuple[int, ...]:
    """Return the numbers, ascending. `InvalidArgumentError` (INVALID_CPUSET)."""
    if not _LIST.fullmatch(text):
        raise _invalid(text)
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if int(last or first) < int(first):
            raise _invalid(text)
        found |= set(range(int(first), int(last or first) + 1))
    return tuple(sorted(found))


def render(numbers: Iterable[int]) -> str:
    """Return numbers as a list that both systems read."""
    return ",".join(map(str, sorted(numbers)))


def _invalid(text: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        "INVALID_CPUSET", f"{text!r} is not a list of CPUs", hint="write numbers and ranges: 0-3,6"
    )
