"""What Prometheus costs a daemon with a thousand jails that run: `python -m tests.bench.scraping FOLDER`.

That prints the result as JSON. Real are the daemon's loop, its clock, sockets and HTTP; ZFS and the runtime are the
ports' fakes. Who scrapes is another process, once a second: sooner the same answer would be given again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from jaild.ports.runtime import Traffic
from tests.bench.figures import Goal, Row, summary
from tests.bench.liveness import ThousandJails
from tests.bench.thousand import COUNT
from tests.demo.hosts import CHECKOUT
from tests.demo.programs import run
from tests.hosts.scraping import metrics_of

INTERVAL = 15.0  # seconds between two scrapes, as templates/monitoring/prometheus has it
_SCRAPES = 20
_PAUSE = 1.2  # seconds
_BUSY, _SLOWEST = 0.03, 200.0  # CPU seconds for each second; milliseconds of a scrape
_SCRAPER = """
import json, sys, time, urllib.request
taken = []
for _ in range(int(sys.argv[2])):
    time.sleep(float(sys.argv[3]))
    began = time.perf_counter()
    with urllib.request.urlopen(sys.argv[1]) as answer:
        size = len(answer.read())
    taken.append((time.perf_counter() - began) * 1000)
print(json.dumps({"milliseconds": taken, "bytes": size}))
"""


async def _measured(folder: Path) -> dict[str, Any]:
    host = ThousandJails(folder)
    await host.furnish("")
    await host.start()
    host.runtime.traffics = dict.fromkeys(host.core.inventory.jails, Traffic(received=1 << 30, sent=1 << 30))
    metrics = metrics_of(host)
    for sample in metrics.samples.all.values():
        await sample.look()
    metrics.endpoint.start()
    await asyncio.sleep(5.0)  # then the start is over
    idle = await _cpu_while(asyncio.sleep(_SCRAPES * _PAUSE))
    told: list[str] = []

    async def scrape() -> None:
        url = f"http://127.0.0.1:{metrics.endpoint.port}/metrics"
        argv = (sys.executable, "-c", _SCRAPER, url, str(_SCRAPES), str(_PAUSE))
        scraper = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
        told.append((await scraper.communicate())[0].decode())

    busy = await _cpu_while(scrape())
    looked = metrics.samples.usage
    found = json.loads(told[0])
    await metrics.endpoint.stop()
    await host.stop()
    return {
        "jails": COUNT,
        "bytes": found["bytes"],
        "milliseconds": summary(found["milliseconds"]),
        "cpu_of_a_scrape": max(busy - idle, 0.0) / _SCRAPES,
        "look_at_usage_seconds": looked.seconds,  # on the fakes: none of it is the system's
    }


async def _cpu_while(work: Any) -> float:
    began = time.process_time()
    await work
    return time.process_time() - began


def measure(say: Callable[[str], None]) -> dict[str, Any]:
    """Measure in a process of its own."""
    say(f"scrapes of {COUNT} jails")
    with tempfile.TemporaryDirectory(prefix="jbench-") as folder:
        found: dict[str, Any] = json.loads(run([sys.executable, "-m", "tests.bench.scraping", folder], cwd=CHECKOUT))
        return found


def goals(found: Mapping[str, Any]) -> list[Goal]:
    """The goals of issue 16 for what was measured."""
    return [row.goal for row in rows(found) if row.goal is not None]


def rows(found: Mapping[str, Any]) -> list[Row]:
    """The lines of the table."""
    jails, size = found["jails"], f"{found['bytes'] / 1e6:.1f} MB"
    each = f"{jails} jails scraped every {INTERVAL:g} s: CPU for each second"
    busy = Goal(name=each, value=found["cpu_of_a_scrape"] / INTERVAL, limit=_BUSY, unit="s", below=True)
    name = f"a scrape of {jails} jails, by HTTP"
    slow = Goal(name=name, value=found["milliseconds"]["median"], limit=_SLOWEST, unit="ms", below=True)
    return [
        Row(
            what=each, measured=f"{busy.value:.4f} s", reference=f"{found['cpu_of_a_scrape']:.3f} s a scrape", goal=busy
        ),
        Row(what=name, measured=f"{slow.value:.0f} ms", reference=size, goal=slow),
    ]


def main(folder: str) -> None:
    """Print what scrapes cost."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    print(json.dumps(asyncio.run(_measured(Path(folder)))))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
