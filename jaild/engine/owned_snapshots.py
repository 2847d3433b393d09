"""jaild's own snapshots: made, kept, dropped; and what others keep of a dataset, found before anything is touched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import structlog

from jaild.model.errors import AlreadyExistsError, FailedPreconditionError, NotFoundError
from jaild.model.snapshots import HOLDS, Claim, Snapshot, claimed, kind_of
from jaild.ports.zfs import Zfs

_KEPT_BY_OTHERS = frozenset({"SNAPSHOT_HELD", "DATASET_HAS_CLONES"})
_NAMES = 100  # tried, where others have taken the one that was wanted


class OwnedSnapshots:
    """Those of a host. Nothing here destroys a snapshot of others, but `return_to`, which says so."""

    def __init__(self, zfs: Zfs) -> None:
        self._zfs = zfs
        self._log = structlog.get_logger("jaild.snapshots")

    async def take(self, dataset: str, tag: str, purpose: str) -> list[Snapshot]:
        """Snapshot a dataset and all below at once; return the snapshots, parents first.

        If one of others has the name, another is taken: `TAG.2`, and so on.
        """
        for number in range(1, _NAMES):
            name = tag if number == 1 else f"{tag}.{number}"
            try:
                await self._zfs.snapshot(dataset, name, recursive=True, purpose=purpose)
            except AlreadyExistsError:
                continue
            return await self.tagged(dataset, name, purpose)
        raise AlreadyExistsError(
            "DATASET_EXISTS", f"{dataset}@{tag} and {_NAMES} names like it are taken", remedy="rename some of them"
        )

    async def of(self, dataset: str, purpose: str) -> list[Snapshot]:
        """Return the own ones of a dataset and all below, of this purpose or kind, oldest first within each."""
        found = await self._zfs.snapshots(dataset, recursive=True)
        return [s for s in found if purpose in {s.purpose, s.kind}]

    async def tagged(self, dataset: str, tag: str, purpose: str) -> list[Snapshot]:
        """Return the own ones of that name, parents first."""
        return sorted((s for s in await self.of(dataset, purpose) if s.tag == tag), key=lambda s: s.dataset)

    async def keep(self, purpose: str, dataset: str, guids: Iterable[int]) -> None:
        """Take what has come into a dataset, and below it, for jaild's own, and hold it. Done again it changes nothing.

        Streams bring no property: which snapshots came is known by their guids.
        """
        came = frozenset(guids)
        found = [s for s in await self._zfs.snapshots(dataset, recursive=True) if s.guid in came]
        await self._zfs.mark(purpose, *(s.name for s in found if not s.purpose))
        await self._zfs.hold(HOLDS[kind_of(purpose)], *(s.name for s in found if s.purpose in {"", purpose}))

    async def hold(self, snapshots: Sequence[Snapshot]) -> None:
        """Keep own ones from being destroyed by others."""
        for kind, tag in HOLDS.items():
            await self._zfs.hold(tag, *(s.name for s in snapshots if s.kind == kind))

    async def drop(self, snapshots: Sequence[Snapshot]) -> list[str]:
        """Destroy own ones; return those that others keep, which stay and are dropped another time."""
        for kind, tag in HOLDS.items():
            await self._zfs.release(tag, *(s.name for s in snapshots if s.kind == kind))
        kept = []
        for snapshot in snapshots:
            try:
                await self._zfs.destroy(snapshot.name)
            except NotFoundError:
                continue  # somebody was faster
            except FailedPreconditionError as error:
                if error.reason not in _KEPT_BY_OTHERS:
                    raise
                kept.append(snapshot.name)
                self._log.info("others keep a snapshot", snapshot=snapshot.name, reason=error.reason)
        return kept

    async def claims(self, dataset: str, *, among: Sequence[Snapshot] | None = None) -> list[Claim]:
        """Return which snapshots of a dataset and all below others keep; `among`: of these only."""
        found = among if among is not None else await self._zfs.snapshots(dataset, recursive=True)
        clones = await self._zfs.clones(dataset)
        claims = [await self._claim(s, clones.get(s.name, ())) for s in found]
        return [claim for claim in claims if claim is not None]

    async def _claim(self, snapshot: Snapshot, clones: tuple[str, ...]) -> Claim | None:
        tags: tuple[str, ...] = ()
        untold = 0
        if snapshot.holds and (await self._zfs.capabilities()).lists_holds:
            tags = tuple(sorted(await self._zfs.holds(snapshot.name) - set(HOLDS.values())))
        elif snapshot.holds:  # of own ones that are held at all, one of the holds is jaild's
            untold = snapshot.holds - (snapshot.kind in HOLDS)
        if not (tags or untold or clones):
            return None
        return Claim(snapshot=snapshot.name, holds=tags, untold=untold, clones=clones)

    async def require_unclaimed(self, dataset: str, what: str, resource: str = "") -> None:
        """Raise `FailedPreconditionError` (SNAPSHOTS_IN_USE) if others keep a snapshot of a dataset or below it."""
        if claims := await self.claims(dataset):
            raise claimed(claims, what, resource)

    async def foreign(self, dataset: str) -> list[str]:
        """Return the names of all snapshots of a dataset and below that are not jaild's."""
        return [s.name for s in await self._zfs.snapshots(dataset, recursive=True) if not s.purpose]

    async def release_all(self, dataset: str) -> None:
        """Drop all of jaild's holds on a dataset's snapshots and those below, whatever they are for."""
        held = [s.name for s in await self._zfs.snapshots(dataset, recursive=True) if s.holds]
        for tag in HOLDS.values():
            await self._zfs.release(tag, *held)

    async def require_returnable(self, snapshot: Snapshot) -> None:
        """Raise `FailedPreconditionError` (SNAPSHOTS_IN_USE) if `return_if_changed` would undo what others keep."""
        newer = await self._newer(snapshot)
        if newer and not await self._zfs.is_unchanged(snapshot.name):
            await self._require_free(snapshot, newer)

    async def return_if_changed(self, snapshot: Snapshot) -> None:
        """Take a dataset back to a snapshot, unless later ones have the same in them: of these the own ones go."""
        newer = await self._newer(snapshot)
        if newer and await self._zfs.is_unchanged(snapshot.name):
            await self.drop([each for each in newer if each.purpose])
        elif newer:
            await self.return_to(snapshot, newer)

    async def _newer(self, snapshot: Snapshot) -> list[Snapshot]:
        found = await self._zfs.snapshots(snapshot.dataset)
        return found[[each.guid for each in found].index(snapshot.guid) + 1 :]

    async def _require_free(self, snapshot: Snapshot, newer: Sequence[Snapshot]) -> None:
        if claims := await self.claims(snapshot.dataset, among=newer):
            raise claimed(claims, f"taking {snapshot.dataset} back to @{snapshot.tag}")

    async def return_to(self, snapshot: Snapshot, newer: Sequence[Snapshot]) -> None:
        """Take a dataset back to a snapshot: destroy the newer ones (all of them, oldest first), undo what followed.

        `FailedPreconditionError` (SNAPSHOTS_IN_USE) if others keep one of them, with nothing destroyed.
        """
        await self._require_free(snapshot, newer)
        for each in reversed(newer):
            for tag in HOLDS.values():
                await self._zfs.release(tag, each.name)
            await self._zfs.destroy(each.name)
        await self._zfs.rollback(snapshot.name)
