"""Records what a former jaild leaves behind, in the middle of a migration; run where that one is checked out.

git worktree add /tmp/former COMMIT && cd /tmp/former && python -P tests/unit/data/former/record.py COMMIT FILE.json
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, ".")

from tests.fakes.host import FakeHost
from tests.hosts.adopting import interrupted


async def record(commit: str, into: Path) -> None:
    """Write the databases, properties and generations of two hosts whose source died just before it handed over."""
    with tempfile.TemporaryDirectory() as folder:
        alpha, beta = await interrupted(Path(folder), "alpha>beta prepare")
        await beta.stop()
        hosts = {host.name: await _told(host) for host in (alpha, beta)}
        into.write_text(json.dumps({"commit": commit, "hosts": hosts}, indent=1) + "\n")
        await alpha.stop()


async def _told(host: FakeHost) -> dict[str, Any]:
    with contextlib.closing(sqlite3.connect(host.folder / "jaild.db")) as store:
        (version,) = store.execute("pragma user_version").fetchone()
        sql = list(store.iterdump())
    datasets = await host.zfs.datasets("tank/jaild")
    own = {each.name: {key: value for key, value in each.properties.items() if value} for each in datasets}
    return {
        "user_version": version,
        "sql": sql,
        "properties": {name: properties for name, properties in own.items() if properties},
        "generations": sorted({path.read_text() for path in host.folder.rglob("generation.json")}),
    }


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1], Path(sys.argv[2])))
