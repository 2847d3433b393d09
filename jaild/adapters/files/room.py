"""What incoming streams may take of the file system on which the daemon keeps its own memory.

Uploads and what is unpacked of them lie beside jaild.db. A full file system there would end every change half-way and
stop migrations; so they get only what is left above a reserve, each upload and all together no more than configured.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from jaild.model import bounds, quantity
from jaild.model.errors import InvalidArgumentError, JaildError, ResourceExhaustedError


class Uploads(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sizes as people write them. Read by `jaild.config`."""

    each: str = quantity.render(bounds.UPLOAD_EACH)  # of one upload
    total: str = quantity.render(bounds.UPLOADS_TOTAL)  # of all that are there at once
    reserve: str = quantity.render(bounds.UPLOAD_RESERVE)  # free space of the state's file system that they leave

    def __post_init__(self) -> None:
        """Refuse what is no size: msgspec tells a ValueError with the field's path."""
        for text in (self.each, self.total, self.reserve):
            try:
                quantity.parse(text)
            except JaildError as error:
                raise ValueError(error.message) from error


def free_bytes(folder: Path) -> int:
    """Return what is free for us there (statvfs(3)). Blocks."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


class Room:
    """The space for incoming streams below `folder`, which exists when it is asked. For any thread."""

    def __init__(self, folder: Path, uploads: Uploads | None = None, free: Callable[[Path], int] = free_bytes) -> None:
        self.folder = folder
        self._uploads = uploads or Uploads()
        self._free = free
        self._lock = threading.Lock()
        self._places: list[Place] = []
        self._unpacking = 0  # bytes

    def begin(self, announced: int) -> Place:
        """Return the place of an upload of so many bytes, 0 for unknown. Blocks for a moment.

        Raises `InvalidArgumentError` (ARCHIVE_TOO_LARGE), `ResourceExhaustedError` (UPLOADS_FULL, NO_SPACE).
        """
        place = Place(self)
        with self._lock:
            self._require(place, announced, announced, 0)
            place.announced = announced
            self._places.append(place)
        return place

    def admit(self, place: Place, size: int) -> None:
        """Count bytes of an upload that are about to be written. Raises what `begin` raises."""
        with self._lock:
            counted = max(place.announced, place.written + size)
            self._require(place, counted, counted - place.written - size, size)
            place.written += size

    def end(self, place: Place) -> None:
        """Count an upload no more; no error if it is not counted."""
        with self._lock:
            if place in self._places:
                self._places.remove(place)

    @contextmanager
    def unpacking(self, destination: Path, size: int) -> Iterator[None]:
        """Keep `size` bytes for what is unpacked to a folder, if that is in ours. NO_SPACE. Blocks for a moment."""
        if not destination.is_relative_to(self.folder):
            yield
            return
        with self._lock:
            self._require_free(size + self._promised())
            self._unpacking += size
        try:
            yield
        finally:
            with self._lock:
                self._unpacking -= size

    def _require(self, place: Place, counted: int, to_come: int, now: int) -> None:
        """Raise unless `place` may count for so many bytes, of which some come now and some are still to come."""
        each, total = quantity.parse(self._uploads.each), quantity.parse(self._uploads.total)
        if counted > each:
            raise InvalidArgumentError(
                "ARCHIVE_TOO_LARGE",
                f"the stream has {quantity.size(counted)} or more; {quantity.size(each)} are allowed",
                hint="leave out what the tree does not need, or split it; operators: uploads.each",
                detail={"limit": str(each)},
            )
        others = sum(max(other.announced, other.written) for other in self._places if other is not place)
        if others + counted > total:
            raise ResourceExhaustedError(
                "UPLOADS_FULL",
                f"{quantity.size(counted)} are too many beside the {quantity.size(others)} of other uploads: "
                f"{quantity.size(total)} are allowed",
                hint="send it when they are done; operators: uploads.total",
                detail={"limit": str(total)},
            )
        self._require_free(now + to_come + self._promised(without=place))

    def _promised(self, *, without: Place | None = None) -> int:
        places = (place for place in self._places if place is not without)
        return self._unpacking + sum(max(0, place.announced - place.written) for place in places)

    def _require_free(self, wanted: int) -> None:
        free, reserve = self._free(self.folder), quantity.parse(self._uploads.reserve)
        if wanted and free - wanted < reserve:
            raise ResourceExhaustedError(
                "NO_SPACE",
                f"{self.folder} has {quantity.size(free)} free; {quantity.size(wanted)} are wanted, and "
                f"{quantity.size(reserve)} are kept free",
                hint="free space on that file system, or send it when other uploads are done",
                resource=str(self.folder),
            )


class Place:
    """One upload's share of a room."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.announced = 0  # bytes
        self.written = 0

    def write(self, size: int) -> None:
        """Count bytes that are about to be written. Raises what `Room.begin` raises."""
        self._room.admit(self, size)

    def give_back(self) -> None:
        """Say that the file is gone, or never came to be."""
        self._room.end(self)
