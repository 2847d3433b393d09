"""Releases built by recipes: planned, carried out in a build jail, compared with the release before, sealed.

plan ──► files (those that were sent) ──► build (step by step) ──► check ──► seal
           any failure, cancellation or crash: the dataset goes, and with it all that the build wrote
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from hashlib import sha256 as digest_of
from pathlib import Path

import msgspec

from jaild.engine.build import Engine
from jaild.engine.inventory import Inventory
from jaild.engine.operations import Handle
from jaild.layers.build_steps import BuildLogs, BuildSteps, Job, Outcome, packages_file
from jaild.layers.sealing import Sealer
from jaild.model import layout, names
from jaild.model.errors import AlreadyExistsError, InvalidArgumentError
from jaild.model.jails import policy_check as policycheck
from jaild.model.jails.spec import JailSpec, Limits, Mode, Network
from jaild.model.layers import compatibility as compat
from jaild.model.layers import manifest as manifestcheck
from jaild.model.layers import recipe
from jaild.model.layers import recipe_check as recipecheck
from jaild.model.layers.archive import release_policy
from jaild.model.layers.recipe import Recipe
from jaild.model.layers.records import BaseRecord, Built, Family, Manifest, ReleaseRecord
from jaild.model.operation import Operation
from jaild.model.policy import BuildPolicy
from jaild.model.problems import Plan, Problem, Severity
from jaild.model.views import Caller
from jaild.ports.files import Files, Spooled
from jaild.ports.runtime import Runtime


class Builds:
    """The builds of this host."""

    def __init__(
        self, engine: Engine, planner: BuildPlanner, steps: BuildSteps, logs: BuildLogs, sealer: Sealer
    ) -> None:
        self._inventory = engine.inventory
        self._planner = planner
        self._steps = steps
        self._logs = logs
        self._sealer = sealer
        self._archives = engine.ports.archives
        self._files = engine.ports.files
        self._dispatcher = engine.dispatcher
        self._operations = engine.operations
        self._events = engine.events
        self._clock = engine.ports.clock
        self._staging = engine.place.staging

    async def build(
        self,
        app: str,
        version: str,
        recipe: Recipe,
        chunks: AsyncIterator[bytes],
        *,
        sha256: str,
        size: int,
        validate_only: bool,
        caller: Caller,
    ) -> Operation:
        """Build a release; `chunks` are a tar with a folder for each copy step, named by its number from 1."""
        target = f"apps/{app}/releases/{version}"
        duplicate = await self._operations.duplicate(caller, "build", target)
        if duplicate is not None:
            return duplicate
        names.release(f"{app}/{version}")
        plan = await self._planner.plan(app, version, recipe, caller)
        if validate_only:
            return await self._dispatcher.planned(plan, caller)
        plan.require_clean()
        spooled = await self._files.spool(chunks, sha256=sha256, size=size) if recipe.uploads else None
        if spooled is None:
            async for _ in chunks:
                raise InvalidArgumentError(
                    "CHUNK_UNEXPECTED", "files were sent, and no step copies any", hint="send none, or add copy steps"
                )

        async def forget() -> None:
            if spooled is not None:
                await self._files.remove(spooled.path)

        async def work(handle: Handle) -> str:
            try:
                with handle.cancellable():
                    return await self._carry_out(handle, app, version, recipe, spooled, caller)
            finally:
                await forget()
                await self._files.remove(self._staging / handle.id)

        return await self._dispatcher.submit(target, "build", caller, work, plan=plan, unbegun=forget)

    async def log(self, operation_id: str, *, follow: bool) -> AsyncIterator[bytes]:
        """Yield what a build's steps wrote. `NotFoundError` (OPERATION_NOT_FOUND, BUILD_LOG_NOT_FOUND)."""
        async for piece in self._logs.read(operation_id, follow=follow):
            yield piece

    async def _carry_out(
        self, handle: Handle, app: str, version: str, recipe: Recipe, spooled: Spooled | None, caller: Caller
    ) -> str:
        await handle.phase("plan")
        plan = await self._planner.plan(app, version, recipe, caller)  # again: it may have waited behind others
        handle.note(plan=plan)
        plan.require_clean()
        uploads = self._staging / handle.id
        if spooled is not None:
            await handle.phase("files", "checking what was sent")
            listing = await self._archives.verify(spooled.path, release_policy())
            await self._files.make_folder(uploads)
            await self._archives.extract(spooled.path, uploads, listing)

        async def fill(folder: Path) -> ReleaseRecord:
            return await self._build(handle, app, version, recipe, folder, uploads, policy_of(caller))

        origin = self._inventory.release(f"{app}/{recipe.parent}").dataset if recipe.parent else ""
        dataset = self._inventory.where.release(app, version)
        await self._sealer.ensure_parent(dataset)
        layer = await self._sealer.seal(dataset, layout.RELEASE_PROPERTY, fill, origin=origin)
        self._inventory.releases[f"{app}/{version}"] = layer
        handle.facts(used_bytes=layer.used)
        target = f"apps/{app}/releases/{version}"
        await self._events.emit("release.built", target, f"guid {layer.guid}", base=recipe.base)
        return target

    async def _build(
        self,
        handle: Handle,
        app: str,
        version: str,
        recipe: Recipe,
        folder: Path,
        uploads: Path,
        policy: BuildPolicy,
    ) -> ReleaseRecord:
        base, base_tree = self._planner.base(recipe), self._inventory.base(recipe.base).tree
        tree, build_folder = folder / layout.TREE, folder / layout.BUILD
        # Not in the clone itself: what a build writes anew although it is the same would no longer be shared.
        work = build_folder / layout.TREE if recipe.parent else tree
        await self._files.make_folder(build_folder)
        if recipe.parent:
            await self._files.copy(tree, work)
        job = Job(
            recipe=recipe,
            base=base,
            base_tree=base_tree,
            manifest=self._planner.manifest(app, recipe),
            release=work,
            scratch=build_folder / "scratch",
            uploads=uploads,
            policy=policy,
        )
        outcome = await self._steps.carry_out(handle.id, job, await self._logs.open(handle))
        await handle.phase("check", "checking every file")
        listing = await self._archives.verify_tree(work, release_policy())
        added = listing.size
        if recipe.parent:
            difference = await self._archives.match_tree(work, tree, listing)
            added = difference.added
            handle.facts(files_written=difference.written, files_removed=difference.removed)
        await self._files.remove(build_folder)
        await self._files.make_folder(tree / "etc")  # what a generation's own configuration is mounted on
        await self._files.write(folder / layout.PACKAGES, packages_file(outcome.packages))
        await handle.phase(layout.SEALING, "reading libraries")
        handle.facts(
            files=listing.files, size_bytes=listing.size, added_bytes=added, shared_bytes=max(0, listing.size - added)
        )
        if listing.notes:
            handle.facts(notes="; ".join(listing.notes))
        _tell(handle, job, outcome)
        manifest = outcome.manifest
        if not manifest.abi:
            manifest = msgspec.structs.replace(manifest, abi=base.abi)
        manifestcheck.require(manifest)
        return ReleaseRecord(
            app=app,
            version=version,
            manifest=manifest,
            parent=recipe.parent,
            pushed=self._clock.now(),
            files=listing.files,
            size=listing.size,
            added=added,
            built=Built(
                base=base.name,
                abi=base.abi,
                osversion=base.osreldate,
                recipe=digest_of(msgspec.json.encode(recipe)).hexdigest(),
                packages=len(outcome.packages),
            ),
        )


