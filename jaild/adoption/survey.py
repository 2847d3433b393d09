"""Looks at a jail that another tool made, and says what would come of it. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from jaild.engine.build import Engine
from jaild.model import layout, names
from jaild.model.differences import Differences
from jaild.model.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from jaild.model.foreign import findings
from jaild.model.foreign.jail import ForeignJail, ForeignMount, Places, Tool
from jaild.model.foreign.tools import READERS
from jaild.model.foreign.wish import Wish
from jaild.model.jails.change import Origin
from jaild.model.jails.mounts import holder_of
from jaild.model.jails.spec import JailSpec, Volume
from jaild.model.layers.osversion import OsVersion
from jaild.model.problems import Problem
from jaild.ports.zfs import Dataset

# What of a jail's tree is adopted, mounted, or of this boot: not compared with the base.
_OF_THE_JAIL = ("etc", "usr/local", "usr/home", "var", "root", "home", "tmp", "dev", "proc", "sys", "run")


@dataclass(frozen=True, kw_only=True)
class Found:
    """A jail as it was found, and what would be made of it.

    Its folders are of the host, and its own to write; none is a link, nor reached through one.
    """

    jail: ForeignJail
    running: bool
    spec: JailSpec  # without an app; its base is empty if there is none
    own: Path  # the tree that its data is in
    dataset: str  # of the pool, mounted there; empty: none is
    etc: Path
    ancestor: Path | None  # /etc of the release that it was made of; None: that of its base
    local: str  # /usr/local as a path below `own`, or an absolute one; empty if there is none
    data: Mapping[str, str]  # var, root, home: paths below `own` of those that there are
    volumes: Mapping[str, Path]  # what those of the spec begin with that begin with something
    problems: tuple[Problem, ...]


class Survey:
    """Surveys jails of other tools."""

    def __init__(self, engine: Engine) -> None:
        self._inventory = engine.inventory
        self._foreign = engine.ports.foreign
        self._files = engine.ports.files
        self._zfs = engine.ports.zfs

    async def look(self, wish: Wish) -> Found:
        """Return what there is. `NotFoundError` (FOREIGN_JAIL_NOT_FOUND), `InvalidArgumentError` (FOREIGN_...)."""
        jail = await self.read(wish)
        own = await self._foreign.place(jail.places.own)
        if own is None:
            raise _not_found(wish, f"its tree {jail.places.own} is not there")
        there = await self._zfs.datasets(self._inventory.where.pool)
        userland = await self._foreign.place(jail.places.userland) if jail.places.userland else None
        system = await self._system(own if jail.places.is_thick else userland or own, jail)
        base, problems = self._base(wish, jail, system)
        mounts = [*jail.mounts, *_nested(there, own, jail.places)]
        made_of = self._made_of(base, system, userland)
        differences = await self._differences(jail.places, own, made_of, mounts)
        filled = [ForeignMount(source=f"{jail.places.own}/{path}", target=f"/{path}") for path in differences.filled]
        local = await self._local(jail.places, own)
        reachable, left = await self._reachable([*mounts, *filled], base, own / local)
        volumes, sources, not_volumes = findings.volumes(reachable)
        problems += [*findings.settings(jail), *left, *not_volumes, *findings.tree(differences, base or "none")]
        spec = wish.spec or msgspec.structs.replace(jail.spec, volumes=volumes)
        spec = msgspec.structs.replace(spec, base=base, channel=None if base else spec.channel, app=None)
        begun = await self._sources(
            jail.places, spec.volumes, {volumes[name].path: sources[name] for name in volumes}, own
        )
        running = await self._foreign.is_running(jail.kernel_name)
        problems += [*(findings.running(jail, stop=wish.stop) if running else ()), *findings.boots(jail)]
        dataset = dataset_at(there, own)
        problems += [] if dataset is not None else [findings.copied(jail)]
        return Found(
            jail=jail,
            running=running,
            spec=spec,
            own=own,
            dataset=dataset.name if dataset is not None else "",
            etc=await self._etc(jail, own),
            ancestor=userland / "etc" if userland is not None else None,
            local=local,
            data=await self._data(jail.places, own),
            volumes=begun,
            problems=tuple(problems),
        )

    async def origin(self, found: Found, release: str = "") -> Origin:
        """Return what the new jail's configuration is made of, as it is now; `release`: what was made of /usr/local."""
        local = await self._files.read_tree(self._inventory.release(release).tree / layout.ETC) if release else {}
        data = "clone" if found.dataset else "copy"
        return Origin(
            base=found.spec.base,
            release="",
            etc=await self._files.read_tree(found.etc),
            local_etc=local,
            ancestor=await self._files.read_tree(found.ancestor) if found.ancestor is not None else None,
            step=f"{data} data and volumes of {found.jail.places.own}, which stays",
            cloned_from=found.dataset,
            keeps_identity=True,
        )

    async def read(self, wish: Wish) -> ForeignJail:
        """Return a jail as its tool's files tell it. `NotFoundError` (FOREIGN_JAIL_NOT_FOUND)."""
        if not wish.name or "/" in wish.name or wish.name.startswith((".", "-")):
            raise InvalidArgumentError(
                "INVALID_NAME",
                f"{wish.name!r} is no name of a jail of {wish.tool}",
                hint="write it as its tool lists it",
            )
        reader = READERS[wish.tool]
        root = await self._root(wish)
        texts = await self._foreign.texts(Path(root), reader.paths(wish.name))
        if not any(key in texts for key in reader.needed):
            at = " nor ".join(reader.paths(wish.name)[key] for key in reader.needed)
            raise _not_found(wish, f"there is no {at} in {root}")
        return reader.read(wish.name, root, texts)

    async def _root(self, wish: Wish) -> str:
        if wish.root:
            return wish.root.rstrip("/")
        if wish.tool is Tool.IOCAGE:  # its pool's own dataset says where it is
            dataset = f"{self._inventory.where.pool}/{Tool.IOCAGE}"
            try:
                found = await self._zfs.dataset(dataset)
            except NotFoundError:
                return READERS[wish.tool].root
            return str(found.mountpoint) if found.mountpoint is not None else READERS[wish.tool].root
        return READERS[wish.tool].root

    async def _system(self, tree: Path, jail: ForeignJail) -> OsVersion:
        try:
            return await self._files.system(tree)
        except InvalidArgumentError as error:
            raise InvalidArgumentError(
                "FOREIGN_TREE_UNREADABLE",
                f"the userland of jail {jail.name} cannot be told: {error.message}",
                hint="see that its release is there, and that its tool starts it",
            ) from error

    def _base(self, wish: Wish, jail: ForeignJail, system: OsVersion) -> tuple[str, list[Problem]]:
        wanted = wish.base or (wish.spec.base if wish.spec is not None else "")
        if wanted:
            record = self._inventory.base(wanted).record
        else:
            chosen = findings.base_of(system, (layer.record for layer in self._inventory.bases.values()))
            if chosen is None:
                return "", [findings.no_base(jail, system)]
            record = chosen
        return record.name, findings.other_base(system, record)

    def _made_of(self, base: str, system: OsVersion, userland: Path | None) -> Path | None:
        """Return what a jail's tree is compared with: its base if that is as the jail, else what it was made of."""
        if not base:
            return None
        layer = self._inventory.base(base)
        return userland if userland is not None and layer.record.version != system.version else layer.tree

    async def _differences(
        self, places: Places, own: Path, made_of: Path | None, mounts: list[ForeignMount]
    ) -> Differences:
        if made_of is None:
            return Differences()
        if not places.is_whole:
            known = {Path(path).name for path in (*places.data.values(), places.etc, places.local_etc)}
            added = tuple(name for name in await self._files.names(own) if name not in known)
            return Differences(added=added)
        without = {*_OF_THE_JAIL, *places.hidden, *(mount.target.lstrip("/") for mount in mounts)}
        found = await self._files.differences(made_of, own, without=without, links=places.links)
        # A thin jail has few folders of its own: what it has not, it sees of its release.
        return found if places.is_thick else msgspec.structs.replace(found, removed=())

    async def _reachable(
        self, mounts: list[ForeignMount], base: str, local: Path
    ) -> tuple[list[ForeignMount], list[Problem]]:
        """Return those that can be mounted in the new jail: in its data, or on a folder of its base or release."""
        if not base:
            return mounts, []
        layers = [("/", self._inventory.base(base).tree), ("/usr/local", local)]
        fixed = [mount.target for mount in mounts if holder_of(JailSpec(), mount.target) is None]
        obstacles = await self._files.obstacles(layers, fixed)
        left = [
            findings.not_mounted(mount, f"{obstacles[mount.target]} in base {base}")
            for mount in mounts
            if mount.target in obstacles
        ]
        return [mount for mount in mounts if mount.target not in obstacles], left

    async def _sources(
        self, places: Places, wanted: Mapping[str, Volume], mounted: Mapping[str, str], own: Path
    ) -> dict[str, Path]:
        """Return what each volume of a spec begins with: what was `mounted` at its path, or what the tree has there."""
        begun = {}
        for name, volume in wanted.items():
            names.volume(name)
            source = mounted.get(volume.path, f"{places.own}{volume.path}")
            if source.startswith(f"{places.own}/"):  # the jail's own to write: no link is followed
                folder = own / source.removeprefix(f"{places.own}/")
                if not await self._obstacle(own, folder):
                    begun[name] = folder
                continue
            outside = await self._foreign.place(source)
            if outside is None:
                raise FailedPreconditionError(
                    "FOREIGN_TREE_UNREADABLE",
                    f"{source}, which is mounted on {volume.path}, is not there",
                    hint="mount it, or take it out of the old jail's configuration",
                )
            begun[name] = outside
        return begun

    async def _etc(self, jail: ForeignJail, own: Path) -> Path:
        etc = own / Path(jail.places.etc).relative_to(jail.places.own)
        if await self._obstacle(own, etc):
            raise InvalidArgumentError(
                "FOREIGN_TREE_UNREADABLE", f"jail {jail.name} has no folder {etc}", hint="see that its tree is mounted"
            )
        return etc

    async def _data(self, places: Places, own: Path) -> dict[str, str]:
        """Return where the folders of the data are; FreeBSD 13 and older have the homes in /usr/home."""
        found = {}
        for name, place in places.data.items():
            tries = [str(Path(place).relative_to(places.own)), *(["usr/home"] if name == "home" else ())]
            for path in tries:
                if not await self._obstacle(own, own / path):
                    found[name] = path
                    break
        return found

    async def _local(self, places: Places, own: Path) -> str:
        if places.local.startswith(f"{places.own}/"):
            path = str(Path(places.local).relative_to(places.own))
            return "" if await self._obstacle(own, own / path) else path
        folder = await self._foreign.place(places.local)
        return str(folder) if folder is not None else ""

    async def _obstacle(self, own: Path, folder: Path) -> bool:
        """Whether a folder of the jail is not there, or reached through a link."""
        return bool(await self._files.obstacles([("/", own)], [f"/{folder.relative_to(own)}"]))


def dataset_at(there: Sequence[Dataset], folder: Path) -> Dataset | None:
    """Return the dataset that is mounted on just this folder, among these."""
    return next((each for each in there if each.mounted and each.mountpoint == folder), None)


def _nested(there: list[Dataset], own: Path, places: Places) -> list[ForeignMount]:
    """Return the datasets that are mounted in a jail's tree."""
    inside = [each.mountpoint for each in there if each.mounted and each.mountpoint is not None]
    skip = {own / path for path in places.hidden}
    return [
        ForeignMount(source=f"{places.own}/{point.relative_to(own)}", target=f"/{point.relative_to(own)}", kind="zfs")
        for point in inside
        if own in point.parents and point not in skip
    ]


def _not_found(wish: Wish, why: str) -> NotFoundError:
    return NotFoundError(
        "FOREIGN_JAIL_NOT_FOUND",
        f"{wish.tool} has no jail {wish.name} that can be read: {why}",
        hint="name it as its tool lists it; where the tool's folder is elsewhere: --root",
    )
