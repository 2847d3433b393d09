"""The generations of a jail, as they lie in its dataset: a folder each, by their numbers."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from jaild.model import layout
from jaild.model.errors import DataLossError, JaildError, NotFoundError
from jaild.model.layers.records import Generation, decode_generation
from jaild.ports.files import Files

_TELLING = (layout.STAGED, layout.GENERATION, layout.ETC)  # what of a generation's folder tells how far it came


async def folders(files: Files, jail: Path) -> dict[int, frozenset[str]]:
    """Return the numbers of a jail's generations, ascending, staged ones too, and what of `_TELLING` each has."""
    found = await files.folders(jail / layout.GENERATIONS, _TELLING)
    numbers = sorted(int(name) for name in found if name.isascii() and name.isdigit())
    return {number: found[str(number)] for number in numbers if str(number) in found}


def only_staged(number: int, names: Collection[str], active: int) -> bool:
    """Return whether a generation's folder, with these of `_TELLING` in it, was never committed.

    The active one is committed by the record alone: a crash may come before its mark is taken away. A folder with
    nothing in it yet comes from a crash before the mark was written.
    """
    return number != active and (layout.STAGED in names or not {layout.GENERATION, layout.ETC} & set(names))


async def read(files: Files, jail: str, folder: Path) -> Generation:
    """Read one generation.

    `NotFoundError` (GENERATION_NOT_FOUND), `DataLossError` (GENERATION_DAMAGED), `FailedPreconditionError`
    (RECORD_TOO_NEW).
    """
    path, number = folder / layout.GENERATION, folder.name
    try:
        text = await files.read(path)
    except NotFoundError:
        raise NotFoundError(
            "GENERATION_NOT_FOUND",
            f"jail {jail} has no generation {number}",
            hint="list its generations",
            resource=f"jails/{jail}/generations/{number}",
        ) from None
    except JaildError as error:
        raise _damaged(jail, path, error) from error
    try:
        return decode_generation(text, f"generation {number} of jail {jail}")
    except (ValueError, TypeError, RecursionError) as error:  # ValueError: of msgspec and of Unicode
        raise _damaged(jail, path, error) from error


def _damaged(jail: str, path: Path, error: Exception) -> DataLossError:
    number = path.parent.name
    return DataLossError(
        "GENERATION_DAMAGED",
        f"generation {number} of jail {jail} cannot be read: {path}: {error}",
        hint="bring the file back from a snapshot of the jail, then restart the daemon",
        resource=f"jails/{jail}/generations/{number}",
    )
