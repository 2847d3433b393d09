"""Plans: everything that could stop a change is looked at here, before anything is touched."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec

from jaild.engine.concurrency import Memo
from jaild.engine.inventory import AnyLayer, Inventory, JailEntry, Layer, OwnedJail, Stack
from jaild.engine.keys import Keys
from jaild.jails.configuration import Configuration, Trees
from jaild.jails.datasets import JailDatasets
from jaild.model import layout, quantity
from jaild.model.errors import NotFoundError
from jaild.model.jails import bootorder, quotas, spec_changes
from jaild.model.jails import keys as keyrules
from jaild.model.jails import network as netcheck
from jaild.model.jails import policy_check as policycheck
from jaild.model.jails import validation as speccheck
from jaild.model.jails.authority import Intent
from jaild.model.jails.change import Axis, Cutover, Draft, Revert, Rollback
from jaild.model.jails.mounts import holder_of
from jaild.model.jails.spec import SYSTEM_BOOT, JailSpec
from jaild.model.layers import compatibility as compat
from jaild.model.layers.channels import Channel, channel_of
from jaild.model.layers.libraries import Libraries, Start
from jaild.model.layers.records import BaseRecord, Family, Generation, Manifest, ReleaseRecord, Staged
from jaild.model.problems import Accepted, Plan, Problem, Severity, accept
from jaild.model.views import Caller
from jaild.ports.files import Files
from jaild.ports.runtime import Runtime

_PROOFS = 256  # pairs of base and release whose proof is kept in memory
MERGES = 4  # at once, where nobody waits for a jail that is down: they read, and each holds one of few threads


@dataclass(frozen=True)
class Prepared:
    """A plan with what its staging needs. `trees` is None when an older generation is cut over to as it is."""

    plan: Plan
    draft: Draft
    trees: Trees | None


class Planner:
    """Computes plans. Reads much, writes nothing."""

    def __init__(
        self,
        inventory: Inventory,
        runtime: Runtime,
        datasets: JailDatasets,
        configuration: Configuration,
        files: Files,
        keys: Keys,
    ) -> None:
        self._inventory = inventory
        self._datasets = datasets
        self._runtime = runtime
        self._configuration = configuration
        self._files = files
        self._keys = keys
        self._some = asyncio.Semaphore(MERGES)
        # By the guids of base and release, which never change: forty upgrades at once have one proof.
        self._proofs: Memo[tuple[int, int, Start], tuple[Problem, ...]] = Memo(_PROOFS)
        self._obstacles: Memo[tuple[int, int, tuple[str, ...]], dict[str, str]] = Memo(_PROOFS)

    async def prepare(self, name: str, entry: JailEntry | None, draft: Draft, number: int, caller: Caller) -> Prepared:
        """Plan a caller's change of `name` (a new jail if `entry` is None); the new generation would get `number`.

        Raises what makes the request wrong in itself (an unknown base, a broken spec); what the checks find is in the
        plan: see `Plan.require_clean`.
        """
        speccheck.require(draft.spec)
        draft = self.resolved(draft)
        stack = self._inventory.stack(draft.base, draft.spec.app)
        current = entry.generation if entry is not None else None
        problems = [*policycheck.problems(caller, draft.spec, current.spec if current is not None else None)]
        problems += [*await self._compatibility(stack, draft.spec), *self.conflicts(name, draft.spec)]
        problems += _command(draft.spec, stack.manifest)
        problems += await self._runtime.examine(draft.spec, f"jails/{name}")
        problems += await self._mount_points(stack, draft.spec)
        problems += self._boot(name, draft.spec)
        problems += await self._keys.problems(draft.spec, entry)
        if current is not None:
            problems += keyrules.fixed(current.spec, draft.spec)
            problems += _removed_volumes(current.spec, draft.spec)
            problems += [] if draft.kind == Rollback.kind else self._downgrade(current, stack.base.record)
            problems += _being_removed(name, entry, draft.spec)
        trees = None
        if not draft.cut_to:
            async with self._some:  # the merge of a cut-over does not wait behind those that only plan
                trees, merged = await self._configuration.merge(entry, stack, base=draft.base, origin=draft.origin)
            problems += merged
        problems += await self._space(entry, current, draft, trees)
        problems += draft.origin.problems if draft.origin is not None else ()
        known, accepted = accept(problems, [*caller.accepted, *await self._accepted_before(entry, draft)])
        plan = Plan(
            kind=draft.kind,
            target=f"jails/{name}",
            steps=_steps(draft, current, number),
            problems=known,
            from_generation=current.number if current else 0,
            to_generation=draft.cut_to or number,
            base=draft.base,
            release=draft.spec.app or "",
            accepted=accepted,
        )
        return Prepared(_from(current, plan, draft.spec), draft, trees)

    def _boot(self, name: str, spec: JailSpec) -> list[Problem]:
        if not spec.boot.after:
            return []
        others = {
            entry.name: entry.generation.spec.boot
            for entry in self._inventory.jails.values()
            if entry.generation is not None and entry.name != name and self._inventory.may(entry, Intent.RUN_ON)
        }
        after = {other: boot.after for other, boot in others.items()} | {name: spec.boot.after}
        return bootorder.problems(name, after, {other: boot.autostart for other, boot in others.items()} | {name: True})

    async def _accepted_before(self, entry: JailEntry | None, draft: Draft) -> tuple[Accepted, ...]:
        """Return what was accepted of the same base and release: that is not asked again at each change."""
        if draft.origin is not None:
            return draft.origin.accepted
        if entry is None or entry.generation is None:
            return ()
        before = entry.generation
        if draft.cut_to:
            before = await self._inventory.generation(entry, draft.cut_to)
        same = (before.base, before.release) == (draft.base, draft.spec.app or "")
        return before.accepted if same else ()

    async def prepare_staged(
        self, name: str, owned: OwnedJail, change: Cutover, draft: Draft, caller: Caller
    ) -> Prepared:
        """Plan the cutover to what is staged, as `prepare`: all is looked at again.

        The generation itself is taken if nothing that it was made of has changed, nor the generation, to which a run of
        it that failed may have written; else it is made anew, as another one.
        """
        entry, staged, kept = owned.entry, change.staged, owned.record.staged
        caller = msgspec.structs.replace(caller, accepted=(*caller.accepted, *staged.accepted))
        prepared = None
        if draft.staged and kept is not None and await self._is_as_staged(entry, kept):
            prepared = await self.prepare(name, entry, draft, staged.number, caller)
            if (trees := prepared.trees) is not None:
                trees = replace(trees, etc_state=kept.etc_state, local_etc_state=kept.local_etc_state)
                prepared = None if await self._configuration.is_outdated(trees) else replace(prepared, trees=trees)
        if prepared is None:
            anew = replace(draft, staged=False)
            prepared = await self.prepare(name, entry, anew, await self._datasets.next_number(entry), caller)
        moved = _channel_moved(draft, self._inventory.channels) if change.axis is Axis.BASE else []
        plan = msgspec.structs.replace(prepared.plan, problems=(*prepared.plan.problems, *moved))
        return replace(prepared, plan=plan)

    def met(self, name: str, draft: Draft, current: Generation) -> Plan | None:
        """Return the plan of a change that changes nothing; None if the draft is of something else than there is."""
        if not self.resolved(draft).is_met_by(current):
            return None
        return Plan(
            kind=draft.kind,
            target=f"jails/{name}",
            from_generation=current.number,
            to_generation=current.number,
            base=current.base,
            release=current.release,
            from_base=current.base,
            from_release=current.release,
            unchanged=True,
        )

    async def prepare_revert(self, name: str, owned: OwnedJail, change: Revert) -> Prepared:
        """Plan what nothing may keep from being done: whatever it was found wanting by, it ran before."""
        back = await self._inventory.generation(owned.entry, change.to)
        draft = change.apply(owned.generation, {back.number: back})
        what = back.base + (f" + {back.release}" if back.release else "")
        plan = Plan(
            kind=change.kind,
            target=f"jails/{name}",
            steps=(f"cut over to generation {back.number} ({what}) as it was, without health checks", "commit"),
            from_generation=owned.generation.number,
            to_generation=back.number,
            base=back.base,
            release=back.release,
        )
        return Prepared(_from(owned.generation, plan, draft.spec), draft, None)

    async def _is_as_staged(self, entry: JailEntry, kept: Staged) -> bool:
        return await self._datasets.state_of(entry, kept.number, like=kept.state) == kept.state

    def resolved(self, draft: Draft) -> Draft:
        """Return a draft with the base that its channel names now. `NotFoundError` (CHANNEL_NOT_FOUND)."""
        channel = "" if draft.base else draft.spec.channel
        return replace(draft, base=channel_of(channel, self._inventory.channels).base) if channel else draft

    def require_still_free(self, name: str, generation: Generation) -> Stack:
        """Look again, without waiting, at what another request may have taken since the plan was made.

        Returns what it runs on. `FailedPreconditionError` (PLAN_REFUSED), `NotFoundError` (BASE_NOT_FOUND,
        RELEASE_NOT_FOUND).
        """
        stack = self._inventory.stack(generation.base, generation.spec.app)
        conflicts = tuple(self.conflicts(name, generation.spec))
        Plan(kind="change", target=f"jails/{name}", problems=conflicts).require_clean()
        return stack

    async def _compatibility(self, stack: Stack, spec: JailSpec) -> list[Problem]:
        facts = await self._runtime.facts()
        release = stack.release.record if stack.release is not None else None
        problems = [*compat.check_records(stack.base.record, release, facts.osreldate, facts.family)]
        if stack.release is not None:
            problems += await self._proof(stack.base, stack.release, _start(spec, stack))
        return problems

    def _downgrade(self, current: Generation, base: BaseRecord) -> tuple[Problem, ...]:
        before = self._inventory.bases.get(current.base)
        return compat.check_downgrade(before.record, base) if before is not None else ()

    async def _proof(self, base: Layer[BaseRecord], release: Layer[ReleaseRecord], start: Start) -> tuple[Problem, ...]:
        """Check every ELF file of a release against a base: once for each start, since neither layer ever changes."""

        async def prove() -> tuple[Problem, ...]:
            mount_point = release.record.manifest.mount_point
            libraries = await self._libraries(release, mount_point), await self._libraries(base, "/")
            # A tenth of a second of pure work for a large release: in a thread, so that other jails' queues go on.
            return await asyncio.to_thread(compat.check, *libraries, mount_point=mount_point, start=start)

        return await self._proofs.get((base.guid, release.guid, start), prove, lasts=lambda _: True)

    async def _libraries(self, layer: AnyLayer, prefix: str) -> Libraries:
        try:
            return msgspec.json.decode(await self._files.read(layer.folder / layout.LIBRARIES), type=Libraries)
        except NotFoundError:
            return await self._files.libraries(layer.tree, prefix)

    def conflicts(self, name: str, spec: JailSpec) -> tuple[Problem, ...]:
        """Return what a spec takes that another jail of this host has already."""
        here = [
            entry
            for entry in self._inventory.jails.values()
            if entry.name != name and entry.record and entry.record.state not in {"moved", "standby", "fenced"}
        ]
        others = {entry.name: entry.generation.spec for entry in here if entry.generation is not None}
        for entry in here:
            for kept in (entry.fallback, entry.staged):  # what may come back, or is to come, keeps its addresses
                if kept is not None:
                    others[f"{entry.name}, generation {kept.number}"] = kept.spec
        return netcheck.conflicts(name, spec, others)

    async def _space(
        self, entry: JailEntry | None, before: Generation | None, draft: Draft, trees: Trees | None
    ) -> list[Problem]:
        changed = before is not None and quotas.of_spec(draft.spec) != quotas.of_spec(before.spec)
        room = await self._datasets.room(entry, taken=changed)
        found = [*quotas.too_little(room, trees.size if trees is not None else 0)]
        if before is not None:
            going_back = draft.kind == Rollback.kind
            found += quotas.below_used(draft.spec, before.spec, room.taken, going_back=going_back)
        return found

    async def _mount_points(self, stack: Stack, spec: JailSpec) -> list[Problem]:
        roots = [("/", stack.base.tree)]
        if stack.release is not None:
            roots.append((stack.manifest.mount_point, stack.release.tree))
        own = (f"/{name}" for name in (*layout.DATA_FOLDERS, "etc", "tmp"))
        # In the jail's data, or in a volume around it, a missing folder is made; the layers are read-only.
        fixed = (v.path for name, v in spec.volumes.items() if holder_of(spec, v.path, mounted=name) is None)
        targets = (*own, *(root for root, _ in roots[1:]), *fixed)
        layers = (stack.base.guid, stack.release.guid if stack.release is not None else 0)
        found = await self._obstacles.get(
            (*layers, targets), lambda: self._files.obstacles(roots, targets), lasts=lambda found: not found
        )
        return [
            Problem(
                severity=Severity.ERROR,
                code="MOUNT_TARGET",
                message=f"{target} cannot be mounted on: {problem}",
                subject=target,
                hint="choose one below /var, /root, /home or another volume: it is made there; or one that is in the "
                "base or the release",
            )
            for target, problem in found.items()
        ]


def _from(current: Generation | None, plan: Plan, spec: JailSpec) -> Plan:
    """Return a plan with what the jail is now."""
    if current is None:
        return plan
    return msgspec.structs.replace(
        plan,
        from_base=current.base,
        from_release=current.release,
        changes=spec_changes.changes(current.spec, spec),
    )


def _start(spec: JailSpec, stack: Stack) -> Start:
    manifest, on_freebsd = stack.manifest, stack.base.record.family is Family.FREEBSD
    boots = on_freebsd and (spec.command or manifest.command) in SYSTEM_BOOT
    folders = not on_freebsd or manifest.mount_point == Manifest().mount_point  # rc.d/ldconfig knows of no other
    return Start.of({} if boots else manifest.environment | spec.environment, folders=folders)


def _command(spec: JailSpec, manifest: Manifest) -> list[Problem]:
    if spec.command or manifest.command:
        return []
    return [
        Problem(
            severity=Severity.ERROR,
            code="NO_COMMAND",
            message="neither the spec nor the release's manifest says what to run",
            subject="$.command",
            hint="add a command to one of them",
        )
    ]


def _removed_volumes(old: JailSpec, new: JailSpec) -> list[Problem]:
    return [
        Problem(
            severity=Severity.WARNING,
            code="VOLUME_UNMOUNTED",
            message=f"volume {name} is no longer mounted; its data is kept",
            subject=f"$.volumes.{name}",
            hint="put it back into the spec to see it again",
        )
        for name in old.volumes
        if name not in new.volumes
    ]


def _being_removed(name: str, entry: JailEntry | None, spec: JailSpec) -> list[Problem]:
    removing = entry.record.removing if entry is not None and entry.record is not None else ()
    return [
        Problem(
            severity=Severity.ERROR,
            code="VOLUME_BEING_REMOVED",
            message=f"volume {volume} is being removed",
            subject=f"$.volumes.{volume}",
            hint=f"end that first: jailctl volume rm {name} {volume}; then it is made anew, empty",
        )
        for volume in removing
        if volume in spec.volumes
    ]


def _channel_moved(draft: Draft, channels: Mapping[str, Channel]) -> list[Problem]:
    channel = channels.get(draft.spec.channel or "")
    if channel is None or channel.base == draft.base:
        return []
    return [
        Problem(
            severity=Severity.WARNING,
            code="CHANNEL_MOVED",
            message=f"channel {channel.name} names {channel.base} by now, and {draft.base} was staged",
            subject=f"channels/{channel.name}",
            hint="stage the upgrade again to have that one",
        )
    ]


def _steps(draft: Draft, current: Generation | None, number: int) -> tuple[str, ...]:
    spec = draft.spec
    what = draft.base + (f" of channel {spec.channel}" if spec.channel else "") + (f" + {spec.app}" if spec.app else "")
    hooks, before = spec.hooks.after_start, current.spec.hooks.before_stop if current is not None else ()
    serve = (f"{quantity.count(len(hooks), 'hook')} after_start",) if hooks else ()
    drain = (f"{quantity.count(len(before), 'hook')} before_stop",) if before else ()
    if draft.cut_to:
        again = f"cut over to generation {draft.cut_to} ({what}) as it is"
        return (*drain, again, "health checks", *serve, "commit")
    stage = f"stage generation {number} ({what}) with its configuration merged"
    if draft.staged:
        stage = f"take generation {number} ({what}), which is staged"
    if current is None:
        data = draft.origin.step if draft.origin is not None else "create data and volumes"
        return (stage, data, *(() if draft.stopped else ("start", "health checks", *serve)), "commit")
    return (
        stage,
        "snapshot the data as a safety net",
        *drain,
        f"stop generation {current.number}, start generation {number}",
        "health checks; back to the old generation if they fail",
        *serve,
        "commit",
    )
