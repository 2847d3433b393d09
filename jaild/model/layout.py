"""Where things are: names of datasets below the root dataset, and of files in them.

    POOL/jaild                       jaild:host  id of the host, schema
    POOL/jaild/bases/<base>          jaild:base  base.json libraries.3.json {contents,files}.1.json root/  @sealed
    POOL/jaild/apps/<app>/<release>  jaild:release  release.json libraries.3.json {contents,files}.1.json root/  @sealed
    POOL/jaild/jails/<jail>          jaild:jail  generations/<n>/{generation.json, etc/, usr-local-etc/}
    POOL/jaild/jails/<jail>/data     var/ root/ home/
    POOL/jaild/jails/<jail>/<volume>
                                     jaild:snapshot  on each snapshot of jaild's own: what it is for
    POOL/jaild/reserve               jaild:reserve  nothing: a reservation, given up for records in a full pool
    POOL/jaild/rehearsals/<migration>   clone of a jail that is being received, with its parts; gone with the test

A layer's tree is the folder `root/` in its dataset, so that what jaild knows of it travels beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

HOST_PROPERTY = "jaild:host"
BASE_PROPERTY = "jaild:base"
RELEASE_PROPERTY = "jaild:release"
JAIL_PROPERTY = "jaild:jail"
RESERVE_PROPERTY = "jaild:reserve"  # on the reserve, that jaild made it: only then it is destroyed
SNAPSHOT_PROPERTY = "jaild:snapshot"  # on a snapshot, set on itself: it is jaild's, and what it is for
RECORDS = (HOST_PROPERTY, BASE_PROPERTY, RELEASE_PROPERTY, JAIL_PROPERTY, RESERVE_PROPERTY)  # what a dataset is
BOOKMARKS_PROPERTY = "jaild:bookmarks"  # on a jail's dataset: which of its bookmarks are jaild's; many: .2, .3
# On the parent of all jails, for each replica whose first stream is under way: the guid that it ends with.
FIRST_ROUND_PROPERTY = "jaild:first-round:"

SEALED = "sealed"  # the snapshot that makes a layer a layer; without it, it is what a crash left of an import
SEALING = "seal"  # the phase of an operation that ends with @sealed: only who has made the dataset comes to it
TREE = "root"
LIBRARIES = "libraries.3.json"  # its form has changed twice: where it is missing, the tree itself is read
PACKAGES = "packages.json"
CONTENTS = "contents.1.json"  # packages and libraries; where it is missing, the index is made in the daemon's folder
FILES = "files.1.json"  # paths and sha256
BUILD = "build"  # what a build needs beside the tree; gone before the release is sealed
GENERATIONS = "generations"
GENERATION = "generation.json"
ETC = "etc"
LOCAL_ETC = "usr-local-etc"
STAGED = "staged"  # a file in a generation's folder until it has been committed for the first time
SECRET_MODE = 0o600  # of what holds a spec: its environment is where secrets are
DATA = "data"
DATA_FOLDERS = ("var", "root", "home")


class Layout:
    """Names of datasets below `root` (POOL/jaild)."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.pool = root.partition("/")[0]
        # What is the parent of all bases, apps, jails, and of the clones that test migrations boot.
        self.bases = f"{root}/bases"
        self.apps = f"{root}/apps"
        self.jails = f"{root}/jails"
        self.clones = f"{root}/rehearsals"
        self.reserve = f"{root}/reserve"

    def clone(self, migration: str, path: str) -> str:
        """Return one dataset of a test migration's clone, by its path in the jail."""
        clone = f"{self.clones}/{migration[:12]}"
        return f"{clone}/{path}" if path else clone

    def base(self, name: str) -> str:
        """Return a base's dataset."""
        return f"{self.bases}/{name}"

    def app(self, app: str) -> str:
        """Return an app's dataset."""
        return f"{self.apps}/{app}"

    def release(self, app: str, version: str) -> str:
        """Return a release's dataset."""
        return f"{self.apps}/{app}/{version}"

    def jail(self, name: str) -> str:
        """Return a jail's own dataset."""
        return f"{self.jails}/{name}"

    def part(self, jail: str, path: str) -> str:
        """Return one of a jail's datasets: '' for its own, `data`, or a volume's name."""
        return f"{self.jails}/{jail}/{path}" if path else self.jail(jail)

    def parts(self, jail: str, paths: Iterable[str]) -> dict[str, str]:
        """Return several of a jail's datasets, each by its path as `part` takes it."""
        return {path: self.part(jail, path) for path in paths}

    def layer(self, path: str) -> str:
        """Return the dataset of a layer's path as peers name it: `bases/debian-12`, `apps/redis/7.0`."""
        return f"{self.root}/{path}"


def generation_folder(jail_folder: Path, number: int) -> Path:
    """Return the folder of a generation."""
    return jail_folder / GENERATIONS / str(number)
