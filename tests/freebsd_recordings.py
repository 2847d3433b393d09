"""What programs of FreeBSD 13.2 really said: tests/unit/data/freebsd/13.2.txt, whose first lines tell how."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jaild.ports.process import Completed

_FILE = Path(__file__).parent / "unit/data/freebsd/13.2.txt"


@cache
def recordings() -> dict[str, Completed]:
    """Return what was recorded, by title."""
    found = {}
    for record in _FILE.read_text().split("\n@@@ ")[1:]:
        title, *lines = record.split("\n### ")[0].splitlines()
        texts = {
            kind: "".join(f"{line[5:]}\n" for line in lines if line.startswith(kind)) for kind in ("out| ", "err| ")
        }
        found[title] = Completed(
            argv=tuple(lines[0].removeprefix("$ ").split()),  # arguments were joined by blanks
            status=int(next(line for line in lines if line.startswith("# status "))[9:]),
            stdout=texts["out| "].encode(),
            stderr=texts["err| "].encode(),
            seconds=0.0,
        )
    return found
