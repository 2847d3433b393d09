"""py-libzfs for a machine: Debian's package, which Debian 12 has (contrib) and 13 has not, unpacked in the cache."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.demo.cache import Cache, default_root, digest_of
from tests.demo.debian import KEYRING, machine_mirror
from tests.demo.programs import run

PACKAGE = "python3-libzfs"
SUITES = frozenset({"bookworm"})  # that have it


def pylibzfs(suite: str, cache: Cache | None = None) -> Path:
    """Return a folder of `sys.path` with the module, for the Python of the suite; fetched where it is not yet there."""
    digest = digest_of(Path(__file__), suite)
    return (cache or Cache(default_root())).folder(f"lab-libzfs-{suite}", digest, lambda into: _fetch(suite, into))


def _fetch(suite: str, into: Path) -> None:
    work = into / "work"
    for folder in ("lists/partial", "cache/archives/partial", "tree"):
        (work / folder).mkdir(parents=True)
    sources = work / "sources.list"
    sources.write_text(f"deb [signed-by={KEYRING}] {machine_mirror()} {suite} contrib\n")
    options = {
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": work / "lists",
        "Dir::Cache": work / "cache",
        "APT::Sandbox::User": "root",  # the folder is nobody else's
    }
    apt = ["apt-get", "-qq", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
    run([*apt, "update"])
    run(["env", f"--chdir={work}", *apt, "download", PACKAGE])
    [package] = work.glob("*.deb")
    run(["dpkg-deb", "--extract", str(package), str(work / "tree")])
    for path in (work / "tree/usr/lib/python3/dist-packages").iterdir():
        path.rename(into / path.name)
    shutil.rmtree(work)
