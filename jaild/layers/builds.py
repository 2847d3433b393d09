"""Releases built by recipes: planned, carried out in a build jail, compared with the release before, sealed.

plan ──► files (those that were sent) ──► build (step by step) ──► check ──► seal
           any failure, cancellation or crash: the dataset goes, and with it all that the build wrote
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from hashlib import sha256 as digest_of
from pathlib import Path

import msgspec

from jaild.engine.build import Engine
from jaild.engine.operations import Handle
from jaild.layers.build_log import BuildLogs
from jaild.layers.build_plan import BuildPlanner, policy_of
from jaild.layers.build_steps import BuildSteps, Job, Outcome, packages_file
from jaild.layers.sealing import Sealer
from jaild.model import layout, names
from jaild.model.errors import InvalidArgumentError
from jaild.model.layers import manifest as manifestcheck
from jaild.model.layers.archive import release_policy
from jaild.model.layers.recipe import Recipe
from jaild.model.layers.records import Built, ReleaseRecord
from jaild.model.operation import Operation
from jaild.model.policy import BuildPolicy
from jaild.model.views import Caller
from jaild.ports.files import Spooled


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
        duplicate = self._operations.duplicate(caller, "build", target)
        if duplicate is not None:
            return duplicate
        names.release(f"{app}/{version}")
        plan = await self._planner.plan(app, version, recipe, caller)
        if validate_only:
            return await self._operations.planned(plan, caller)
        plan.require_clean()
        spooled = await self._files.spool(chunks, sha256=sha256, size=size) if recipe.uploads else None
        if spooled is None:
            async for _ in chunks:
                raise InvalidArgumentError(
                    "CHUNK_UNEXPECTED", "files were sent, and no step copies any", remedy="send none, or add copy steps"
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
