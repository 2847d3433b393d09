"""What programs of FreeBSD really said: tests/unit/data/freebsd/VERSION.txt, whose first lines tell how."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jaild.ports.process import Completed

_FOLDER = Path(__file__).parent / "unit/data/freebsd"


@cache
def recordings(version: str = "13.2") -> dict[str, Completed]:
    """Return what was recorded on a version of FreeBSD (13.2, 15.1), by title."""
    found = {}
    for record in (_FOLDER / f"{version}.txt").read_text().split("\n@@@ ")[1:]:
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
