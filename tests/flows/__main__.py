"""How far a use case is spread: `python -m tests.flows` follows four of them on hosts in this process.

For each: the hand-written files that it enters, and the calls from one of them into another. What a deploy enters is
what somebody has to read to know what it does.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from pathlib import Path

import structlog

from tests.fakes.host import FakeHost
from tests.fakes.network import Network
from tests.flows.trace import Trace, traced
from tests.hosts.asking import create, deploy
from tests.hosts.fixtures import furnished
from tests.hosts.fleet import evacuate, fleet
from tests.hosts.migrating import migrate


async def _pair(folder: Path) -> dict[str, Trace]:
    network = Network()
    alpha, beta = (FakeHost(folder / name, name, network) for name in ("alpha", "beta"))
    await furnished(alpha)
    await beta.start()
    await create(alpha)
    with traced() as deployed:
        assert (await deploy(alpha, "web/2")).failure is None
    with traced() as migrated:
        assert (await alpha.end_of(await migrate(alpha, beta))).failure is None
    await beta.stop()
    with traced() as started:
        await beta.restart()
        await beta.quiet()
    await alpha.stop()
    await beta.stop()
    return {"deploy": deployed, "migration, both sides": migrated, "start, one healthy jail": started}


async def _fleet(folder: Path) -> dict[str, Trace]:
    hosts = await fleet(folder)
    await create(hosts.alpha)
    with traced() as evacuated:
        assert (await hosts.alpha.end_of(await evacuate(hosts.alpha))).failure is None
    await hosts.stop()
    return {"evacuation of one jail": evacuated}


async def _all() -> dict[str, Trace]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("pair", "fleet"):
            (folder / part).mkdir()
        return {**await _pair(folder / "pair"), **await _fleet(folder / "fleet")}


def main() -> None:
    """Print the table."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    sys.stdout.write("| flow | files entered | calls across files |\n|---|---|---|\n")
    for flow, trace in asyncio.run(_all()).items():
        sys.stdout.write(f"| {flow} | {len(trace.files)} | {trace.calls} |\n")


if __name__ == "__main__":
    main()
