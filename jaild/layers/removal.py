"""Bases and releases are removed: one by its name, or all that nothing needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic

import msgspec

from jaild.engine.build import Engine
from jaild.engine.inventory import AnyLayer, JailEntry, Layer, LayerRecord, Users
from jaild.engine.operations import Handle
from jaild.engine.owned_snapshots import OwnedSnapshots
from jaild.layers.sealing import Sealer
from jaild.model.errors import CancelledError, FailedPreconditionError, JaildError
from jaild.model.layers.prune import Candidate, Prune, kept_problem, unused
from jaild.model.layers.records import Ownership
from jaild.model.operation import Operation, Stop
from jaild.model.problems import Plan, Severity
from jaild.model.views import Caller

_TOLD = 5  # how many users an error names


def _hint(used_by: Iterable[str]) -> str:
    hints = {
        "channels": "set those channels to another base",
        "rollouts": "wait for those rollouts, or cancel them",
        "jails": "delete those jails, or change them until these generations are no longer kept (10 are)",
    }
    kinds = {user.partition("/")[0] for user in used_by}
    return "; ".join([hints[kind] for kind in sorted(kinds & hints.keys())]) or "wait until it has come"


async def _nothing(_: str) -> None:
    """Do nothing."""


@dataclass(frozen=True, kw_only=True)
class LayerKind(Generic[LayerRecord]):
    """What differs between bases and releases; a key is a base's name or `app/version`."""

    noun: str
    parent: str  # the dataset that all of them are below
    layers: dict[str, Layer[LayerRecord]]  # the inventory's own
    users: Callable[[Users], dict[str, list[str]]]
    resource: Callable[[str], str]
    sealed: Callable[[LayerRecord], float]  # seconds since the epoch
    in_use: str  # reasons
    has_clones: str
    cloned: str  # how others came of it: "patched"
    after: Callable[[str], Awaitable[None]] = _nothing  # done when one is gone


