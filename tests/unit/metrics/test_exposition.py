"""What is told of a host: the names and labels are an interface."""

from __future__ import annotations

import asyncio
import difflib
import gzip
import os
import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from jaild.adapters.system.outside import status
from jaild.metrics.build import MetricsParts
from jaild.metrics.counts import phase_of
from jaild.metrics.samples import Sample
from jaild.model.sinks.settings import Command, SinkSettings
from tests.fakes.host import FakeHost
from tests.hosts import standbys
from tests.hosts.asking import create, deploy
from tests.hosts.scraping import DEGRADED, metrics_of

GOLDEN = Path(__file__).parents[2] / "golden" / "metrics.txt"
DOCS = Path(__file__).parents[3] / "docs" / "monitoring.md"
# Labels whose values are of a fixed set, or of the host's configuration; those of jails are bounded by the jails.
BOUNDED = {"kind", "of", "phase", "outcome", "state", "sample", "setting", "pool", "type", "side", "peer", "le", "sink"}
INFO = {"jaild_jail_info", "jaild_build_info", "jaild_system_info"}


async def told(metrics: MetricsParts, accept: str = "") -> str:
    return (await metrics.exposition.answer({"accept": accept}))[0].decode()


def values(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for family in text_string_to_metric_families(text):
        found |= {(sample.name, frozenset(sample.labels.items())): sample.value for sample in family.samples}
    return found


def value(text: str, name: str, **labels: str) -> float:
    return values(text)[name, frozenset(labels.items())]


async def test_a_host_with_a_replica_tells_what_is_in_the_golden_file(tmp_path: Path) -> None:
    alpha, beta = await standbys.hosts_with(tmp_path, "beta")
    sink = SinkSettings(command=Command(argv=("false",)), filter="kind = jail.exited")
    await alpha.core.use_cases.sinks.run({"pager": sink})
    metrics, kept = metrics_of(alpha), metrics_of(beta)
    await alpha.add_release("web/2")
    await deploy(alpha, "web/2")
    assert (await deploy(alpha, "web/3")).failure is not None
    await standbys.rounds(alpha)
    for sample in metrics.samples.all.values():
        await sample.look()
    alpha.runtime.end("web", alpha.core.inventory.jails["web"].generation.number, status=7)  # type: ignore[union-attr]
    async for event in alpha.core.use_cases.events.watch(0, "", True):
        if event.kind == "task.failed":  # the sink's: nobody takes the end of the jail
            break
    text = await told(metrics)
    series = re.sub(r"(?m)^process_.*\n|^# (HELP|TYPE) process_.*\n|^\w+_bucket.*\n", "", text)
    series = re.sub(r"(?m)^([^#].*) \S+$", r"\1", series)
    if os.environ.get("JAILD_UPDATE_GOLDEN"):
        GOLDEN.write_text(series)
    kept_lines = GOLDEN.read_text().splitlines()  # as lines: pytest's own comparison of such a text takes minutes
    assert list(difflib.unified_diff(kept_lines, series.splitlines(), lineterm="")) == []

    assert value(text, "jaild_jail_info", jail="web", base="deb-1", app="web", release="2") == 1
    assert value(text, "jaild_operations_total", kind="deploy", outcome="done") == 1
    assert value(text, "jaild_operations_total", kind="deploy", outcome="failed") == 1
    assert value(text, "jaild_downtime_seconds_count", kind="deploy") == 1
    assert value(text, "jaild_jail_exits_total", jail="web") == 1
    assert value(text, "jaild_jail_desired_running", jail="web") == 1
    assert value(text, "jaild_replica_interval_seconds", jail="web", peer="beta", side="out") == standbys.INTERVAL
    assert value(text, "jaild_stream_bytes_total", of="round") > 0
    assert value(text, "jaild_pool_data_errors", pool="tank") == 2
    assert value(text, "jaild_event_sink_failures_total", sink="pager") >= 1
    assert value(text, "jaild_event_sink_waiting_since_timestamp_seconds", sink="pager") > 0
    at_its_keeper = values(await told(kept))
    assert at_its_keeper["jaild_jail_state", frozenset({"jail": "web", "state": "standby"}.items())] == 1
    assert ("jaild_jail_desired_running", frozenset({"jail": "web"}.items())) not in at_its_keeper
    taken = at_its_keeper[
        "jaild_replica_timestamp_seconds", frozenset({"jail": "web", "peer": "alpha", "side": "in"}.items())
    ]
    assert taken == value(text, "jaild_replica_timestamp_seconds", jail="web", peer="beta", side="out")

    for name, labels in values(text):
        free = {label for label, _ in labels} - BOUNDED - {"jail"}
        assert not free or name in INFO | {"process_cpu_seconds_total"}, (name, free)
        assert name.startswith(("jaild_", "process_"))
    for each in (alpha, beta):
        await each.stop()


def test_the_page_names_every_family_and_no_other() -> None:
    table = "".join(line.split(" | ")[0] for line in DOCS.read_text().splitlines() if line.startswith("| `jaild_"))
    exposed = set(re.findall(r"(?m)^# TYPE (\w+)", GOLDEN.read_text()))
    assert set(re.findall(r"`(jaild_\w+)`", table)) == exposed


async def test_formats_are_negotiated_and_many_scrapes_at_once_are_one(host: FakeHost) -> None:
    await create(host)
    metrics = metrics_of(host)
    seen: list[object] = []
    families = metrics.exposition.families
    metrics.exposition.families = lambda now: seen.append(now) or families(now)  # type: ignore[method-assign, func-returns-value]
    asked: dict[str, str] = {"accept": "application/openmetrics-text; version=1.0.0", "accept-encoding": "gzip"}
    answers = await asyncio.gather(*(metrics.exposition.answer(asked) for _ in range(20)))
    assert len(seen) == 1
    body, headers = answers[0]
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body).endswith(b"# EOF\n")
    await host.clock.sleep(2.0)
    await told(metrics)
    assert len(seen) == 2


async def test_a_look_that_takes_long_is_not_taken_again_for_long(host: FakeHost) -> None:
    looks: list[float] = []

    async def slow() -> None:
        looks.append(host.clock.monotonic())
        await host.clock.sleep(10.0)

    sample = Sample(slow, host.clock, 60.0)
    for _ in range(12):
        await sample.look()
        await host.clock.sleep(60.0)
    assert len(looks) == 2
    assert looks[1] - looks[0] >= 500


FUSE = """\
  pool: p
 state: ONLINE
 scrub: scrub completed after 0h0m with 0 errors on Mon Nov 30 12:00:00 2026
config:

\tNAME        STATE     READ WRITE CKSUM
\tp           ONLINE       0     0     0
\t  /v        ONLINE       0     0     0

errors: No known data errors
"""


NEVER = FUSE.replace("scrub completed after 0h0m with 0 errors on Mon Nov 30 12:00:00 2026", "none requested")


def test_a_phase_with_a_number_is_no_label_of_its_own() -> None:
    assert [phase_of(name) for name in ("wave 12", "canaries", "after-start")] == ["wave", "canaries", "after-start"]


def test_what_zpool_status_says() -> None:
    for text, health, errors, data, was_scrubbed in (
        (DEGRADED, "DEGRADED", (1, 4, 1538), 2, True),
        (FUSE, "ONLINE", (0, 0, 0), 0, True),
        (NEVER, "ONLINE", (0, 0, 0), 0, False),
    ):
        found = status("p", text)
        assert (found.health, tuple(found.errors.values()), found.data_errors) == (health, errors, data)
        assert (found.scrubbed is not None) is was_scrubbed
