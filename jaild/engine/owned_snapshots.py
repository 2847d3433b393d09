"""jaild's own snapshots: made, kept, dropped; and what others keep of a dataset, found before anything is touched."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import structlog

from jaild.model.errors import AlreadyExistsError, FailedPreconditionError, NotFoundError
from jaild.model.snapshots import HOLDS, Claim, Snapshot, claimed, kind_of
from jaild.ports.zfs import Zfs

_KEPT_BY_OTHERS = frozenset({"SNAPSHOT_HELD", "DATASET_HAS_CLONES"})
_log = structlog.get_logger("jaild.snapshots")
_NAMES = 100  # tried, where others have taken the one that was wanted


@dataclass(frozen=True)
class OwnedSnapshots:
    """Those of one dataset and all below. It destroys none of others, but with `return_to`, which says so."""

    zfs: Zfs
    dataset: str

    async def take(self, tag: str, purpose: str, *, hold: bool = False) -> list[Snapshot]:
        """Snapshot all at once, as `make` does; return the snapshots, parents first, with `hold` held."""
        return await self.tagged(await self.make(tag, purpose), purpose, hold=hold)

    async def make(self, tag: str, purpose: str, *, besides: Collection[str] = ()) -> str:
        """Snapshot all at once; return what the snapshots are called.

        If one of others has the name, or it is one of `besides`, another is taken: `TAG.2`, and so on.
        """
        for number in range(1, _NAMES):
            name = tag if number == 1 else f"{tag}.{number}"
            if name in besides:
                continue
            with suppress(AlreadyExistsError):
                await self.zfs.snapshot(self.dataset, name, recursive=True, purpose=purpose)
                return name
        raise AlreadyExistsError(
            "DATASET_EXISTS", f"{self.dataset}@{tag} and {_NAMES} names like it are taken", hint="rename some of them"
        )

    async def of(self, purpose: str) -> list[Snapshot]:
        """Return the own ones of this purpose or kind, oldest first within each dataset."""
        return [s for s in await self._all() if purpose in {s.purpose, s.kind}]

    async def _all(self) -> list[Snapshot]:
        return await self.zfs.snapshots(self.dataset, recursive=True)

    async def tagged(self, tag: str, purpose: str, *, hold: bool = False) -> list[Snapshot]:
        """Return the own ones of that name, parents first, with `hold` held."""
        found = sorted((s for s in await self.of(purpose) if s.tag == tag), key=lambda s: s.dataset)
        if hold:
            await self.hold(found)
        return found

    async def keep(
        self, purpose: str, guids: Iterable[int], *, among: Sequence[Snapshot] | None = None
    ) -> list[Snapshot]:
        """Take what has come for jaild's own, and hold it. Done again it changes nothing.

        Streams bring no property: which snapshots came is known by their guids, of all or `among` these. Returns the
        own ones of this purpose then.
        """
        came = frozenset(guids)
        found = among if among is not None else await self._all()
        await self.zfs.mark(purpose, *(s.name for s in found if s.guid in came and not s.purpose))
        marked = (replace(s, purpose=purpose) if s.guid in came and not s.purpose else s for s in found)
        own = [s for s in marked if s.purpose == purpose]
        await self.zfs.hold(HOLDS[kind_of(purpose)], *(s.name for s in own if s.guid in came))
        return own

    async def hold(self, snapshots: Sequence[Snapshot]) -> None:
        """Keep own ones from being destroyed by others."""
        for kind, tag in HOLDS.items():
            await self.zfs.hold(tag, *(s.name for s in snapshots if s.kind == kind))

    async def drop(self, snapshots: Sequence[Snapshot], *, among: Sequence[Snapshot] = ()) -> list[str]:
        """Destroy own ones; return those that others keep, which stay and are dropped another time.

        `among` are all that there are: what is called the same everywhere below goes by one command then.
        """
        if not snapshots:
            return []
        for kind, tag in HOLDS.items():
            await self.zfs.release(tag, *(s.name for s in snapshots if s.kind == kind))
        for tag in _whole(self.dataset, snapshots, among):
            with suppress(NotFoundError, FailedPreconditionError):  # what is left is told below
                await self.zfs.destroy(f"{self.dataset}@{tag}", recursive=True)
                snapshots = [s for s in snapshots if s.tag != tag]
        kept = []
        for snapshot in snapshots:
            try:
                await self.zfs.destroy(snapshot.name)
            except NotFoundError:
                continue  # somebody was faster
            except FailedPreconditionError as error:
                if error.reason not in _KEPT_BY_OTHERS:
                    raise
                kept.append(snapshot.name)
                _log.info("others keep a snapshot", snapshot=snapshot.name, reason=error.reason)
        return kept

    async def claims(self, *, among: Sequence[Snapshot] | None = None) -> list[Claim]:
        """Return which snapshots others keep; `among`: of these only."""
        found = among if among is not None else await self._all()
        clones = await self.zfs.clones(self.dataset)
        claims = [await self._claim(s, clones.get(s.name, ())) for s in found]
        return [claim for claim in claims if claim is not None]

    async def _claim(self, snapshot: Snapshot, clones: tuple[str, ...]) -> Claim | None:
        tags: tuple[str, ...] = ()
        untold = 0
        if snapshot.holds and (await self.zfs.capabilities()).lists_holds:
            tags = tuple(sorted(await self.zfs.holds(snapshot.name) - set(HOLDS.values())))
        elif snapshot.holds:  # of own ones that are held at all, one of the holds is jaild's
            untold = snapshot.holds - (snapshot.kind in HOLDS)
        if not (tags or untold or clones):
            return None
        return Claim(snapshot=snapshot.name, holds=tags, untold=untold, clones=clones)

    async def require_unclaimed(self, what: str, resource: str = "") -> list[Snapshot]:
        """Raise `FailedPreconditionError` (SNAPSHOTS_IN_USE) if others keep one: `what` cannot be done then.

        Returns all there are.
        """
        found = await self._all()
        if claims := await self.claims(among=found):
            raise claimed(claims, what, resource)
        return found

    async def foreign(self) -> list[str]:
        """Return the names of all that are not jaild's."""
        return [s.name for s in await self._all() if not s.purpose]

    async def release_all(self, among: Sequence[Snapshot]) -> None:
        """Drop all of jaild's holds, whatever they are for, on `among`: all there are."""
        held = [s.name for s in among if s.holds]
        for tag in HOLDS.values():
            await self.zfs.release(tag, *held)

    # -- the dataset itself, whatever is below it

    async def require_returnable(self, snapshot: Snapshot) -> None:
        """Raise `FailedPreconditionError` (SNAPSHOTS_IN_USE) if `return_if_changed` would undo what others keep."""
        newer = await self._newer(snapshot)
        if newer and not await self.zfs.is_unchanged(snapshot.name):
            await self._require_free(snapshot, newer)

    async def return_if_changed(self, snapshot: Snapshot) -> None:
        """Take the dataset back to a snapshot, unless later ones have the same in them: of these the own ones go."""
        newer = await self._newer(snapshot)
        if newer and await self.zfs.is_unchanged(snapshot.name):
            await self.drop([each for each in newer if each.purpose])
        elif newer:
            await self.return_to(snapshot, newer)

    async def _newer(self, snapshot: Snapshot) -> list[Snapshot]:
        found = await self.zfs.snapshots(self.dataset)
        return found[[each.guid for each in found].index(snapshot.guid) + 1 :]

    async def _require_free(self, snapshot: Snapshot, newer: Sequence[Snapshot]) -> None:
        if claims := await self.claims(among=newer):
            raise claimed(claims, f"taking {self.dataset} back to @{snapshot.tag}")

    async def return_to(self, snapshot: Snapshot, newer: Sequence[Snapshot]) -> None:
        """Take the dataset back to a snapshot: destroy the newer ones (all of them, oldest first), undo what followed.

        `FailedPreconditionError` (SNAPSHOTS_IN_USE) if others keep one of them, with nothing destroyed.
        """
        await self._require_free(snapshot, newer)
        for each in reversed(newer):
            for tag in HOLDS.values():
                await self.zfs.release(tag, each.name)
            await self.zfs.destroy(each.name)
        await self.zfs.rollback(snapshot.name)


def _whole(dataset: str, doomed: Sequence[Snapshot], there: Sequence[Snapshot]) -> set[str]:
    """Return the tags of `doomed` that a dataset has, and under which there is nothing else below it, nor held."""
    names = {s.name for s in doomed}
    others = {s.tag for s in there if s.holds or s.name not in names}
    return {s.tag for s in doomed if s.dataset == dataset} - others if there else set()
