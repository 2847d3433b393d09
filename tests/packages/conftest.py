"""The package of each Debian: built once a run, out of this checkout, as anybody would build it there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import require
from tests.demo.programs import run
from tests.packages import trees
from tests.packages.trees import CHECKOUT, SUITES, Tree


@dataclass(frozen=True)
class Built:
    """A package, and the Debian that it was built in."""

    suite: str
    package: Path
    tree: Tree


@pytest.fixture(scope="session", params=SUITES)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build it by `make deb`, offline."""
    require(("debootstrap", "unshare", "Linux"))
    suite: str = request.param
    tree = trees.copy_of(trees.builder(suite), tmp_path_factory.mktemp(f"builder-{suite}"))
    sources = tree.place("work-tree/Makefile").parent
    for name in (".ci", "CHANGELOG.md", "Makefile", "README.md", "docs", "jaild", "pyproject.toml", "templates"):
        run(["cp", "--archive", str(CHECKOUT / name), str(sources)])
    run(["cp", "--archive", str(trees.wheels(suite)), str(tree.place("wheels"))])
    tree.run("make", "--directory", "/work-tree", "deb", PIP_NO_INDEX="1", PIP_FIND_LINKS="/wheels")
    (package,) = tree.place("work-tree/build/deb").glob("jaild_*.deb")
    return Built(suite, package, tree)


@pytest.fixture(scope="session")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """A clean Debian in which it was installed, as `apt-get install ./jaild.deb` does it."""
    tree = trees.copy_of(trees.clean(built.suite), tmp_path_factory.mktemp(f"clean-{built.suite}"))
    run(["cp", str(built.package), str(tree.place("jaild.deb"))])
    tree.apt("install", "/jaild.deb")
    return tree


def newer(built: Built, tree: Tree, folder: Path) -> None:
    """Put the same package with a higher version into a tree, as /newer.deb."""
    package, files = tree.place("newer.deb"), folder / "newer"
    run(["dpkg-deb", "--raw-extract", str(built.package), str(files)])
    control = files / "DEBIAN/control"
    version = re.search(r"^Version: (.*)$", control.read_text(), re.MULTILINE)
    assert version is not None
    control.write_text(control.read_text().replace(version[0], f"{version[0]}.1"))
    run(["dpkg-deb", "--root-owner-group", "--build", str(files), str(package)])
