"""A generation's configuration: merged from its layers and the jail's own, written, and its databases made.

The databases of /etc, the linker's cache and new host keys are made by its base's own tools: in a sandbox, before
anything is cut over, unless it is known what they make. Nothing of a base is run on the host itself. The jail's data is
not mounted: what serves is not touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from jaild.engine.concurrency import Memo
from jaild.engine.inventory import AnyLayer, Inventory, JailEntry, Layer, Stack
from jaild.jails.runs import Runs
from jaild.jails.toolresults import ToolResults
from jaild.layers.sandbox import BuildSandbox
from jaild.model import bounds, layout
from jaild.model.errors import InternalError
from jaild.model.etc import plan as etcplan
from jaild.model.etc import regenerate as etctools
from jaild.model.etc import results
from jaild.model.etc.regenerate import Argv
from jaild.model.etc.renumber import Owners, Renumbered, problems
from jaild.model.etc.tree import Tree
from jaild.model.jails.change import Origin
from jaild.model.jails.mounts import Mount
from jaild.model.jails.spec import Mode, Network
from jaild.model.layers.libraries import own_folders
from jaild.model.layers.records import BaseRecord, Generation
from jaild.model.problems import Problem
from jaild.ports.files import Files
from jaild.ports.runtime import Output

_BASES = 16  # whose owners are kept in memory
_SECTOR, _OF_A_FILE = 4096, 512  # bytes
_TOLD = 2000  # bytes of its output that an error carries


@dataclass(frozen=True)
class Trees:
    """A generation's configuration, and the words by which a later change of what it was merged from is noticed."""

    etc: Tree
    local_etc: Tree
    mine: Path | None = None  # the folder of the generation whose own configuration is in it; None for a new jail
    etc_state: str = ""
    local_etc_state: str = ""
    tools: tuple[Argv, ...] = ()  # what must be run in the jail when they are written

    @property
    def size(self) -> int:
        """About how many bytes they take on a pool with sectors of 4 KiB."""
        entries = [*self.etc.values(), *self.local_etc.values()]
        return sum(_SECTOR * (1 + len(entry.content) // _SECTOR) + _OF_A_FILE for entry in entries)


def _weight(tree: Tree) -> int:
    """Return about how many bytes of memory a tree takes."""
    return sum(bounds.TREE_ENTRY + len(path) + len(entry.content) for path, entry in tree.items())


class Configuration:
    """The configuration of this host's jails."""

    def __init__(
        self, inventory: Inventory, runs: Runs, sandbox: BuildSandbox, files: Files, tool_results: Path
    ) -> None:
        self._inventory = inventory
        self._runs = runs
        self._sandbox = sandbox
        self._files = files
        self._tool_results = tool_results
        # Of layers, by their guids. Forty upgrades to one base read its /etc once.
        self._trees: Memo[int, Tree] = Memo(bounds.LAYER_TREES, _weight)
        self._owners: Memo[int, Owners] = Memo(_BASES)
        self._planning = asyncio.Lock()

    async def merge(
        self,
        entry: JailEntry | None,
        stack: Stack,
        *,
        base: str,
        planning: bool = True,
        origin: Origin | None = None,
    ) -> tuple[Trees, list[Problem]]:
        """Merge both trees for a generation on `stack`: ancestor and theirs from the layers, mine the jail's own.

        A new jail that is a copy of another (`origin`) begins with that one's.
        `planning`: nobody's jail is down meanwhile. Then only one is computed at a time, and the owners of the jail's
        data are counted where a problem tells them; no problem depends on it.
        """
        etc = etcplan.Sides(theirs=await self._etc_of(stack.base))
        local = etcplan.Sides(theirs=await self._etc_of(stack.release))
        etc_state = local_state = ""
        current = entry.generation if entry is not None else None
        mine = None
        if entry is not None and current is not None:
            mine = layout.generation_folder(entry.folder, current.number)
            etc_state = await self._files.state_of(mine / layout.ETC)
            local_state = await self._files.state_of(mine / layout.LOCAL_ETC)
            before = self._inventory.stack(current.base, current.release)
            etc = etcplan.Sides(
                theirs=etc.theirs,
                ancestor=await self._etc_of(before.base),
                mine=await self._files.read_tree(mine / layout.ETC),
            )
            local = etcplan.Sides(
                theirs=local.theirs,
                ancestor=await self._etc_of(before.release),
                mine=await self._files.read_tree(mine / layout.LOCAL_ETC),
            )
        elif origin is not None:
            before = self._inventory.stack(origin.base, origin.release)
            ancestor = await self._etc_of(before.base) if origin.ancestor is None else origin.ancestor
            etc = etcplan.Sides(theirs=etc.theirs, ancestor=ancestor, mine=origin.etc)
            local = etcplan.Sides(
                theirs=local.theirs, ancestor=await self._etc_of(before.release), mine=origin.local_etc
            )
        known = current or origin
        request = etcplan.Request(
            etc=etc,
            local=local,
            local_folder=f"{stack.manifest.mount_point}/etc",
            family=stack.base.record.family,
            machine_id=uuid.uuid4().hex,  # as machine-id(5) wants it
            users=stack.manifest.users,
            groups=stack.manifest.groups,
            rebased=known is not None and (known.base != base or (origin is not None and origin.ancestor is not None)),
            copied=origin is not None and not origin.keeps_identity,
            libraries=await self._libraries(known, stack),
        )
        # What root in the jail wrote decides how long this takes: other jails' queues, peers and readers go on.
        async with self._planning if planning else contextlib.nullcontext():
            answer = await asyncio.to_thread(etcplan.carry_out, request)
        trees = Trees(answer.etc, answer.local_etc, mine, etc_state, local_state, answer.tools)
        return trees, [*answer.problems, *await self._renumbered(entry, stack, answer.renumbered, count=planning)]

    async def _etc_of(self, layer: AnyLayer | None) -> Tree:
        if layer is None:
            return {}
        return await self._trees.get(layer.guid, lambda: self._files.read_tree(layer.tree / "etc"))

    async def _renumbered(
        self, entry: JailEntry | None, stack: Stack, renumbered: Sequence[Renumbered], *, count: bool
    ) -> list[Problem]:
        if entry is None or entry.generation is None or not renumbered:
            return []
        base = await self._owners_of(stack.base)
        data = Owners(whole=False)
        if count and problems(renumbered, base, data, stack.base.record.name):
            parts = (layout.DATA, *entry.generation.spec.volumes)
            data = await self._files.owners([entry.folder / part for part in parts])
        return problems(renumbered, base, data, stack.base.record.name)

    async def _owners_of(self, base: Layer[BaseRecord]) -> Owners:
        """Count, once for each base, since it never changes, what jails see of it."""
        without = (layout.ETC, *layout.DATA_FOLDERS)
        return await self._owners.get(base.guid, lambda: self._files.owners([base.tree], without=without))

    async def _libraries(self, current: Generation | Origin | None, stack: Stack) -> tuple[str, ...] | None:
        """Return the folders that the linker must be told of; None if the generation's /etc knows them already."""
        release = stack.release
        layers = (stack.base.record.name, release.record.reference if release is not None else "")
        if layers == ((current.base, current.release) if current is not None else (layers[0], "")):
            return None
        if release is None:
            return ()
        return own_folders(stack.manifest.mount_point, await self._files.names(release.tree / "lib"))

    async def is_outdated(self, trees: Trees) -> bool:
        """Return whether the jail's own configuration was touched since it was merged."""
        if trees.mine is None:
            return False
        states = (
            await self._files.state_of(trees.mine / layout.ETC, like=trees.etc_state),
            await self._files.state_of(trees.mine / layout.LOCAL_ETC, like=trees.local_etc_state),
        )
        return states != (trees.etc_state, trees.local_etc_state)

    async def write_again(
        self, operation_id: str, entry: JailEntry, generation: Generation, trees: Trees, staged: Trees
    ) -> None:
        """Write what was merged anew after `staged` was written: the jail is down, so nothing is made twice."""
        made = await self._files.read_tree(layout.generation_folder(entry.folder, generation.number) / layout.ETC)
        etc, tools = etcplan.again(trees.etc, trees.tools, staged.etc, made)
        await self.write(operation_id, entry, generation, replace(trees, etc=etc, tools=tools))

    async def write(self, operation_id: str, entry: JailEntry, generation: Generation, trees: Trees) -> None:
        """Write a generation's configuration, also under a run that is ready to start, and make its databases.

        `InternalError` (ETC_TOOL_FAILED).
        """
        folder = layout.generation_folder(entry.folder, generation.number)
        await self._files.make_folder(folder / layout.ETC)
        await self._files.make_folder(folder / layout.LOCAL_ETC)
        await self._files.write_tree(folder / layout.LOCAL_ETC, trees.local_etc)
        stack = self._inventory.stack(generation.base, generation.release)
        # A base put together without a tool (pkgbase) has nothing to be made by it.
        tree = stack.base.tree
        tools = [t for t in trees.tools if t == etctools.PASSWORDS or await self._files.size(tree / t[0][1:])]
        layers = (stack.base.guid, stack.release.guid if stack.release else 0, stack.manifest.mount_point)
        shared = results.shared(tools) if tools else []

        async def put(etc: Tree, tools: Sequence[Argv]) -> None:
            await self._files.write_tree(folder / layout.ETC, etc)
            if tools:
                await self._make_databases(operation_id, entry, generation, tools)

        if not shared:
            await put(trees.etc, tools)
            return
        key = await asyncio.to_thread(results.key_of, shared, layers, trees.etc, trees.local_etc)
        async with self._known.turn(key):
            known = await self._known.find(key)
            if known is not None:
                await put(known.applied(trees.etc), [tool for tool in tools if tool not in shared])
                return
            await put(trees.etc, tools)
            made = await self._files.read_tree(folder / layout.ETC)
            await self._known.keep(key, results.result_of(trees.etc, made))

    @cached_property
    def _known(self) -> ToolResults:
        return ToolResults(self._files, self._tool_results)

    async def _make_databases(
        self, operation_id: str, entry: JailEntry, generation: Generation, commands: Sequence[Argv]
    ) -> None:
        stack = self._inventory.stack(generation.base, generation.release)
        mounts = self._mounts(entry, generation, stack.manifest.mount_point)
        log, network = Path("/dev/null"), Network(mode=Mode.NONE)
        opening = self._sandbox.open(operation_id, stack.base.record, mounts, network=network, log=log)
        async with opening as opened, opened.started() as execute:
            for command in commands:
                said: list[bytes] = []

                async def keep(piece: Output, said: list[bytes] = said) -> None:
                    said.append(piece.stdout + piece.stderr)

                if status := await execute(command, keep):
                    raise _failed(entry.name, generation, command, status, b"".join(said)[-_TOLD:])

    def _mounts(self, entry: JailEntry, generation: Generation, mount_point: str) -> tuple[Mount, ...]:
        """Return the generation's own mounts without its data; below that is the base's own, read-only."""
        wanted = {"/", "/etc", "/tmp"}  # noqa: S108 -- in the jail
        if not mount_point.startswith(tuple(f"/{name}/" for name in layout.DATA_FOLDERS)):
            wanted |= {mount_point, f"{mount_point}/etc"}  # certificates may come from there
        return tuple(mount for mount in self._runs.spec_of(entry, generation).mounts if mount.target in wanted)


def _failed(jail: str, generation: Generation, command: Argv, status: int, output: bytes) -> InternalError:
    said = output.decode("utf-8", "replace").strip()
    fit = "make the jail's file fit (vipw, or the file that is named)"
    fixed = "make the base anew, with an ssh-keygen that works or without host keys"
    return InternalError(
        "ETC_TOOL_FAILED",
        f"{' '.join(command)}, of base {generation.base}, failed on the new /etc of jail {jail} with status {status}: "
        + (said or "it said nothing"),
        hint=f"{fixed if command == etctools.HOST_KEYS else fit}, then try again; nothing was cut over",
        resource=f"jails/{jail}",
        detail={"command": " ".join(command), "status": str(status), "stderr": said},
    )
