"""A host with thousands of jails that do not run: their records, and what a daemon that knows them costs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from jaild.model import layout
from jaild.model.jails import specfile
from jaild.model.layers.records import Desired, Generation, JailRecord, Ownership, encode
from jaild.model.layout import Layout
from jaild.ports.zfs import Zfs
from jaild.v1 import host_pb2, jails_pb2
from tests.bench.daemon import Daemon, NotMeasuredError
from tests.bench.figures import summary, too_slow
from tests.demo.hosts import CHECKOUT

COUNT = 1000
MANY = 10_000
_PAGE = 1000  # the largest that the API gives
# zfs-fuse 0.7 mounts 1,000 datasets; one more it creates with status 0, and its mount point is dead (seen).
ON_FUSE = 900
BUDGET = 180.0  # seconds to make them in; a slower pool is not waited for
_LISTINGS = 50
_SPEC = """\
base: debian-12
app: redis/7.0.15
network: {{mode: vnet, addresses: [10.9.{high}.{low}/16], gateway: 10.9.0.1}}
quota: 2G
limits: {{memory: 512M, cpus: 1.5, processes: 256}}
health: [{{kind: tcp, port: 6379}}]
labels: {{team: edge, site: fra-{high}}}
"""


@dataclass(frozen=True, kw_only=True)
class Made:
    """How many jails there are, the seconds that it took, and why there are no more."""

    count: int
    seconds: float
    why_no_more: str = ""


async def populate(
    zfs: Zfs,
    where: Layout,
    folder: Path,
    owner: str,
    wanted: int = COUNT,
    *,
    more: str = "",
    desired: Desired = Desired.STOPPED,
) -> Made:
    """Make the datasets of `wanted` jails with their records and generations as jaild leaves them, or what can be made.

    `folder` is where the jails' parent is mounted, `owner` the host's id. The data's datasets are there too, but
    not mounted. `more` is what their specs have besides.
    """
    began = time.perf_counter()
    for number in range(wanted):
        seconds = time.perf_counter() - began
        if too_slow(number, wanted, seconds, BUDGET):
            return Made(count=number, seconds=seconds, why_no_more=f"{wanted} would take more than {BUDGET:.0f} s")
        name = f"edge-{number:05}"
        record = JailRecord(
            uid=f"{number:032x}",
            owner=owner,
            epoch=1,
            state=Ownership.ACTIVE,
            generation=1,
            desired=desired,
            created=time.time(),
        )
        await zfs.create(where.jail(name), {layout.JAIL_PROPERTY: encode(record)})
        await zfs.create(where.part(name, layout.DATA), {"mountpoint": "none"})
        _write_generation(folder / name, number, more)
    return Made(count=wanted, seconds=time.perf_counter() - began)


def _write_generation(folder: Path, number: int, more: str) -> None:
    spec = specfile.parse((_SPEC + more).format(high=number // 250 % 250, low=number % 250 + 2), "bench")
    generation = Generation(
        number=1, spec=spec, base=spec.base, release=spec.app or "", created=time.time(), reason="create", actor="local"
    )
    place = layout.generation_folder(folder, 1)
    for part in (layout.ETC, layout.LOCAL_ETC):
        (place / part).mkdir(parents=True)
    place.chmod(0o700)  # left open to others, as by an older jaild, a daemon closes each of them before it is ready
    file = os.open(place / layout.GENERATION, os.O_WRONLY | os.O_CREAT | os.O_EXCL, layout.SECRET_MODE)
    with os.fdopen(file, "wb") as new:
        new.write(msgspec.json.format(msgspec.json.encode(generation)))


def measure(
    daemon: Daemon, made: Made, slow: Path, say: Callable[[str], None], *, spent: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """List them again and again, and look at the daemon before and after; returns what the JSON has.

    `slow` is the file in which the daemon notes its slow callbacks, `spent` the seconds of CPU that others had of its
    start.
    """
    say(f"listing {made.count} jails")
    cpu = daemon.spent | dict(spent or {})
    at_first = daemon.resident
    size = _listed(daemon, made.count)[1]  # the first warms
    before = daemon.child_faults
    if not before:
        raise NotMeasuredError("the daemon ran no program when it started: its count of their faults proves nothing")
    milliseconds = [_listed(daemon, made.count)[0] for _ in range(_LISTINGS)]
    after, children = daemon.child_faults, daemon.children
    host = daemon.host.GetHost(host_pb2.GetHostRequest())
    return {
        "jails": made.count,
        "made_in_seconds": made.seconds,
        "list_milliseconds": summary(milliseconds),
        "list_bytes": size,
        "longest_callback_milliseconds": longest_callback(slow),
        "no_process_started": after == before and not children,
        "no_process_proof": f"page faults of the daemon's ended children (cminflt in /proc/PID/stat, which every "
        f"program that it runs adds to): {before} before and {after} after {_LISTINGS} listings; "
        f"children that had not ended: {children}",
        "resident_megabytes": daemon.resident,
        "resident_megabytes_before_listing": at_first,
        "ready_seconds": host.ready_seconds,
        "answers_after_seconds": daemon.answered,
        "start_cpu_seconds": cpu,
        "zfs": host.zfs,
    }


def watched(slow: Path) -> dict[str, str]:
    """Return the environment of a daemon that notes its slow callbacks in a file (tests/loopwatch)."""
    path = f"{CHECKOUT}:{CHECKOUT / 'tests' / 'loopwatch'}"
    return os.environ | {"PYTHONPATH": path, "JAILD_TESTS_LOOP": str(slow)}


def longest_callback(slow: Path) -> int:
    """Return the milliseconds of the longest callback that a daemon has noted; 0 if none took more than 50."""
    lines = slow.read_text().splitlines() if slow.exists() else []
    return max((int(line.partition(" ")[0]) for line in lines), default=0)


def _listed(daemon: Daemon, count: int) -> tuple[float, int]:
    """Return how many milliseconds a listing takes the client, page after page, and its bytes."""
    began, answers = time.perf_counter(), [jails_pb2.ListJailsResponse()]
    while len(answers) == 1 or answers[-1].next_page_token:
        request = jails_pb2.ListJailsRequest(page_size=_PAGE, page_token=answers[-1].next_page_token)
        answers.append(daemon.jails.ListJails(request))
    milliseconds = (time.perf_counter() - began) * 1000
    found = [jail for answer in answers for jail in answer.jails]
    if len(found) != count or not all(jail.spec.base for jail in found):
        raise NotMeasuredError(f"{len(found)} jails were listed, not {count} with their specs")
    return milliseconds, sum(answer.ByteSize() for answer in answers)
