"""An old jail on a host of fakes: of an iocage or a Bastille whose datasets are on the host's pool, and its tool."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jaild.adapters.foreign import HostForeign
from jaild.ports.process import Processes
from tests.fakes.host import FakeHost
from tests.fakes.processes import Argv, Said, ScriptedProcesses

IOCAGE = "tank/iocage"
OLD = f"{IOCAGE}/jails/web/root"  # the old jail's dataset
_SYSTEM = 'ID=debian\nVERSION_ID="12"\n'
_SHELL = Path("/bin/sh").read_bytes()[:4096]  # enough to tell the machine by


@dataclass
class OldJail:
    """What the host's tools say of it."""

    running: bool = False
    ran: list[str] = field(default_factory=list)  # what its tool was asked to do
    fails: set[str] = field(default_factory=set)  # of that

    def programs(self) -> ScriptedProcesses:
        """Return programs that know it."""
        return ScriptedProcesses(self.answer)

    async def answer(self, argv: Argv, stdin: bytes) -> Said:
        del stdin
        if argv[0] == "jls":
            return Said("1\n") if self.running else Said(stderr="jls: jail not found\n", status=1)
        verb = argv[1]
        self.ran.append(verb)
        if verb in self.fails:
            return Said(stderr=f"{verb}: no\n", status=1)
        self.running = verb == "start"
        return Said()


class Elsewhere(HostForeign):
    """The host's own adapter, with folders of the host at other places: `folders` by the paths that pages show."""

    def __init__(self, processes: Processes, folders: Mapping[str, Path]) -> None:
        super().__init__(processes, Path("/nonexistent"))
        self._folders = folders

    async def texts(self, root: Path, paths: Mapping[str, str]) -> dict[str, str]:
        """Return them as the tool wrote them."""
        return await super().texts(self._moved(str(root)), paths)

    async def place(self, folder: str) -> Path | None:
        """Return where it is."""
        return await super().place(str(self._moved(folder)))

    def _moved(self, path: str) -> Path:
        for shown, real in self._folders.items():
            if path == shown or path.startswith(f"{shown}/"):
                return real / path.removeprefix(shown).lstrip("/")
        return Path(path)


async def known(host: FakeHost, folders: Mapping[str, Path] | None = None, *, running: bool = False) -> OldJail:
    """Let the host's daemon, which is started again for that, see an old jail; `folders` as of `Elsewhere`."""
    jail = OldJail(running=running)
    host.programs = jail.programs()
    host.foreign = Elsewhere(host.programs, folders) if folders else None
    await host.restart()
    return jail


async def iocage(
    host: FakeHost,
    *,
    running: bool = False,
    at: str = IOCAGE,
    folders: Mapping[str, Path] | None = None,
    **keys: object,
) -> OldJail:
    """Make an iocage at a dataset, with a release and the jail `web`, whose data is `old` in /var/db/shop."""
    jail = await known(host, folders, running=running)
    for path in ("", "/releases", "/releases/12", "/releases/12/root", "/jails", "/jails/web", "/jails/web/root"):
        await host.zfs.create(f"{at}{path}")
    write(await folder_of(host, f"{at}/releases/12/root"), userland())
    write(await folder_of(host, f"{at}/jails/web/root"), userland() | own())
    config = {"host_hostname": "web", "release": "12", "cloned_release": "12", "ip4": "inherit", "boot": 1} | keys
    folder = await folder_of(host, f"{at}/jails/web")
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "fstab").write_text("")
    return jail


def userland() -> dict[str, str | bytes]:
    """Return the files of a release, as base deb-1 has them, but for a file that makes it a system."""
    return {
        "bin/sh": _SHELL,
        "etc/os-release": _SYSTEM,
        "etc/motd": "welcome to deb-1\n",
        "var/lib/empty/.keep": "",
        "root/.profile": "",
        "srv/.keep": "",
    }


def own() -> dict[str, str | bytes]:
    """Return what the jail has of its own."""
    return {
        "etc/motd": "the shop\n",
        "etc/shop.conf": "port=80\n",
        "usr/local/bin/shop": "#!/bin/sh\n",
        "usr/local/etc/shop.ini": "colour=blue\n",
        "var/db/shop": "old\n",
        "root/notes": "mine\n",
        "home/ann/letter": "dear\n",
        "opt/left": "behind\n",
    }


def write(folder: Path, files: dict[str, str | bytes]) -> None:
    """Write files, by their paths below a folder."""
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content if isinstance(content, bytes) else content.encode())


async def folder_of(host: FakeHost, dataset: str) -> Path:
    """Return where a dataset is mounted."""
    found = (await host.zfs.dataset(dataset)).mountpoint
    assert found is not None
    return found


async def root_of(host: FakeHost) -> Path:
    """Return the old jail's tree."""
    return await folder_of(host, OLD)


def picture(folder: Path) -> dict[str, bytes]:
    """Return what is in a tree."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
