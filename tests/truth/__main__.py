"""`python -m tests.truth`: real packages as releases, each file judged by the proof and by the base's own linker.

Writes build/truth.json. The status is 0 if they never differ; else each difference is printed.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from jaild.adapters.files import elf
from jaild.model.layers.libraries import Libraries
from tests.demo import cache
from tests.demo.assets import SUITES, prepare
from tests.demo.hosts import CHECKOUT
from tests.demo.interrupts import Interrupts
from tests.faults.report import about, say, write
from tests.truth import layout, packages
from tests.truth.compare import MOUNT_POINT, Difference, Judgement
from tests.truth.linker import Answer
from tests.truth.tree import Tree


def _private(release: Libraries, root: Path) -> list[str]:
    """Return the folders that run paths mean, which name them below /usr, where the packages would be installed."""
    named = {folder for file in release.files for folder in (*file.rpath, *file.runpath) if folder.startswith("/usr/")}
    moved = sorted(folder.replace("/usr", MOUNT_POINT, 1) for folder in named)
    return [folder for folder in moved if (root / Path(folder).relative_to(MOUNT_POINT)).is_dir()]


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.truth", description=__doc__)
    parser.add_argument("--only", default="", metavar="NAME,NAME", help="only these packages (default: all)")
    parser.add_argument("--output", type=Path, default=CHECKOUT / "build" / "truth.json")
    given = parser.parse_args()
    if os.geteuid() != 0:
        say("truth: needs root: chroot")
        return 1
    names = tuple(given.only.split(",")) if given.only else packages.NAMES
    began = time.monotonic()
    counts: Counter[str] = Counter()
    rows: list[dict[str, Any]] = []
    differences: list[dict[str, str]] = []
    with Interrupts(), tempfile.TemporaryDirectory(prefix="jtruth-") as folder:
        for row, found in _rows(Path(folder), names):
            rows.append(row)
            say(f"{row['release']} on {row['base']}: {row['files']} files")
            for one in found:
                say(f"  {one}")
                differences.append({"release": row["release"], "base": row["base"], **asdict(one)})
    for row in rows:
        counts.update({key: value for key, value in row.items() if isinstance(value, int)})
    document = {
        **about("tests.truth", 0, began),
        "releases": len({row["release"] for row in rows}),
        "judgements": len(rows),
        **counts,
        "differences": len(differences),
    }
    write(given.output, document, {"differing": differences, "rows": rows})
    return 1 if differences or not counts["files"] else 0


def _rows(folder: Path, names: tuple[str, ...]) -> Iterator[tuple[dict[str, Any], list[Difference]]]:
    assets = prepare(say=say)
    bases = {base.name: base for base in (assets.old_base, assets.new_base)}
    trees = {name: Tree(base, folder / name) for name, base in bases.items()}
    for name, suite in SUITES.items():
        base = bases[name]
        digest = cache.digest_of(suite, platform.machine(), base.version, Path(packages.__file__))
        fetch = partial(packages.fetch, suite, base.archive)
        fetched = cache.Cache(cache.default_root()).folder(f"truth-{name}", digest, fetch)
        known = packages.read(fetched)
        for package in names:
            wanted = [n for n in packages.closure(known, package) if known[n].file]
            layers = {n: folder / suite / n for n in wanted}
            for n, layer in layers.items():
                if not layer.exists():
                    layout.unpack(fetched / known[n].file, layer)
            yield from _judged(f"{package} of {name}", list(layers.values()), list(trees.values()), told=True)
            if package in layers and len(layers) > 1:
                yield from _judged(f"{package} of {name} by itself", [layers[package]], [trees[name]], told=False)
        shutil.rmtree(folder / suite)


def _judged(
    name: str, layers: list[Path], trees: list[Tree], *, told: bool
) -> Iterator[tuple[dict[str, Any], list[Difference]]]:
    """Judge a release on each base. `told`: where its private libraries are, by LD_LIBRARY_PATH."""
    for tree in trees:
        tree.clear()
        for layer in layers:
            layout.lay_out(layer, tree.release)
        tree.make_cache()
    release = elf.index(trees[0].release, prefix=MOUNT_POINT)
    private = _private(release, trees[0].release)
    variables = {"LD_LIBRARY_PATH": ":".join(private)} if told and private else {}
    for tree in trees:
        answers, judged = tree.judge(release, variables)
        yield {"release": name, "base": tree.name, **_counts(answers, judged)}, judged.differences(answers)


def _counts(answers: dict[str, Answer], judged: Judgement) -> dict[str, int]:
    programs = {path for path, file in judged.files.items() if file.interpreter}
    return {
        "files": len(answers),
        "programs": len(programs),
        "loaded": sum(answer.loads(program=path in programs) for path, answer in answers.items()),
        "problems": len(judged.problems),
    }


if __name__ == "__main__":
    sys.exit(main())