def _tell(handle: Handle, job: Job, outcome: Outcome) -> None:
    if outcome.packages:
        handle.facts(packages=len(outcome.packages))
    known = {user.name for user in job.manifest.users}
    if made := [f"{user.name} ({user.uid})" for user in outcome.manifest.users if user.name not in known]:
        handle.facts(accounts=", ".join(made))
    if outcome.not_kept:
        handle.facts(not_kept=", ".join(outcome.not_kept))


class BuildPlanner:
    """Computes plans of builds. Reads, writes nothing."""

    def __init__(self, inventory: Inventory, runtime: Runtime, files: Files) -> None:
        self._inventory = inventory
        self._runtime = runtime
        self._files = files

    async def plan(self, app: str, version: str, wanted: Recipe, caller: Caller) -> Plan:
        """Plan a caller's build.

        Raises what makes the request wrong in itself: broken recipe, unknown names, RELEASE_EXISTS.
        """
        recipecheck.require(wanted)
        target = f"apps/{app}/releases/{version}"
        if f"{app}/{version}" in self._inventory.releases:
            raise AlreadyExistsError(
                "RELEASE_EXISTS",
                f"release {app}/{version} is here already, and releases never change",
                hint="build it under another version, or delete the one that is there",
                resource=target,
            )
        base = self.base(wanted)
        parent = self._inventory.release(f"{app}/{wanted.parent}") if wanted.parent else None
        manifest = self.manifest(app, wanted)
        facts = await self._runtime.facts()
        problems = [*policycheck.build_problems(caller, wanted)]
        problems += [*compat.check_kernel(base, facts.osreldate, facts.family), *_packages(wanted, base)]
        furnished = JailSpec(
            base=wanted.base, network=Network(mode=Mode(wanted.network)), limits=policy_of(caller).limits
        )
        problems += await self._runtime.examine(furnished, target)
        problems += await self._places(wanted, manifest)
        if parent is not None:
            problems += _parent(parent.record, manifest, base)
        return Plan(
            kind="build",
            target=target,
            steps=_steps(app, version, wanted, manifest, policy_of(caller)),
            problems=tuple(problems),
            base=wanted.base,
            release=f"{app}/{version}",
        )

    def base(self, wanted: Recipe) -> BaseRecord:
        """Return what the recipe's base is. `NotFoundError` (BASE_NOT_FOUND)."""
        return self._inventory.base(wanted.base).record

    def manifest(self, app: str, wanted: Recipe) -> Manifest:
        """Return the recipe's manifest, or the earlier release's."""
        if wanted.manifest is not None:
            return wanted.manifest
        return self._inventory.release(f"{app}/{wanted.parent}").record.manifest

    async def _places(self, wanted: Recipe, manifest: Manifest) -> list[Problem]:
        tree = self._inventory.base(wanted.base).tree
        found = await self._files.obstacles([("/", tree)], [manifest.mount_point, "/tmp"])  # noqa: S108 -- in the jail
        places = (manifest.mount_point, *recipecheck.SCRATCH)
        problems = [_place(target, f"cannot be mounted on: {problem}") for target, problem in found.items()]
        for step in wanted.steps:
            to = step.copy.to.rstrip("/") if step.copy is not None else places[0]
            if not any(to == place or to.startswith(f"{place}/") for place in places):
                problems.append(_place(to, f"cannot be written: the release is at {manifest.mount_point}"))
        return problems


