"""What a `pkg` step runs in a build jail, and what it says: pkg(8) on its own base, from one repository and no other.

Before a package that was built on a newer FreeBSD pkg(8) asks "Ignore the mismatch and continue?"; whether assuming yes
answers that too differs between its versions. So IGNORE_OSVERSION is never set, and the result is looked at: `too_new`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from jaild.model.layers.recipe import Repository
from jaild.model.layers.records import BaseRecord

FOLDER = PurePosixPath("/var/tmp/jaild-pkg")  # noqa: S108 -- in the build jail, and thrown away with it
PKG = "/usr/local/sbin/pkg"
Argv = tuple[str, ...]


def files(repository: Repository) -> Mapping[str, str]:
    """Return the files that FOLDER holds, by name, with their text."""
    lines = [f'  url: "{repository.url}",', f'  mirror_type: "{repository.mirror}",']
    found = {}
    if repository.public_key:
        found["repository.pub"] = repository.public_key
        lines += ['  signature_type: "pubkey",', f'  pubkey: "{FOLDER}/repository.pub",']
    elif repository.fingerprints:
        lines += ['  signature_type: "fingerprints",', f'  fingerprints: "{repository.fingerprints}",']
    else:
        lines.append('  signature_type: "none",')
    found["repository.conf"] = "\n".join((f'"{repository.name}": {{', *lines, "  enabled: yes", "}", ""))
    return found


def environment(base: BaseRecord) -> Mapping[str, str]:
    """Return what /usr/sbin/pkg (pkg(7)), which takes no such options, reads from its environment.

    It hands that to the pkg-static which it has fetched, and that one guesses the major version's first OSVERSION if
    it is told an ABI alone.
    """
    return {
        "ABI": base.abi,
        "OSVERSION": str(base.osreldate),
        "ASSUME_ALWAYS_YES": "yes",
        "REPOS_DIR": str(FOLDER),
    }


def bootstrap() -> Argv:
    """Return what installs pkg(8) itself from the repository; it does nothing if it is there."""
    return ("/usr/sbin/pkg", "bootstrap")


def install(repository: Repository, base: BaseRecord, packages: tuple[str, ...]) -> Argv:
    """Return what installs packages with what they depend on."""
    return (*_pkg(base), "install", "-r", repository.name, *packages)


def upgrade(repository: Repository, base: BaseRecord) -> Argv:
    """Return what makes every package that is there the repository's.

    `install` alone leaves what the named ones depend on as old as it is, and does nothing at all for a package whose
    own version is the same.
    """
    return (*_pkg(base), "upgrade", "-r", repository.name)


def installed(base: BaseRecord) -> Argv:
    """Return what lists the packages that are there, `name-version` on each line."""
    return (*_pkg(base), "query", "%n-%v")


def built_on(base: BaseRecord) -> Argv:
    """Return what lists the packages' annotations: name-version, tag and value with tabs between."""
    return (*_pkg(base), "query", "%n-%v\t%At\t%Av")


def too_new(annotated: str, base: BaseRecord) -> tuple[tuple[str, int], ...]:
    """Return the packages that were built on a FreeBSD newer than the base, with its __FreeBSD_version."""
    rows = (line.split("\t") for line in annotated.splitlines())
    versions = ((row[0], int(row[2])) for row in rows if len(row) == 3 and row[1] == "FreeBSD_version")  # noqa: PLR2004
    return tuple((name, version) for name, version in versions if version > base.osreldate)


def catalogues(names: Iterable[str]) -> tuple[str, ...]:
    """Return which files and folders beside the package database hold repositories' catalogues (pkg 1's: repo-*)."""
    return tuple(name for name in names if name == "repos" or name.startswith("repo-"))


def _pkg(base: BaseRecord) -> Argv:
    options = (f"ABI={base.abi}", f"OSVERSION={base.osreldate}", "ASSUME_ALWAYS_YES=yes")
    return (PKG, "--repo-conf-dir", str(FOLDER), *(word for option in options for word in ("-o", option)))
