"""A jail on a pool whose file is damaged underneath: refused as a stream, saved file by file, the losses named."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jaild.model.errors import DataLossError
from jaild.v1 import jails_pb2, salvage_pb2
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.client import refused
from tests.e2e.conftest import furnish
from tests.e2e.node import Node
from tests.e2e.pair import JAIL, Pair, paired

pytestmark = pytest.mark.real(*LINUX_HOST)
NAME = "edge-1"
RECORD = 128 << 10  # ZFS's recordsize: what is damaged is damaged by the record
FILL = """
mkdir -p /var/kept
echo whole >/var/kept/file; ln /var/kept/file /var/kept/twin; ln -s file /var/kept/link; chmod 4711 /var/kept/file
"""


@pytest.fixture
def pair(workshop: Path) -> Iterator[Pair]:
    with paired() as made:
        furnish(made.alpha.api, workshop)
        yield made


def pattern(name: bytes) -> bytes:
    """A record's worth of text that is nowhere else on the pool, and that no compression makes shorter."""
    return (name + os.urandom(RECORD - len(name)))[:RECORD]


def put(node: Node, path: str, *records: bytes) -> None:
    node.api.exec(NAME, "sh", "-c", f"cat >{path} && sync", stdin=b"".join(records))


def to_disk(node: Node) -> None:
    """Bring all that was written to the pool's file: a snapshot is a transaction group of its own."""
    dataset = f"{node.pool}/jaild/jails/{NAME}/data@to-disk"
    node.zfs("snapshot", dataset)
    node.zfs("destroy", dataset)


def damage(node: Node, *records: bytes) -> None:
    """Write over these records in the pool's file, with the host down."""
    (vdev,) = [path for path in (node.folder / "vdevs").iterdir() if path.is_file()]
    with vdev.open("r+b", buffering=0) as file:
        parts = list(written(file.fileno()))
        for record in records:
            copies = [at for start, part in parts for at in places(part, record[:4096], start)]
            assert copies
            for at in copies:
                os.pwrite(file.fileno(), bytes(4096), at)


def written(file: int) -> Iterator[tuple[int, bytes]]:
    """The parts of a sparse file that are no holes, with where they begin: of a pool's 2 GiB a few MiB."""
    end = 0
    while (start := next_data(file, end)) is not None:
        end = os.lseek(file, start, os.SEEK_HOLE)
        yield start, os.pread(file, end - start, start)


def next_data(file: int, at: int) -> int | None:
    try:
        return os.lseek(file, at, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:  # which says that only a hole follows
            raise
        return None


def places(where: bytes, what: bytes, start: int) -> Iterator[int]:
    at = where.find(what)
    while at >= 0:
        yield start + at
        at = where.find(what, at + 1)


def test_what_can_be_read_of_a_jail_on_a_damaged_pool_is_saved_and_the_rest_is_named(pair: Pair) -> None:
    alpha, beta = pair.alpha, pair.beta
    alpha.api.create(NAME, trees.spec("tiny-1", "web/1", network=f"{{mode: vnet, addresses: [{JAIL}]}}"))
    alpha.api.sh(NAME, FILL)
    good, bad, gone = pattern(b"good"), pattern(b"bad"), pattern(b"gone")
    put(alpha, "/var/kept/damaged", good, bad, good)
    put(alpha, "/var/kept/lost", gone)
    to_disk(alpha)
    alpha.power_cut()
    damage(alpha, bad, gone)
    alpha.start()

    with refused(DataLossError, "DATA_UNREADABLE") as unreadable:
        alpha.api.migrate(NAME, "beta")
    assert "jailctl jail salvage" in unreadable.value.hint
    assert pair.owners(NAME) == ["alpha"]

    request = salvage_pb2.SalvageJailRequest(name=f"jails/{NAME}", target="beta")
    with refused(DataLossError, "SALVAGED_WITH_LOSS"):
        alpha.api.done(alpha.api.call(alpha.api.salvages.SalvageJail, request))
    assert pair.owners(NAME) == ["beta"]
    assert pair.running_on(NAME) == ["beta"]
    asked = salvage_pb2.GetSalvageReportRequest(name=f"jails/{NAME}")
    report = beta.api.call(beta.api.salvages.GetSalvageReport, asked)
    told = {each.path: each for each in report.losses}
    assert set(told) == {"data/var/kept/damaged", "data/var/kept/lost"}
    assert told["data/var/kept/lost"].lost
    spans = [(getattr(span, "from"), span.to) for span in told["data/var/kept/damaged"].ranges]
    assert spans
    assert all(RECORD <= start < end <= 2 * RECORD for start, end in spans)
    kept = beta.seen(f"jails/{NAME}/data/var/kept")
    assert (kept / "damaged").read_bytes()[:RECORD] == good
    assert (kept / "damaged").read_bytes()[2 * RECORD :] == good
    assert not (kept / "lost").exists()
    assert (kept / "twin").stat().st_ino == (kept / "file").stat().st_ino
    assert (kept / "file").stat().st_mode & 0o7777 == 0o4711
    assert beta.api.sh(NAME, "cat /var/kept/link") == "whole\n"
    assert "1 lost, 1 damaged" in beta.api.jail(NAME).message
    assert alpha.api.jail(NAME).state == jails_pb2.Jail.STATE_MOVED
    for node in (alpha, beta):
        node.api.delete(NAME)