def policy_of(caller: Caller) -> BuildPolicy:
    """Return what every build of the caller's has to keep to."""
    return caller.policy.builds if caller.policy is not None else BuildPolicy(time=math.inf)


def _place(target: str, problem: str) -> Problem:
    return Problem(
        severity=Severity.ERROR,
        code="MOUNT_TARGET",
        message=f"{target} {problem}",
        subject=target,
        hint="choose a folder that is there, or one below the release's mount point",
    )


def _packages(wanted: Recipe, base: BaseRecord) -> list[Problem]:
    """Return whether packages can be installed at all: PKG_NEEDS_FREEBSD."""
    if base.family is Family.FREEBSD:
        return []
    return [
        Problem(
            severity=Severity.ERROR,
            code="PKG_NEEDS_FREEBSD",
            message=f"step {number} installs packages by pkg(8), and base {base.name} is {base.family}",
            subject=f"$.steps[{number - 1}].pkg",
            hint="use run and copy on this base, or build on a FreeBSD base",
        )
        for number, step in enumerate(wanted.steps, 1)
        if step.pkg
    ]


def _parent(record: ReleaseRecord, manifest: Manifest, base: BaseRecord) -> list[Problem]:
    problems = [*compat.check_abi(record.manifest.abi, base), *compat.check_osversion(record.built, base)]
    if record.manifest.mount_point != manifest.mount_point:
        problems.append(
            Problem(
                severity=Severity.ERROR,
                code="MOUNT_POINT_DIFFERS",
                message=f"{record.reference} is at {record.manifest.mount_point}, "
                f"and the recipe's manifest says {manifest.mount_point}",
                subject="$.manifest.mount_point",
                hint="keep the mount point, or build without an earlier release",
            )
        )
    return problems


def _steps(app: str, version: str, wanted: Recipe, manifest: Manifest, policy: BuildPolicy) -> tuple[str, ...]:
    begin = f"begin with {app}/{wanted.parent} at {manifest.mount_point}" if wanted.parent else "begin with nothing"
    return (
        f"make a build jail of {wanted.base}, network {wanted.network}{_shown(policy.limits)}; {begin}",
        *(recipe.shown(step) for step in wanted.steps),
        f"seal what is at {manifest.mount_point} as {app}/{version}",
    )


def _shown(limits: Limits) -> str:
    said = (("memory", limits.memory), ("cpus", limits.cpus), ("processes", limits.processes))
    shown = ", ".join(f"{name} {value}" for name, value in said if value is not None)
    return f", at most {shown}" if shown else ""
