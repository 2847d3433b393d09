"""A recipe's steps, carried out in a build jail: none beside processes of another, their output in the build's log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from jaild.layers.build_log import BuildLog
from jaild.layers.sandbox import BuildSandbox, Execute, OpenSandbox
from jaild.model import layout
from jaild.model.errors import DeadlineExceededError, FailedPreconditionError, InternalError, NotFoundError
from jaild.model.etc import regenerate as etctools
from jaild.model.etc.accounts import apply_accounts
from jaild.model.etc.buildaccounts import with_made
from jaild.model.etc.tree import Tree
from jaild.model.jails import mounts as layers
from jaild.model.jails.spec import Network
from jaild.model.layers import pkgstep, recipe
from jaild.model.layers.recipe import Copy, Recipe
from jaild.model.layers.records import BaseRecord, Family, Manifest
from jaild.model.policy import BuildPolicy
from jaild.ports.archives import Archives
from jaild.ports.files import Files, NewFolder
from jaild.ports.runtime import Output

_NOT_KEPT = 20  # paths outside the release that are told
_UNINTERESTING = ("var/cache", "var/db/pkg", "var/run", "var/tmp")
_RESOLVER = Path("/etc/resolv.conf")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One build, with the host's folders that it works in."""

    recipe: Recipe
    base: BaseRecord
    base_tree: Path
    manifest: Manifest
    release: Path  # becomes the release: what the jail sees at the mount point
    scratch: Path  # its etc, var, root and home
    uploads: Path  # a folder for each copy step, named by its number
    policy: BuildPolicy  # what it has to keep to


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of the steps, besides files."""

    manifest: Manifest
    packages: tuple[str, ...]  # name-version
    not_kept: tuple[str, ...]  # what was made outside the release


class _Bout:
    """A started build jail, while one step is carried out in it."""

    def __init__(self, execute: Execute, log: BuildLog, name: str) -> None:
        self._execute = execute
        self._log = log
        self.name = name

    async def run(self, command: tuple[str, ...], environment: Mapping[str, str] | None = None) -> None:
        """Run a command, its output in the log. `InternalError` (BUILD_STEP_FAILED)."""

        async def keep(output: Output) -> None:
            await self._log.write(output.stdout + output.stderr)

        self._require_well(command, await self._execute(command, keep, environment))

    async def answer(self, command: tuple[str, ...]) -> str:
        """Return what a command of ours prints."""
        printed: list[bytes] = []

        async def keep(output: Output) -> None:
            printed.append(output.stdout)
            await self._log.write(output.stderr)

        self._require_well(command, await self._execute(command, keep))
        return b"".join(printed).decode("utf-8", "replace")

    def _require_well(self, command: tuple[str, ...], status: int) -> None:
        if status:
            raise InternalError(
                "BUILD_STEP_FAILED",
                f"{self.name}: {' '.join(command)} ended with status {status}",
                remedy="see its output, mend the recipe and build again; nothing was kept",
                detail={"command": " ".join(command), "status": str(status), "output": self._log.tail},
            )


class BuildSteps:
    """Carries out the steps of builds."""

    def __init__(self, sandbox: BuildSandbox, archives: Archives, files: Files) -> None:
        self._sandbox = sandbox
        self._archives = archives
        self._files = files

    async def carry_out(self, operation_id: str, job: Job, log: BuildLog) -> Outcome:
        """Do them in order.

        `InternalError` (BUILD_STEP_FAILED), `DeadlineExceededError` (BUILD_STEP_TIMEOUT, BUILD_TIMEOUT).
        """
        try:
            async with asyncio.timeout(job.policy.time):
                return await self._carried_out(operation_id, job, log)
        except TimeoutError:
            raise DeadlineExceededError(
                "BUILD_TIMEOUT",
                f"the steps were not done within {job.policy.time:g} s, all that a build may take here",
                remedy="let the recipe do less, or ask an operator for more (policy.builds.time of the grant)",
                detail={"output": log.tail},
            ) from None

    async def _carried_out(self, operation_id: str, job: Job, log: BuildLog) -> Outcome:
        before = await self._furnish(job)
        mounts = layers.sandbox_of(
            family=job.base.family,
            base=str(job.base_tree),
            release=str(job.release),
            mount_point=job.manifest.mount_point,
            scratch=str(job.scratch),
        )
        network = Network(mode=job.recipe.network)
        packages: tuple[str, ...] = ()
        async with self._sandbox.open(
            operation_id, job.base, mounts, network=network, log=log.path, limits=job.policy.limits
        ) as opened:
            commands = etctools.commands(job.base.family, before, [await self._etc(job.base_tree)], rebased=False)
            for command in commands:  # accounts of the manifest are no accounts on FreeBSD before that
                await log.begin("accounts", " ".join(command))
                async with self._bout(opened, job, log, "accounts") as bout:
                    await bout.run(command)
            for number, step in enumerate(job.recipe.steps, 1):
                name = f"step {number} of {len(job.recipe.steps)}"
                await log.begin(name, recipe.shown(step))
                if step.copy is not None:
                    await self._copy(step.copy, number, job)
                    continue
                async with self._bout(opened, job, log, name) as bout:
                    if step.run:
                        await bout.run(step.run, job.recipe.environment)
                    else:
                        await self._install(bout, step.pkg, job)
            if job.base.family is Family.FREEBSD and await self._files.size(job.release / "sbin/pkg"):
                async with self._bout(opened, job, log, "packages") as bout:
                    packages = tuple(sorted((await bout.answer(pkgstep.installed(job.base))).split()))
        after = await self._etc(job.scratch)
        return Outcome(
            manifest=with_made(job.manifest, before, after), packages=packages, not_kept=await self._outside(job)
        )

    async def _furnish(self, job: Job) -> Tree:
        """Put the base's own data and /etc into the scratch folder; return that /etc, with the manifest's accounts."""
        await self._files.make_folder(job.scratch)
        for name in layout.DATA_FOLDERS:
            await self._files.copy(job.base_tree / name, job.scratch / name)
        shipped, manifest = await self._etc(job.base_tree), job.manifest
        etc, clashes = apply_accounts(shipped, manifest.users, manifest.groups, job.base.family)
        if clashes and (errors := [clash for clash in clashes if clash.severity == "error"]):
            raise FailedPreconditionError(
                "PLAN_REFUSED", errors[0].message, remedy=errors[0].remedy, findings=tuple(errors)
            )
        await self._files.make_folder(job.scratch / layout.ETC)
        await self._files.write_tree(job.scratch / layout.ETC, etc)
        if job.recipe.network == "host":  # names are resolved as the host does
            with suppress(NotFoundError):
                await self._files.write(job.scratch / layout.ETC / _RESOLVER.name, await self._files.read(_RESOLVER))
        if job.base.family is Family.FREEBSD:
            database = layers.package_database(job.base.family).lstrip("/")
            for root in (job.release, job.scratch):
                await self._files.make_folders(root, [NewFolder(path=database, uid=0, gid=0)])
        if job.recipe.repository is not None:
            folder = str(pkgstep.FOLDER).lstrip("/")
            await self._files.make_folders(job.scratch, [NewFolder(path=folder, uid=0, gid=0)])
            for file, text in pkgstep.files(job.recipe.repository).items():
                await self._files.write(job.scratch / folder / file, text.encode())
        return etc

    async def _etc(self, root: Path) -> Tree:
        return await self._files.read_tree(root / layout.ETC)

    @asynccontextmanager
    async def _bout(self, opened: OpenSandbox, job: Job, log: BuildLog, name: str) -> AsyncIterator[_Bout]:
        """Give what runs a step's commands, for as long as a step may take."""
        try:
            async with asyncio.timeout(job.recipe.timeout), opened.started() as execute:
                yield _Bout(execute, log, name)
        except TimeoutError:
            raise DeadlineExceededError(
                "BUILD_STEP_TIMEOUT",
                f"{name} was not done within {job.recipe.timeout:g} s",
                remedy="raise the recipe's timeout, or see the log for what it waits for",
                detail={"output": log.tail},
            ) from None

    async def _copy(self, copy: Copy, number: int, job: Job) -> None:
        source = job.uploads / str(number)
        if not await self._files.names(source):
            raise FailedPreconditionError(
                "BUILD_FILES_MISSING",
                f"the files of step {number}, {copy.source}, were not sent",
                remedy=f"send them in the archive below {number}/, as jailctl does; an empty folder cannot be copied",
            )
        to, mount_point = copy.to.rstrip("/"), job.manifest.mount_point
        inside = to == mount_point or to.startswith(f"{mount_point}/")
        root, path = (job.release, to.removeprefix(mount_point)) if inside else (job.scratch, to)
        path = path.lstrip("/")
        if path:  # nothing runs in the jail now, so what is looked at here stays so
            await self._files.make_folders(root, [NewFolder(path=path, uid=0, gid=0)])
        await self._archives.add_tree(source, root / path)

    async def _install(self, bout: _Bout, packages: tuple[str, ...], job: Job) -> None:
        repository = job.recipe.repository
        if repository is None:
            raise TypeError(packages)
        environment = {**job.recipe.environment, **pkgstep.environment(job.base)}
        await bout.run(pkgstep.bootstrap(), environment)
        await bout.run(pkgstep.install(repository, job.base, packages), job.recipe.environment)
        if newer := pkgstep.too_new(await bout.answer(pkgstep.built_on(job.base)), job.base):
            shown = ", ".join(f"{package} ({version})" for package, version in newer[:5])
            raise FailedPreconditionError(
                "PACKAGE_TOO_NEW",
                f"{bout.name}: built on a newer FreeBSD than base {job.base.name} ({job.base.osreldate}): {shown}",
                remedy="take packages that were built for this base's version, or build on a newer base",
                detail={"packages": "\n".join(f"{package} {version}" for package, version in newer)},
            )

    async def _outside(self, job: Job) -> tuple[str, ...]:
        found: list[str] = []
        for name in layout.DATA_FOLDERS:
            new = await self._files.added(job.base_tree / name, job.scratch / name, 10 * _NOT_KEPT)
            found += [f"/{name}/{path}" for path in new if not f"{name}/{path}".startswith(_UNINTERESTING)]
        return tuple(found[:_NOT_KEPT])


def packages_file(packages: tuple[str, ...]) -> bytes:
    """Return what lists a release's packages beside its tree."""
    return msgspec.json.format(msgspec.json.encode(packages))
