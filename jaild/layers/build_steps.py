"""A recipe's steps, carried out in a build jail: none beside processes of another, their output in the build's log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from jaild.engine.operations import Handle, Operations
from jaild.layers.sandbox import BuildSandbox, Execute, OpenSandbox
from jaild.model import bounds, layout, quantity
from jaild.model.errors import DeadlineExceededError, FailedPreconditionError, InternalError, NotFoundError
from jaild.model.etc import regenerate as etctools
from jaild.model.etc.accounts import apply_accounts
from jaild.model.etc.buildaccounts import with_made
from jaild.model.etc.tree import Tree
from jaild.model.jails import mounts as layers
from jaild.model.jails.spec import Mode, Network
from jaild.model.layers import pkgstep, recipe
from jaild.model.layers.recipe import Copy, Recipe
from jaild.model.layers.records import BaseRecord, Family, Manifest
from jaild.model.operation import Operation
from jaild.model.policy import BuildPolicy
from jaild.ports.archives import Archives
from jaild.ports.clock import Clock
from jaild.ports.files import Files, NewFolder
from jaild.ports.runtime import Output

_NOT_KEPT = 20  # paths outside the release that are told
# Two are what FreeBSD's pw(8) writes when it makes an account.
_UNINTERESTING = ("var/cache", "var/db/pkg", "var/log/userlog", "var/mail", "var/run", "var/tmp")
_RESOLVER = Path("/etc/resolv.conf")
KEPT = 100  # logs; older ones are removed when a build begins
_TAIL = 4000  # bytes that an error carries
_POLL = 0.25  # seconds; neither inotify nor kqueue is on both systems
_PIECE = 64 << 10


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
                hint="see its output, fix the recipe and build again; nothing was kept",
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
                hint="let the recipe do less, or ask an operator for more (policy.builds.time of the grant)",
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
        network = Network(mode=Mode(job.recipe.network))
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
        if job.base.family is Family.FREEBSD:
            await forget_catalogues(self._files, job.release / layers.package_database(Family.FREEBSD).lstrip("/"))
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
                "PLAN_REFUSED", errors[0].message, hint=errors[0].hint, problems=tuple(errors)
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
                hint="raise the recipe's timeout, or see the log for what it waits for",
                detail={"output": log.tail},
            ) from None

    async def _copy(self, copy: Copy, number: int, job: Job) -> None:
        source = job.uploads / str(number)
        if not await self._files.names(source):
            raise FailedPreconditionError(
                "BUILD_FILES_MISSING",
                f"the files of step {number}, {copy.source}, were not sent",
                hint=f"send them in the archive below {number}/, as jailctl does; an empty folder cannot be copied",
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
        if job.recipe.parent:
            await bout.run(pkgstep.upgrade(repository, job.base), job.recipe.environment)
        await bout.run(pkgstep.install(repository, job.base, packages), job.recipe.environment)
        if newer := pkgstep.too_new(await bout.answer(pkgstep.built_on(job.base)), job.base):
            shown = ", ".join(f"{package} ({version})" for package, version in newer[:5])
            raise FailedPreconditionError(
                "PACKAGE_TOO_NEW",
                f"{bout.name}: built on a newer FreeBSD than base {job.base.name} ({job.base.osreldate}): {shown}",
                hint="take packages that were built for this base's version, or build on a newer base",
                detail={"packages": "\n".join(f"{package} {version}" for package, version in newer)},
            )

    async def _outside(self, job: Job) -> tuple[str, ...]:
        found: list[str] = []
        for name in layout.DATA_FOLDERS:
            new = await self._files.added(job.base_tree / name, job.scratch / name, 10 * _NOT_KEPT)
            found += [f"/{name}/{path}" for path in new if not f"{name}/{path}".startswith(_UNINTERESTING)]
        return tuple(found[:_NOT_KEPT])


async def forget_catalogues(files: Files, database: Path) -> None:
    """Remove what pkg(8) keeps of its repositories: FreeBSD's own takes more than many an application."""
    for name in pkgstep.catalogues(await files.names(database)):
        await files.remove(database / name)


def packages_file(packages: tuple[str, ...]) -> bytes:
    """Return what lists a release's packages beside its tree."""
    return msgspec.json.format(msgspec.json.encode(packages))


class BuildLog:
    """One build's log, as its steps write it."""

    def __init__(self, files: Files, path: Path, handle: Handle) -> None:
        self._files = files
        self._handle = handle
        self._heading = ""
        self._tail = b""
        self._room = bounds.BUILD_LOG
        self.path = path

    async def begin(self, step: str, heading: str) -> None:
        """Say which step begins; `step` is "step 2 of 5"."""
        self._heading, self._tail = step, b""
        await self._handle.phase("build", f"{step}: {heading}")
        await self._files.append(self.path, f"== {step}: {heading}\n".encode())

    async def write(self, piece: bytes) -> None:
        """Take a piece of output."""
        if not piece:
            return
        if self._room > 0:  # an error still carries the end of what came after
            kept, self._room = piece[: self._room], self._room - len(piece)
            more = b"" if self._room > 0 else f"\n== the log ends here, at {quantity.size(bounds.BUILD_LOG)}\n".encode()
            await self._files.append(self.path, kept + more)
        self._tail = (self._tail + piece)[-_TAIL:]
        last = self._tail.rstrip().rpartition(b"\n")[2].decode("utf-8", "replace")
        self._handle.note(message=f"{self._heading}: {last[:200]}")

    @property
    def tail(self) -> str:
        """The end of the step's output, whole lines where it was cut."""
        tail = self._tail if len(self._tail) < _TAIL else self._tail.partition(b"\n")[2]
        return tail.decode("utf-8", "replace").strip()


class BuildLogs:
    """The logs of this host's builds, by operation."""

    def __init__(self, files: Files, operations: Operations, clock: Clock, folder: Path) -> None:
        self._files = files
        self._operations = operations
        self._clock = clock
        self._folder = folder

    async def open(self, handle: Handle) -> BuildLog:
        """Begin an operation's log, and forget the oldest ones."""
        await self._files.make_folder(self._folder)
        path = self._path(handle.id)
        await self._files.append(path, b"")
        known = {f"{operation.id}.log": operation.created for operation in self._operations.list()}
        names = sorted(await self._files.names(self._folder), key=lambda name: known.get(name, 0.0))
        for name in names[:-KEPT]:
            await self._files.remove(self._folder / name)
        return BuildLog(self._files, path, handle)

    async def read(self, operation_id: str, *, follow: bool) -> AsyncIterator[bytes]:
        """Yield what a build wrote, with `follow` until its operation is done.

        `NotFoundError` (OPERATION_NOT_FOUND, BUILD_LOG_NOT_FOUND).
        """
        operation, path, position = self._operations.get(operation_id), self._path(operation_id), 0
        if operation.done and path.name not in await self._files.names(self._folder):
            raise _no_log(operation)
        while True:
            done = self._operations.get(operation_id).done  # asked first: what comes after it is read below
            while piece := await self._files.read_at(path, position, _PIECE):
                position += len(piece)
                yield piece
            if done or not follow:
                return
            await self._clock.sleep(_POLL)

    def _path(self, operation_id: str) -> Path:
        return self._folder / f"{operation_id}.log"


def _no_log(operation: Operation) -> NotFoundError:
    return NotFoundError(
        "BUILD_LOG_NOT_FOUND",
        f"{operation.name} ({operation.kind} of {operation.target}) has no log",
        hint=f"only builds have one, and the last {KEPT} are kept",
        resource=operation.name,
    )
