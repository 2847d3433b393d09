"""Userlands by pkg(8) and freebsd-update(8), on the host.

pkg runs packages' scripts with PKG_ROOTDIR set, not in the tree: so repositories are those that an operator put into a
folder of the host, and a request can only name one. freebsd-update works with `-b` on distribution sets only (it
compares every file with the release's own list); what pkgbase installed is patched by installing it anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from jaild.model.errors import InternalError, command_failed
from jaild.ports.process import Completed, Processes
from jaild.ports.userland import Packages, Patched

Argv = tuple[str, ...]
_CONF = Path("/etc/freebsd-update.conf")
_HOURS = 4 * 3600.0  # that fetching a userland, or a thousand patches, may take
_NONE_NEEDED = "No updates needed"
_NONE_TO_INSTALL = "No updates are available to install"
_ENDED = "HAS PASSED ITS END-OF-LIFE DATE"  # the last thing that `fetch` says, with all fetched; its status is 1 then
_AGAIN = "requires removing old shared object files"  # all but that is done; the next run does it
# Of the host's own configuration everything holds (servers, keys) but what is about the host itself.
_OF_THE_HOST = frozenset(
    {"Components", "StrictComponents", "BackupKernel", "CreateBootEnv", "MailTo", "WorkDir", "BaseDir"}
)
_ENVIRONMENT = {"PAGER": "/bin/cat"}  # freebsd-update shows its lists by it


def install_argv(tree: Path, packages: Packages, repositories: Path, work: Path) -> Argv:
    """Return the command that installs packages into a tree."""
    options = (
        f"ABI={packages.abi}",
        f"OSVERSION={packages.osversion}",
        "ASSUME_ALWAYS_YES=yes",
        f"PKG_CACHEDIR={work}",
    )
    where = ("pkg", "--rootdir", str(tree), "--repo-conf-dir", str(repositories))
    return (
        *where,
        *(word for o in options for word in ("-o", o)),
        "install",
        "-r",
        packages.repository,
        *packages.names,
    )


def update_argv(tree: Path, version: str, work: Path, command: str) -> Argv:
    """Return a command of freebsd-update(8) about a tree."""
    where = ("-b", str(tree), "-d", str(work), "-f", str(work / "freebsd-update.conf"))
    return ("freebsd-update", "--not-running-from-cron", *where, "--currently-running", version, command)


def update_conf(host: str) -> str:
    """Return the configuration for a userland, made of the host's (freebsd-update.conf(5))."""
    lines = [line for line in host.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    kept = [line for line in lines if line.split()[0] not in _OF_THE_HOST]
    return "\n".join((*kept, "Components world", "BackupKernel no", ""))


class FreebsdUserland:
    """Implements `jaild.ports.userland.Userland`. `repositories` is a folder of pkg.conf(5) files."""

    def __init__(self, processes: Processes, repositories: Path, *, conf: Path = _CONF) -> None:
        self._processes = processes
        self._repositories = repositories
        self._conf = conf

    async def install(self, tree: Path, packages: Packages, work: Path) -> None:
        """See the port."""
        # The userland may be newer than the host's, and its kernel is not what counts yet: a plan compares the two.
        # In the environment: some versions of pkg read it from nowhere else while a catalogue is fetched.
        environment = {"IGNORE_OSVERSION": "yes"}
        done = await self._run(install_argv(tree, packages, self._repositories, work), environment)
        if done.status:
            raise _failed(done)

    async def patch(self, tree: Path, version: str, work: Path) -> Patched:
        """See the port."""
        text = await asyncio.to_thread(self._conf.read_text)
        await asyncio.to_thread((work / "freebsd-update.conf").write_text, update_conf(text))
        fetched = await self._run(update_argv(tree, version, work, "fetch"), _ENVIRONMENT)
        ended = _ENDED in fetched.text
        if fetched.status and not ended:
            raise _failed(fetched)
        if _NONE_NEEDED in fetched.text:
            return Patched(changed=False, ended=ended)
        install = update_argv(tree, version, work, "install")
        installed = await self._run(install, _ENVIRONMENT)
        if not installed.status and _AGAIN in installed.text:
            installed = await self._run(install, _ENVIRONMENT)
        if installed.status and _NONE_TO_INSTALL in installed.text:
            return Patched(changed=False, ended=ended)  # its status for that differs between versions
        if installed.status:
            raise _failed(installed)
        return Patched(changed=True, ended=ended)

    async def _run(self, argv: Argv, environment: Mapping[str, str]) -> Completed:
        return await self._processes.run(argv, env=environment, timeout=_HOURS, check=False)


def _failed(done: Completed) -> InternalError:
    said = done.error_text.strip() or "\n".join(done.text.strip().splitlines()[-20:])
    return command_failed(done.argv, done.status, said)