class LayerRemoval(Generic[LayerRecord]):
    """Removes the layers of one kind. What is in use stays, whatever was asked."""

    def __init__(self, engine: Engine, sealer: Sealer, kind: LayerKind[LayerRecord]) -> None:
        self._inventory = engine.inventory
        self._zfs = engine.ports.zfs
        self._clock = engine.ports.clock
        self._dispatcher = engine.dispatcher
        self._operations = engine.operations
        self._events = engine.events
        self._sealer = sealer
        self._kind = kind

    # -- one

    async def delete(self, key: str, *, validate_only: bool, caller: Caller) -> Operation:
        """Delete one that nothing refers to.

        `FailedPreconditionError` (BASE_IN_USE, RELEASE_IN_USE, BASE_HAS_CLONES, RELEASE_HAS_CLONES, SNAPSHOTS_IN_USE,
        LAYER_NEEDS_UNKNOWN).
        """
        target = self._kind.resource(key)
        self._require_unused(key)
        await self._sealer.require_unclaimed(self._kind.layers[key])
        if validate_only:
            plan = Plan(kind="delete", target=target, steps=(f"delete {target}",))
            return await self._dispatcher.planned(plan, caller)

        async def work(handle: Handle) -> str:
            await handle.phase("commit", stop=Stop.NEVER)
            await self._remove(key)
            return ""

        return await self._dispatcher.submit(target, "delete", caller, work)

    async def _remove(self, key: str) -> None:
        self._require_unused(key)  # nothing is awaited between this look and the next line
        layer = self._kind.layers.pop(key)
        try:
            await self._sealer.destroy(layer)
        except JaildError:
            self._kind.layers[key] = layer
            raise
        await self._kind.after(key)
        await self._events.emit(f"{self._kind.noun}.deleted", self._kind.resource(key))

    def _require_unused(self, key: str) -> None:
        kind, resource = self._kind, self._kind.resource(key)
        used_by = kind.users(self._inventory.users()).get(key, [])
        if used_by:
            raise FailedPreconditionError(
                kind.in_use,
                f"{kind.noun} {key} is referred to by {', '.join(used_by[:_TOLD])}"
                + (f" and {len(used_by) - _TOLD} more" if len(used_by) > _TOLD else ""),
                hint=_hint(used_by),
                resource=resource,
            )
        dataset = kind.layers[key].dataset
        clones = [name for name, layer in kind.layers.items() if layer.origin.partition("@")[0] == dataset]
        if clones:
            raise FailedPreconditionError(
                kind.has_clones,
                f"{kind.noun} {key} shares blocks with {', '.join(sorted(clones))}, {kind.cloned} from it",
                hint="delete those first",
                resource=resource,
            )
        self._require_known(f"{kind.noun} {key} stays", resource)

    def _require_known(self, what: str, resource: str) -> None:
        """Raise LAYER_NEEDS_UNKNOWN if it cannot be told of a jail which layers it needs."""
        jails, needed = self._inventory.jails.values(), self._inventory.needed
        if unknown := sorted(entry.name for entry in jails if not _knows_needs(entry, needed)):
            raise FailedPreconditionError(
                "LAYER_NEEDS_UNKNOWN",
                f"{what}: which bases and releases are needed by {', '.join(unknown[:_TOLD])} is not known now"
                + (f" (and {len(unknown) - _TOLD} more)" if len(unknown) > _TOLD else ""),
                hint="jailctl jail show NAME says what is the matter; a replica tells it with its next round; "
                "a jail or a copy that is not wanted any more can be deleted",
                resource=resource,
            )

    # -- all that nothing needs

    async def prune(
        self, target: str, among: Callable[[str], bool], *, min_age: float, validate_only: bool, caller: Caller
    ) -> Operation:
        """Remove all that nothing refers to, of those keys that `among` says, and that are `min_age` seconds old.

        Refers: a generation that is kept, a replica, a copy of a jail that moved away, a migration that comes here, a
        clone, or a hold. One that cannot be removed after all, since somebody was faster, is told and stays.
        `FailedPreconditionError` (LAYER_NEEDS_UNKNOWN).
        """
        duplicate = await self._operations.duplicate(caller, "prune", target)
        if duplicate is not None:
            return duplicate
        if validate_only:
            plan = self._plan(target, await self._decide(target, among, min_age))
            return await self._dispatcher.planned(plan, caller)

        async def work(handle: Handle) -> str:
            await handle.phase("plan")
            decided = await self._decide(target, among, min_age)
            handle.note(plan=self._plan(target, decided))
            await handle.phase("commit", stop=Stop.CANCEL)
            await self._carry_out(handle, target, decided)
            return ""

        return await self._dispatcher.submit(target, "prune", caller, work)

    async def _decide(self, target: str, among: Callable[[str], bool], min_age: float) -> Prune:
        """Look at all layers of the kind, with as many commands for a thousand of them as for one."""
        kind, found = self._kind, await self._zfs.datasets(self._kind.parent)
        claims: dict[str, str] = {}
        for claim in await OwnedSnapshots(self._zfs, kind.parent).claims():
            claims.setdefault(claim.snapshot.partition("@")[0], str(claim))
        known = {layer.dataset: key for key, layer in kind.layers.items()}
        for dataset in found:
            if dataset.origin and dataset.name not in known:  # one that is being made, or whose record is damaged
                claims.setdefault(dataset.origin.partition("@")[0], f"its clone {dataset.name} is no {kind.noun} yet")
        self._require_known("nothing is pruned", target)
        used = {dataset.name: dataset.used for dataset in found}
        users = kind.users(self._inventory.users())
        candidates = [
            Candidate(
                name=kind.resource(key),
                used=used.get(layer.dataset, layer.used),
                sealed=kind.sealed(layer.record),
                users=len(users.get(key, ())),
                origin=_origin(layer, known, kind.resource),
                claim=claims.get(layer.dataset, "") if among(key) else "not asked for",
            )
            for key, layer in sorted(kind.layers.items())
        ]
        decided = unused(candidates, now=self._clock.now(), min_age=min_age)
        asked = {kind.resource(key) for key in known.values() if among(key)}
        return Prune(decided.removed, tuple(problem for problem in decided.kept if problem.subject in asked))

    def _plan(self, target: str, decided: Prune) -> Plan:
        return Plan(
            kind="prune",
            target=target,
            steps=tuple(f"delete {candidate.name}" for candidate in decided.removed),
            problems=decided.kept,
            frees=decided.frees,
        )

    async def _carry_out(self, handle: Handle, target: str, decided: Prune) -> None:
        keys = {self._kind.resource(key): key for key in self._kind.layers}
        removed = freed = 0
        handle.note(bytes_total=decided.frees)
        handle.facts(removed=0, freed_about_bytes=0)
        for candidate in decided.removed:
            if handle.operation.cancel_requested:
                raise CancelledError(
                    "PRUNE_CANCELLED",
                    f"it was cancelled when {removed} of {len(decided.removed)} were removed",
                    hint="these are gone; prune again for the rest",
                    resource=target,
                )
            key = keys[candidate.name]
            if key not in self._kind.layers:
                continue  # somebody else deleted it, and may be making it anew
            async with self._dispatcher.exclusive(candidate.name):
                if key not in self._kind.layers:
                    continue
                try:
                    await self._remove(key)
                except JaildError as error:
                    self._tell_kept(handle, candidate.name, error)
                    continue
            removed, freed = removed + 1, freed + candidate.used
            handle.note(bytes_done=freed)
            handle.facts(removed=removed, freed_about_bytes=freed)

    @staticmethod
    def _tell_kept(handle: Handle, name: str, error: JaildError) -> None:
        plan = handle.operation.plan
        if plan is not None:
            kept = kept_problem(name, f"it could not be removed: {error.message} ({error.reason})", Severity.WARNING)
            handle.note(plan=msgspec.structs.replace(plan, problems=(*plan.problems, kept)))


def _knows_needs(entry: JailEntry, needed: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether it can be told now which layers a jail needs: `Inventory.references` has them all then.

    Not of one whose record or active generation cannot be read, nor of a replica that its owner has not offered since
    this daemon began: it is not mounted. Copies that never start again (moved, fenced) need what they are known to.
    """
    record = entry.record
    if record is None:
        return False
    match record.state:
        case Ownership.ACTIVE | Ownership.FROZEN:
            return record.generation in {0, *entry.references}
        case Ownership.STANDBY | Ownership.CLAIMED:
            return bool(entry.layers)
        case Ownership.INCOMING | Ownership.PREPARED:
            return bool(entry.layers) or f"migrations/{record.migration}" in needed
    return True


def _origin(layer: AnyLayer, known: Mapping[str, str], resource: Callable[[str], str]) -> str:
    """Return the resource name of the layer that one is a clone of; empty if it is of none that is here."""
    key = known.get(layer.origin.partition("@")[0])
    return resource(key) if key is not None else ""
