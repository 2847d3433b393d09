"""Room in the pool that nothing but jails' records may use: a dataset that has a reservation, and nothing in it.

    there ─► a record cannot be written, the pool is full: destroyed ─► the record is written
      ▲                                                                     │
      └───────── made again, as soon as there is room for it twice over ◄───┘

Stopping and deleting jails is what makes room, and both begin with a record. OpenZFS keeps some room for properties and
destroying itself; zfs-fuse, and whoever has used that up too, refuses properties in a full pool (out of space), but
never to destroy a dataset. A file would not do: snapshots that others make of its dataset keep its blocks.
"""

from __future__ import annotations

import structlog

from jaild.engine.supervisor import BackOff, Supervisor
from jaild.model import bounds, layout, quantity
from jaild.model.errors import AlreadyExistsError, JaildError, NotFoundError, ResourceExhaustedError
from jaild.model.layout import Layout
from jaild.ports.zfs import Zfs

_PAUSE = BackOff(first=5.0, longest=300.0)
_NAME = "room for records"
_MADE_BY_JAILD = {layout.RESERVE_PROPERTY: "on"}


class Reserve:
    """The dataset."""

    def __init__(self, where: Layout, zfs: Zfs, supervisor: Supervisor) -> None:
        self._where = where
        self._zfs = zfs
        self._supervisor = supervisor
        self._log = structlog.get_logger("jaild.reserve")

    def keep(self) -> None:
        """Make it in the background, as soon as there is room for it, if it is not there."""
        self._supervisor.retry(_NAME, self._make, pause=_PAUSE)

    async def _make(self) -> None:
        free = (await self._zfs.dataset(self._where.root)).available
        if free < 2 * bounds.RESERVE:
            raise ResourceExhaustedError(
                "NO_SPACE",
                f"{quantity.size(free)} are left for {self._where.root}: too few to keep "
                f"{quantity.size(bounds.RESERVE)} for jails' records",
                hint="free space in the pool, or raise its quota",
                resource=self._where.root,
            )
        # Never mounted: it is there for its reservation.
        properties = {"mountpoint": "none", "canmount": "off", "reservation": str(bounds.RESERVE), **_MADE_BY_JAILD}
        try:
            await self._zfs.create(self._where.reserve, properties)
        except AlreadyExistsError:
            return

    async def give_up(self) -> bool:
        """Destroy it, and see to it that it is made again; return whether that made room.

        Not what somebody else has made under its name, nor while others keep it (a hold, a clone).
        """
        try:
            found = await self._zfs.dataset(self._where.reserve)
        except NotFoundError:
            return False
        if not found.properties.items() >= _MADE_BY_JAILD.items():
            self._log.warning("there is no reserve: the dataset of that name is not jaild's", dataset=found.name)
            return False
        try:
            await self._zfs.destroy(found.name, recursive=True)
        except JaildError as error:  # what it was to be given up for is told as it was refused
            self._log.warning("the reserve cannot be given up", dataset=found.name, reason=error.reason)
            return False
        finally:
            self._supervisor.retry(_NAME, self._make, pause=_PAUSE, after=_PAUSE.first)
        return True
