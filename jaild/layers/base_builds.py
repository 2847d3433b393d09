"""Bases made on a FreeBSD host: put together from the base system's packages, or patched from a sealed one."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path, PurePosixPath

from jaild.engine.build import Engine
from jaild.engine.operations import Handle
from jaild.layers.build_steps import forget_catalogues
from jaild.layers.sealing import BaseSealing, Source
from jaild.model.errors import FailedPreconditionError, InvalidArgumentError
from jaild.model.layers.archive import base_policy
from jaild.model.layers.osversion import OsVersion
from jaild.model.layers.records import Family
from jaild.model.operation import Operation
from jaild.model.problems import Plan
from jaild.model.views import Caller
from jaild.ports.archives import Extracted
from jaild.ports.userland import Packages

_ABI = re.compile(r"FreeBSD:([1-9][0-9]?):[a-z0-9]+")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_PACKAGES_IN_BASE = PurePosixPath("var/db/pkg/local.sqlite")  # pkg(8)'s list: a base of distribution sets comes without
_PER_MAJOR = 100_000  # __FreeBSD_version counts from there in each major version


class BaseMaking:
    """Makes bases by FreeBSD's own tools."""

    def __init__(self, engine: Engine, sealing: BaseSealing) -> None:
        self._inventory = engine.inventory
        self._userland = engine.ports.userland
        self._archives = engine.ports.archives
        self._files = engine.ports.files
        self._runtime = engine.ports.runtime
        self._sealing = sealing
        self._dispatcher = engine.dispatcher
        self._operations = engine.operations
        self._staging = engine.place.staging

    async def install(
        self,
        base_id: str,
        repository: str,
        names: tuple[str, ...],
        abi: str,
        osversion: int,
        *,
        validate_only: bool = False,
        caller: Caller,
    ) -> Operation:
        """Put a base together from packages (pkgbase)."""
        duplicate = await self._operations.duplicate(caller, "install", f"bases/{base_id}")
        if duplicate is not None:
            return duplicate
        self._sealing.require_new(base_id)
        packages = _packages(repository, names, abi, osversion)
        await self._require_freebsd()
        if validate_only:
            first = f"install {' '.join(packages.names)} of {packages.repository} ({packages.abi}) into a new dataset"
            return await self._planned(base_id, "install", first, caller)

        async def fill(handle: Handle, tree: Path, work: Path) -> str:
            await handle.phase("install", f"{' '.join(packages.names)} from {packages.repository}")
            await self._userland.install(tree, packages, work)
            await forget_catalogues(self._files, tree / _PACKAGES_IN_BASE.parent)
            return f"pkgbase: {' '.join(packages.names)} from {packages.repository}"

        def look(system: OsVersion) -> None:
            if system.abi != packages.abi:
                raise FailedPreconditionError(
                    "ABI_MISMATCH",
                    f"{packages.abi} was asked for, installed is {system.abi}",
                    hint="name its own ABI",
                )

        return await self._submit(base_id, "install", caller, fill, Source(look=look))

    async def patch(self, base_id: str, parent: str, *, validate_only: bool = False, caller: Caller) -> Operation:
        """Make a base of another one with the patches that its version has got since. That one stays as it is."""
        duplicate = await self._operations.duplicate(caller, "patch", f"bases/{base_id}")
        if duplicate is not None:
            return duplicate
        self._sealing.require_new(base_id)
        base = self._inventory.base(parent)
        record = base.record
        if record.family is not Family.FREEBSD:
            raise _freebsd_only(f"base {parent} is {record.family}")
        if await self._files.size(base.tree / _PACKAGES_IN_BASE):
            raise FailedPreconditionError(
                "BASE_OF_PACKAGES",
                f"base {parent} was made of packages (pkgbase), which freebsd-update(8) does not patch",
                hint=f"install a new one: jailctl base install {base_id} ...",
                resource=f"bases/{parent}",
            )
        await self._require_freebsd()
        if validate_only:
            first = f"clone {parent} ({record.version}), and install the patches that there are for it by then"
            return await self._planned(base_id, "patch", first, caller)

        async def fill(handle: Handle, tree: Path, work: Path) -> str:
            await handle.phase("patch", f"{parent} ({record.version}): fetching and installing")
            patched = await self._userland.patch(tree, record.version, work)
            if not patched.changed:
                which = ", which has passed its end of life" if patched.ended else ""
                raise FailedPreconditionError(
                    "BASE_UP_TO_DATE",
                    f"there are no patches for {parent} ({record.version}){which}; no base {base_id} was made",
                    hint=f"use {parent}; ask again when there is a new advisory",
                    resource=f"bases/{parent}",
                )
            end = f"; {record.version} has passed its end of life" if patched.ended else ""
            return f"patched from {parent} ({record.version}) by freebsd-update{end}"

        return await self._submit(base_id, "patch", caller, fill, Source(origin=parent))

    async def _submit(
        self,
        base_id: str,
        kind: str,
        caller: Caller,
        fill: Callable[[Handle, Path, Path], Awaitable[str]],
        source: Source,
    ) -> Operation:
        async def work(handle: Handle) -> str:
            folder = self._staging / handle.id

            async def unpack(tree: Path) -> Extracted:
                await self._files.make_folder(folder)
                note = await fill(handle, tree, folder)
                await handle.phase("check", "checking every file")
                listing = await self._archives.verify_tree(tree, base_policy())
                return Extracted(files=listing.files, size=listing.size, notes=(note, *listing.notes))

            try:
                with handle.cancellable():
                    return await self._sealing.seal(handle, base_id, unpack, source)
            finally:
                await self._files.remove(folder)

        return await self._dispatcher.submit(f"bases/{base_id}", kind, caller, work)

    async def _planned(self, base_id: str, kind: str, first: str, caller: Caller) -> Operation:
        plan = Plan(kind=kind, target=f"bases/{base_id}", steps=(first, "check every file", "seal it"))
        return await self._dispatcher.planned(plan, caller)

    async def _require_freebsd(self) -> None:
        facts = await self._runtime.facts()
        if facts.family is not Family.FREEBSD:
            raise _freebsd_only(f"this host runs {facts.family}")


