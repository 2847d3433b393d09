"""A Debian userland by debootstrap, and the packages beyond it that a program needs, from this machine's own mirror."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.demo.programs import run

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SCRIPTS = Path("/usr/share/debootstrap/scripts")
INDEX_FORMAT = "$(REPO_URI)|$(ORIGIN)|$(RELEASE)|$(COMPONENT)"

# Made anew by whoever runs the userland, or of no use in a jail. A jail's network decides resolv.conf and hostname,
# and the mirror of the machine that built the base is nobody else's business.
REMOVED = (
    "dev/*",
    "etc/apt/sources.list",
    "etc/hostname",
    "etc/resolv.conf",
    "tmp/*",
    "usr/share/doc/*",
    "usr/share/info/*",
    "usr/share/locale/*",
    "usr/share/man/*",
    "var/cache/apt/*",
    "var/lib/apt/lists/*",
    "var/log/*",
)


class NoMirrorError(Exception):
    """Apt on this machine names no Debian archive."""


def choose_mirror(indexes: Iterable[str]) -> str:
    """The archive to use, of lines in `INDEX_FORMAT`: a full one, so neither updates nor security.

    Apt knows the origin once it has fetched the release file; before that the address must do.
    """
    rows = [row for row in (line.strip().split("|") for line in indexes) if len(row) == 4]
    full = [(uri, origin) for uri, origin, release, component in rows if component == "main" and "-" not in release]
    for uri, origin in full:
        if origin == "Debian" or (not origin and uri.endswith("/debian/")):
            return uri
    raise NoMirrorError("apt-get indextargets names no Debian archive: is this Debian, with its own sources?")


def machine_mirror() -> str:
    """The Debian mirror that this machine's apt uses."""
    uri = choose_mirror(run(["apt-get", "indextargets", "--format", INDEX_FORMAT, "Created-By: Packages"]).splitlines())
    scheme, _, rest = uri.partition(":")
    if scheme.startswith("mirror+file"):  # cloud images keep a list of mirrors in a file
        path = Path("/" + rest.strip("/"))
        lines = (line.split("#")[0].split() for line in path.read_text().splitlines())
        return next(words[0] for words in lines if words)
    return uri


def debootstrap_argv(suite: str, tree: Path, mirror: str) -> list[str]:
    """The command that unpacks and configures `suite` in `tree`.

    In a mount namespace of its own, so that /proc in the tree goes with it. Signatures are always checked: a suite too
    new for the machine's keyring fails with debootstrap's own words, and needs a newer debian-archive-keyring.
    """
    argv = ["unshare", "--mount", "debootstrap", "--variant=minbase", f"--keyring={KEYRING}", suite, str(tree), mirror]
    if not (SCRIPTS / suite).exists():
        argv.append(str(SCRIPTS / "sid"))  # every suite since 2007 is a link to this one
    return argv


def build_userland(suite: str, tree: Path) -> None:
    """Make the minimal userland of `suite` (bookworm, trixie) in `tree`, which must not exist."""
    run(debootstrap_argv(suite, tree, machine_mirror()))


def unpack_packages(tree: Path, packages: Sequence[str], into: Path) -> dict[str, str]:
    """Unpack `packages` and what they depend on beyond `tree` into `into`; returns the version of each unpacked.

    The machine's apt works on the tree's sources, keys and list of installed packages: nothing is run in the tree.
    """
    apt = ["apt-get", "-qq", "-y", "-o", f"Dir={tree}", "-o", f"Dir::State::status={tree}/var/lib/dpkg/status"]
    apt += ["-o", "Dir::Bin::methods=/usr/lib/apt/methods", "-o", "Dir::Bin::dpkg=/usr/bin/dpkg"]
    apt += ["-o", "APT::Sandbox::User=root", "-o", "APT::Install-Recommends=false"]
    downloads = tree / "var/cache/apt/archives"
    for package in downloads.glob("*.deb"):  # what debootstrap left: the base's own
        package.unlink()
    run([*apt, "update"])
    run([*apt, "install", "--download-only", *packages])
    versions = {}
    for package in sorted(downloads.glob("*.deb")):
        run(["dpkg-deb", "--extract", str(package), str(into)])
        name, version = run(["dpkg-deb", "--show", "--showformat=${Package} ${Version}", str(package)]).split()
        versions[name] = version
    return versions


def files_of(tree: Path, package: str) -> frozenset[str]:
    """The file names (without folders) that an installed package owns."""
    lists = [*(tree / "var/lib/dpkg/info").glob(f"{package}:*.list"), tree / f"var/lib/dpkg/info/{package}.list"]
    found = next(path for path in lists if path.exists())
    return frozenset(Path(line).name for line in found.read_text().splitlines())


def strip(tree: Path) -> None:
    """Remove what a base does not need (`REMOVED`)."""
    for pattern in REMOVED:
        for path in tree.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def pack(tree: Path, archive: Path) -> None:
    """Write `tree` as a zstd-compressed tar with numeric owners and without this file system's own attributes."""
    attributes = ["--no-acls", "--no-fflags", "--no-xattrs", "--numeric-owner"]
    run(["bsdtar", "--create", "--zstd", *attributes, "--file", str(archive), "--directory", str(tree), "."])
