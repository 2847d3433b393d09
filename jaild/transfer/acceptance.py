"""Whether a target takes a jail: everything that could stop it later is looked at first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

import msgspec

from jaild.engine.build import Engine
from jaild.engine.drain import HINT
from jaild.engine.inventory import Inventory, JailEntry
from jaild.model import layout, names, quantity
from jaild.model.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from jaild.model.jails import network as netcheck
from jaild.model.jails import validation as speccheck
from jaild.model.jails.spec import JailSpec
from jaild.model.layers import compatibility as compat
from jaild.model.layers.records import BaseRecord, Generation, Ownership, decode, decode_generation
from jaild.model.migration import received
from jaild.model.migration.budget import Parts
from jaild.model.migration.forecast import usual
from jaild.model.migration.journal import Phase
from jaild.model.migration.protocol import Acceptance, DatasetState, Offer
from jaild.model.migration.streams import SLACK
from jaild.model.problems import Problem, Severity, errors
from jaild.model.replication.policy import wanted
from jaild.model.snapshots import Snapshot, told
from jaild.transfer.journal import Journals

_Here = Mapping[str, tuple[str, Sequence[Snapshot]]]  # what is here of a jail: each path's dataset and its snapshots
_ELSEWHERE = frozenset({Ownership.MOVED, Ownership.STANDBY, Ownership.FENCED})


class OfferCheck:
    """Examines offers. Changes nothing."""

    def __init__(self, engine: Engine, journals: Journals) -> None:
        self._inventory = engine.inventory
        self._zfs = engine.ports.zfs
        self._runtime = engine.ports.runtime
        self._peers = engine.ports.peers
        self._journals = journals
        self._draining = engine.draining
        self._keys = engine.keys

    async def examine(self, offer: Offer) -> Acceptance:
        """Return what stops the jail from coming, which layers are missing, and what is here of it.

        `InvalidArgumentError` (INVALID_NAME) if a name in the offer is none: datasets are made of them;
        (INVALID_PEER_MESSAGE) if it contradicts itself: what is examined here must be what starts.
        """
        generation = _offered(offer)
        problems = [*self._shut_down(), *self._open(offer), *self._identity(offer), *self._busy(offer)]
        problems += [*self._channel(generation), *self._standby(offer, generation)]
        problems += await self._spec(offer.jail.name, generation.spec)
        problems += [*await self._keys.problems(generation.spec), *self._encrypted_copy(offer, generation)]
        missing, layer_problems = self._layers(offer)
        problems += layer_problems
        problems += await self._kernel(offer)
        here = await self._here(offer)
        states = await self._states(here)
        if states and offer.jail.name not in self._inventory.jails and not self._coming(offer):
            problems.append(
                _error(
                    "NAME_TAKEN",
                    f"{self._inventory.where.jail(offer.jail.name)} is on {self._inventory.host_name}, and no jail",
                    "look at it by hand, and rename or destroy it",
                )
            )
        if not self._coming(offer):  # of what it has brought so far, it has seen itself how far that is
            problems += await self._copy(offer.jail.name, here)
        problems += await self._space(offer, missing, states)
        return Acceptance(
            problems=tuple(problems),
            missing_layers=tuple(missing),
            datasets=tuple(states),
            layers=tuple([DatasetState(path=path, resume_token=await self._token(path)) for path in missing]),
            parts=self._usual(offer.jail.name),
        )

    def _usual(self, jail: str) -> Parts:
        took = {name: entry.took for name, entry in self._inventory.jails.items()}
        return usual(took.get(jail, Parts()), took.values())

    def _coming(self, offer: Offer) -> bool:
        """Whether what is there is what this very migration has brought so far."""
        journal = self._journals.find(offer.migration, outgoing=False)
        return journal is not None and journal.phase in {Phase.RECEIVING, Phase.PREPARED}

    async def _token(self, layer: str) -> str:
        return await self._zfs.resume_token(self._inventory.where.layer(layer)) or ""

    def _shut_down(self) -> list[Problem]:
        if not self._inventory.shut_down:
            return []
        return [
            _error(
                "HOST_SHUT_DOWN",
                f"the jails of {self._inventory.host_name} were stopped for its shutdown",
                "choose another host, or wait until it has booted again",
            )
        ]

    async def examine_replica(self, offer: Offer) -> Acceptance:
        """As `examine`, for a replica: it may have an address of another jail as long as it is not started."""
        generation = _offered(offer)
        missing, problems = self._layers(offer)
        problems += [*self._by_other_names(offer), *self._encrypted_copy(offer, generation)]
        problems += await self._kernel(offer)
        states = await self._states(await self._here(offer))
        problems += await self._space(offer, missing, states)
        return Acceptance(problems=tuple(problems), missing_layers=tuple(missing), datasets=tuple(states))

    async def require_startable(self, name: str, generation: Generation) -> None:
        """Raise `FailedPreconditionError` (PLAN_REFUSED) if what a copy has in it cannot be started here.

        A replica is kept although another jail here has its address: that is looked at when it is taken over.
        """
        problems = await self._spec(name, generation.spec)
        needed = {f"bases/{generation.base}": generation.base in self._inventory.bases}
        if generation.release:
            needed[f"apps/{generation.release}"] = generation.release in self._inventory.releases
        problems += [
            _error("LAYER_MISSING", f"{path} is not here", "import or push it (the same content), then try again")
            for path, here in needed.items()
            if not here
        ]
        if refused := errors(tuple(problems)):
            raise FailedPreconditionError(
                "PLAN_REFUSED", refused[0].message, hint=refused[0].hint, problems=tuple(problems)
            )

    async def _spec(self, name: str, spec: JailSpec) -> list[Problem]:
        found = [*speccheck.check(spec), *self._conflicts(name, spec)]
        return [*found, *await self._runtime.examine(spec, f"jails/{name}")]

    def _identity(self, offer: Offer) -> list[Problem]:
        if offer.source_name not in self._peers.names():
            return [
                _error(
                    "PEER_UNKNOWN",
                    f"{self._inventory.host_name} has no peer {offer.source_name} configured",
                    "configure it: the target must be able to ask the source how a hand-over ended",
                )
            ]
        entry = self._inventory.jails.get(offer.jail.name)
        return self._by_other_names(offer) if entry is None else self._continuable(entry, offer)

    def _by_other_names(self, offer: Offer) -> list[Problem]:
        """Return the refusal of a jail of which there is a copy here from before it was renamed: it is there once."""
        host = self._inventory.host_name
        return [
            _error(
                "JAIL_HAS_OTHER_NAME",
                f"{host} has a copy of jail {offer.jail.name} as {name}, from before it was renamed",
                f"delete that copy, then ask again: jailctl --context {host} jail rm {name}",
            )
            for name, entry in self._inventory.jails.items()
            if entry.record is not None and entry.record.uid == offer.jail.uid and name != offer.jail.name
        ]

    def _continuable(self, entry: JailEntry, offer: Offer) -> list[Problem]:
        record = entry.record
        if record is None or record.uid != offer.jail.uid:
            return [
                _error(
                    "NAME_TAKEN",
                    f"there is another jail {offer.jail.name} on {self._inventory.host_name}",
                    "rename or delete one of the two",
                )
            ]
        if record.state in {Ownership.INCOMING, Ownership.PREPARED} and record.migration == offer.migration:
            return []
        if record.state is Ownership.FENCED:
            return [fenced_copy(self._inventory, entry)]
        if record.state not in {Ownership.MOVED, Ownership.STANDBY} or record.epoch > offer.jail.epoch:
            return [
                _error(
                    "JAIL_OWNED",
                    f"{self._inventory.host_name} has this jail as {record.state} with epoch {record.epoch}",
                    "do not migrate: find out which of the two is right (the higher epoch is)",
                )
            ]
        return []

    def _encrypted_copy(self, offer: Offer, generation: Generation) -> list[Problem]:
        """Refuse raw increments onto what was written to here: that damages it, by reports (openzfs/zfs#11983)."""
        entry = self._inventory.jails.get(offer.jail.name)
        moved = entry is not None and entry.record is not None and entry.record.state is Ownership.MOVED
        if generation.spec.encryption is None or not moved:
            return []
        host, name = self._inventory.host_name, offer.jail.name
        return [
            _error(
                "ENCRYPTED_COPY",
                f"{host} has the copy of {name} that it was moved away from, and increments of encrypted datasets "
                "that go back are known to damage them",
                f"remove that copy, so that all of it is sent: jailctl --context {host} migration finalize ID",
            )
        ]

    def _open(self, offer: Offer) -> list[Problem]:
        if self._draining.now is None or self._begun(offer):
            return []
        return [_error("HOST_DRAINING", f"{self._inventory.host_name} takes no jails: it is being drained", HINT)]

    def _begun(self, offer: Offer) -> bool:
        journal = self._journals.find(offer.migration, outgoing=False)
        return journal is not None and journal.phase is Phase.RECEIVING

    def _busy(self, offer: Offer) -> list[Problem]:
        for journal in self._journals.incoming():
            busy = journal.phase in {Phase.RECEIVING, Phase.PREPARED}
            if busy and journal.jail == offer.jail.name and journal.id != offer.migration:
                return [
                    _error(
                        "MIGRATION_UNDER_WAY",
                        f"migration {journal.id} of {journal.jail} from {journal.peer} is {journal.phase}",
                        "wait for it; it ends as soon as its source can be asked",
                    )
                ]
        return []

    def _channel(self, generation: Generation) -> list[Problem]:
        channel = generation.spec.channel
        if channel is None or channel in self._inventory.channels:
            return []
        host = self._inventory.host_name
        return [
            Problem(
                severity=Severity.WARNING,
                code="CHANNEL_MISSING",
                message=f"the jail follows channel {channel}, of which there is none on {host}: it stays on its base",
                subject="$.channel",
                hint=f"on {host}: jailctl channel set {channel} BASE",
            )
        ]

    def _standby(self, offer: Offer, generation: Generation) -> list[Problem]:
        spec, host = generation.spec, self._inventory.host_name
        if offer.test or spec.standby is None or wanted(spec, host):
            return []
        return [
            Problem(
                severity=Severity.WARNING,
                code="LAST_STANDBY",
                message=f"{host} is the only host that keeps a replica of the jail: once it is there, nobody does",
                subject="$.standby.peers",
                hint="when it has moved, name another host, or turn the direction round: "
                f"jailctl --context {host} jail standby {offer.jail.name} {offer.source_name}",
            )
        ]

    def _conflicts(self, name: str, spec: JailSpec) -> tuple[Problem, ...]:
        others = {
            entry.name: entry.generation.spec
            for entry in self._inventory.jails.values()
            if entry.generation is not None and entry.record is not None and entry.record.state not in _ELSEWHERE
        }
        return netcheck.conflicts(name, spec, others)

    def _layers(self, offer: Offer) -> tuple[list[str], list[Problem]]:
        missing, problems = [], []
        for layer in offer.jail.layers:
            here = self._inventory.layer(layer.path)
            if here is None:
                missing.append(layer.path)
            elif here.guid != layer.guid:
                problems.append(
                    _error(
                        "LAYER_DIFFERS",
                        f"{layer.path} is here with another content (guid {here.guid}, offered {layer.guid})",
                        "delete or rename one of the two: names of layers must mean the same on all hosts",
                    )
                )
        return missing, problems

    async def _kernel(self, offer: Offer) -> list[Problem]:
        facts = await self._runtime.facts()
        found: list[Problem] = []
        for layer in offer.jail.layers:
            if layer.path.startswith("bases/"):
                record = decode(layer.record, BaseRecord, layer.path)
                found += compat.check_kernel(record, facts.osreldate, facts.family)
        return found

    async def _here(self, offer: Offer) -> _Here:
        here = {}
        paths = (dataset.path for dataset in offer.jail.datasets)
        for path, name in self._inventory.where.parts(offer.jail.name, paths).items():
            with suppress(NotFoundError):
                here[path] = name, await self._zfs.snapshots(name)
        return here

    async def _states(self, here: _Here) -> list[DatasetState]:
        states = []
        for path, (name, snapshots) in here.items():
            guids, token = tuple(snapshot.guid for snapshot in snapshots), await self._zfs.resume_token(name) or ""
            states.append(DatasetState(path=path, snapshot_guids=guids, resume_token=token))
        return states

    async def _copy(self, jail: str, here: _Here) -> list[Problem]:
        """Find what others made of, or wrote to, the copy that an increment of this jail would go onto."""
        found: list[Problem] = []
        for _, snapshots in here.values():
            own = [place for place, snapshot in enumerate(snapshots) if snapshot.purpose]
            if own:  # that is where it was left; what is later others have made
                found += await self._since(snapshots[own[-1]], snapshots[own[-1] + 1 :], jail)
        return found

    async def _since(self, last: Snapshot, later: Sequence[Snapshot], jail: str) -> list[Problem]:
        host, names = self._inventory.host_name, tuple(snapshot.name for snapshot in later)
        if not await self._zfs.is_unchanged(last.name):
            problem = Problem(
                severity=Severity.ERROR,
                code="COPY_MODIFIED",
                message=f"on {host} somebody wrote to {last.dataset} after @{last.tag}: no increment fits on that",
                subject=f"jails/{jail}",
                hint=f"save what was written; then, on {host}: zfs rollback -r {last.name}, or finalize that copy",
                evidence=names,
            )
            return [problem]
        if not later:
            return []
        problem = Problem(
            severity=Severity.NOTE,
            code="FOREIGN_SNAPSHOTS",
            message=f"snapshots that jaild did not make are on {host}: {told(names)}; nothing was written since "
            f"@{last.tag}, so they stay and are stepped over",
            subject=f"jails/{jail}",
            evidence=names,
        )
        return [problem]

    async def _space(self, offer: Offer, missing: list[str], states: list[DatasetState]) -> list[Problem]:
        there = {state.path for state in states}
        needed = sum(d.size_bytes for d in offer.jail.datasets if d.path not in there)
        needed += sum(layer.size_bytes for layer in offer.jail.layers if layer.path in missing)
        free = (await self._zfs.dataset(self._inventory.where.root)).available
        if needed * SLACK <= free:
            return []
        message = f"{quantity.size(needed)} have to come, {quantity.size(free)} are free on {self._inventory.host_name}"
        return [_error("NO_SPACE", message, "free some space there, or choose another target")]


def fenced_copy(inventory: Inventory, entry: JailEntry) -> Problem:
    """Return why nothing may be received over what a former owner wrote last."""
    return _error(
        "FENCED_COPY",
        f"{inventory.host_name} keeps what was written to {entry.name} before it was taken over",
        f"when nobody needs it: jailctl jail rm {entry.name}, on {inventory.host_name}",
    )


def _offered(offer: Offer) -> Generation:
    """Return the generation that is offered, if the offer can be taken as it is."""
    _require_names(offer)
    try:
        generation = decode_generation(offer.jail.generation_json, f"the generation of jail {offer.jail.name}")
    except msgspec.DecodeError as error:
        raise _contradiction(offer, f"its generation cannot be read: {error}") from error
    if found := received.mistakes(offer.jail, generation):
        raise _contradiction(offer, found[0])
    return generation


def _contradiction(offer: Offer, what: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        "INVALID_PEER_MESSAGE",
        f"the offer of jail {offer.jail.name} cannot be taken: {what}",
        hint="see that both hosts run the same jaild",
        resource=f"jails/{offer.jail.name}",
    )


def _require_names(offer: Offer) -> None:
    names.jail(offer.jail.name)
    for dataset in offer.jail.datasets:
        if dataset.path not in {"", layout.DATA}:
            names.volume(dataset.path)
    for layer in offer.jail.layers:
        names.layer(layer.path)
        if layer.origin_path:
            names.layer(layer.origin_path)


def _error(code: str, message: str, hint: str) -> Problem:
    return Problem(severity=Severity.ERROR, code=code, message=message, hint=hint)
