"""A daemon with many jails on the port's fake of ZFS: `python -m tests.bench.fake_daemon CONFIG FOLDER RESULT COUNT`.

Everything but ZFS is the real thing. The fake knows its datasets only while it lives, so they are made first; RESULT
is a file that is told of it as JSON: the seconds that it took are not the daemon's. What the fake does is done in the
daemon's loop: slow callbacks tell something of the daemon from the moment on that it answers.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path

from jaild import config as configuration
from jaild.adapters.system.process import ProcessRunner
from jaild.assembly import serve
from jaild.model import layout
from jaild.model.layout import Layout
from tests.bench.thousand import populate
from tests.fakes.zfs import FakeZfs

POOL = "fake"
_HOST_ID = "fedcba9876543210fedcba9876543210"


async def _run(config: Path, folder: Path, result: Path, count: int) -> None:
    load = partial(configuration.load, config, {})
    settings = load()
    zfs, where = FakeZfs(folder, POOL), Layout(settings.dataset)
    await zfs.create(where.root, {layout.HOST_PROPERTY: f'{{"id":"{_HOST_ID}","schema":1}}'})
    await zfs.create(where.jails)
    made = await populate(zfs, where, folder / where.jails, _HOST_ID, count)
    result.write_text(json.dumps(asdict(made)))
    await serve(settings, load, zfs, ProcessRunner(), time.monotonic())


if __name__ == "__main__":
    given, place, told, wanted = sys.argv[1:5]
    asyncio.run(_run(Path(given), Path(place), Path(told), int(wanted)))
