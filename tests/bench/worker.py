"""Measures, in the room: `python -m tests.bench.worker FOLDER RESULT CGROUP REPETITIONS` writes RESULT as JSON.

A pool of its own (kernel ZFS or a private zfs-fuse) holds jaild's datasets and those made by hand.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from jaild.adapters.system.process import ProcessRunner
from jaild.adapters.zfs import private_namespace
from jaild.adapters.zfs.cli import CliZfs
from jaild.adapters.zfs.embedded import EmbeddedPool, pool_name_for
from jaild.model.layout import Layout
from jaild.v1 import host_pb2
from tests.bench import changes, fake_daemon, liveness, programs, scraping, thousand, together
from tests.bench.bare import Place
from tests.bench.daemon import Daemon, cpu_of, running
from tests.bench.thousand import Made
from tests.demo import assets
from tests.demo.assets import Assets
from tests.demo.programs import run
from tests.e2e import trees

_JAILCTL = str(Path(sys.executable).with_name("jailctl"))


def pool_of(folder: Path) -> EmbeddedPool:
    """The bench's pool."""
    return EmbeddedPool(ProcessRunner(), folder, pool_name_for(folder))


def measure(folder: Path, cgroup: str, repetitions: int) -> dict[str, Any]:
    """Measure everything; `folder` is empty."""
    run(["ip", "link", "set", "lo", "up"])  # checks and scrapes go over it, and a network namespace begins without
    pool = pool_of(folder)
    zfs = asyncio.run(pool.start())
    socket, log = folder / "jaild.sock", folder / "jaild.log"
    real = [sys.executable, "-m", "jaild", "--config", str(_config(folder, "real", pool.root, cgroup))]
    with running(real, socket, log) as daemon:
        owner = daemon.host.GetHost(host_pb2.GetHostRequest()).id
        found = {"changes": _changes(daemon, zfs, folder, pool.root, repetitions)}
    _say("counting programs")
    found["programs"] = programs.measure(real, socket, assets.prepare())
    slow = folder / "slow.log"
    with running(real, socket, log, thousand.watched(slow)) as daemon:
        bases, fuse = ("tiny-1", "tiny-2"), private_namespace.running(folder)
        found["together"] = together.measure(daemon, programs.tiny(), bases, slow, _say, fuse=fuse)
    where = Layout(pool.root)
    fuse = asyncio.run(zfs.capabilities()).implementation == "zfs-fuse"
    wanted = thousand.ON_FUSE if fuse else thousand.COUNT
    _say(f"making {wanted} jails on {pool.root}")
    made = asyncio.run(thousand.populate(zfs, where, folder / "zfs/jails", owner, wanted))
    why = made.why_no_more or ("zfs-fuse mounts no more than 1,000 datasets" if fuse else "")
    slow.unlink(missing_ok=True)
    process = private_namespace.running(folder)
    before = 0.0 if process is None else cpu_of(process)[0]
    with running(real, socket, log, thousand.watched(slow)) as daemon:
        spent = {} if process is None else {"zfs-fuse": cpu_of(process)[0] - before}
        many = {"pool": "real", "why_no_more": why, **thousand.measure(daemon, made, slow, _say, spent=spent)}
    found["liveness"] = liveness.measure(_say)
    found["scraping"] = scraping.measure(_say)
    found["ten_thousand"] = _on_the_fake(folder, cgroup, thousand.MANY)
    if made.count == thousand.COUNT:
        return {**found, "thousand": many}
    return {**found, "fewer_on_the_real_pool": many, "thousand": _on_the_fake(folder, cgroup, thousand.COUNT)}


def _changes(daemon: Daemon, zfs: CliZfs, folder: Path, root: str, repetitions: int) -> Any:
    things = assets.prepare()
    _fill(folder / "jaild.sock", things)
    by_hand = root.partition("/")[0] + "/bare"
    place = Place(dataset=by_hand, folder=folder / "bare", jails=folder / "zfs/jails", run=folder / "real/run")
    asyncio.run(zfs.create(by_hand, {"mountpoint": str(place.folder / "jails")}))
    measured = changes.measure(daemon, place, things, repetitions, _say)
    asyncio.run(zfs.destroy(by_hand, recursive=True))
    return measured


def _on_the_fake(folder: Path, cgroup: str, count: int) -> dict[str, Any]:
    _say(f"{count} jails on the fake")
    folder = folder / f"fake-{count}"
    folder.mkdir()
    pool, result, slow = folder / "pool", folder / "result.json", folder / "slow.log"
    config = _config(folder, "fake", f"{fake_daemon.POOL}/jaild", cgroup)
    argv = [sys.executable, "-m", "tests.bench.fake_daemon", str(config), str(pool), str(result), str(count)]
    with running(argv, folder / "jaild.sock", folder / "jaild.log", thousand.watched(slow)) as daemon:
        made = Made(**json.loads(result.read_text()))
        slow.unlink(missing_ok=True)
        measured = thousand.measure(daemon, made, slow, _say)
    measured["answers_after_seconds"] -= made.seconds
    return {"pool": "fake", **measured}


def _config(folder: Path, name: str, dataset: str, cgroup: str) -> Path:
    own = folder / name
    settings = {
        "name": "bench",
        "dataset": dataset,
        "state": str(own / "state"),
        "run": str(own / "run"),
        "logs": str(own / "log"),
        "templates": str(own / "templates"),
        "socket": str(folder / "jaild.sock"),
        "network": {"bridge": ""},
        "cgroup": cgroup,
    }
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(settings))  # which is YAML
    return path


def _fill(socket: Path, things: Assets) -> None:
    ctl = (_JAILCTL, "--address", f"unix://{socket}")
    for base in (things.old_base, things.new_base):
        _say(f"importing {base.name}")
        run([*ctl, "base", "import", base.name, str(base.archive)])
    for release in (things.plain, things.tuned):
        run([*ctl, "app", "push", release.reference, str(release.archive), "--manifest", str(release.manifest)])
    archive, manifest = socket.with_name("tiny.tgz"), socket.with_name("tiny.yaml")
    manifest.write_text(json.dumps({"command": trees.COMMAND}))  # which is YAML
    for version in ("1", "2"):
        run([*ctl, "base", "import", f"tiny-{version}", str(trees.base(archive, version))])
        pushed = str(trees.release(archive, version))
        run([*ctl, "app", "push", f"tiny/{version}", pushed, "--manifest", str(manifest)])


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)  # noqa: T201


def main(folder: str, result: str, cgroup: str, repetitions: str) -> None:
    """Measure, and write the result only when all of it was measured."""
    Path(result).write_text(json.dumps(measure(Path(folder), cgroup, int(repetitions))))


if __name__ == "__main__":
    main(*sys.argv[1:5])