def _freebsd_only(why: str) -> FailedPreconditionError:
    return FailedPreconditionError(
        "FREEBSD_ONLY",
        f"pkg and freebsd-update make FreeBSD bases on FreeBSD hosts, and {why}",
        hint="do it on a FreeBSD host and move a jail here, or import an archive",
    )


def _packages(repository: str, names: tuple[str, ...], abi: str, osversion: int) -> Packages:
    """Return what is asked for, completed. `InvalidArgumentError` (INVALID_PACKAGES)."""
    major = _ABI.fullmatch(abi)
    if major is None:
        raise _wrong(f"abi {abi!r} is not one of FreeBSD", "write FreeBSD:15:amd64")
    if not _WORD.fullmatch(repository):
        raise _wrong(f"{repository!r} is not a repository's name", "name one of the host's folder of repositories")
    for name in names:
        if not _WORD.fullmatch(name):
            raise _wrong(f"{name!r} is not a package's name", "write FreeBSD-set-base-jail")
    lowest = int(major[1]) * _PER_MAJOR
    if osversion and not lowest <= osversion < lowest + _PER_MAJOR:
        raise _wrong(f"osversion {osversion} is not of {abi}", f"write one from {lowest} on, or leave it out")
    chosen = names or ("FreeBSD-set-base-jail",)
    return Packages(repository=repository, names=chosen, abi=abi, osversion=osversion or lowest)


def _wrong(message: str, hint: str) -> InvalidArgumentError:
    return InvalidArgumentError("INVALID_PACKAGES", message, hint=hint)
