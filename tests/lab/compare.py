"""jaild beside what others use, on two machines with kernel OpenZFS: `python -m tests.lab.compare [--size 256M]`.

Beside syncoid a migration's stream, beside incus a move's downtime: the same data on the same pools in one run.

    move the jail by jaild ── send its data by syncoid ── move a container of the same userland and data by incus

What cannot be measured is said; build/compare.json has it all.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jaild.model import quantity
from tests.bench.figures import Goal, Row, ratios, summary
from tests.demo.fleet import SOURCE_HOST, TARGET_HOST, Answer, Who, seconds_of
from tests.demo.programs import run
from tests.e2e import trees
from tests.lab.fleet import ROOT, LabFleet, lab_fleet
from tests.lab.incus import Incus, IncusError, Move, write_image
from tests.lab.machine import MachineError
from tests.lab.network import address
from tests.lab.others import image_with_others
from tests.lab.syncoid import Sent, Syncoid
from tests.tars import file

REPORT = Path("build/compare.json")
_SUITE = "trixie"
_JAIL, _EMPTY = "kv", "empty"
_ADDRESSES = {SOURCE_HOST: address(1), TARGET_HOST: address(2)}
# Something to stop, and to send last; one program a second, since each is dear under emulation. Its signal is TERM by
# jaild, PWR by incus.
_SCRIPT = "trap 'exit 0' TERM PWR; while :; do echo x >> /var/x; sleep 1 & wait $!; done"
_FASTER = 1.5
_SHORTER = 0.3


class NotMeasuredError(Exception):
    """The jail did not do what is measured of it."""


@dataclass(frozen=True, kw_only=True)
class Migration:
    """One of a jail, by its report."""

    bytes: int
    seed: float  # seconds of the phase in which all but the last bit is sent
    empty: float  # of that phase for a jail with next to nothing in it: what it asks, its snapshot, holds and marks
    whole: float  # seconds of the operation
    downtime: float
    parts: Mapping[str, float]  # of the downtime

    @property
    def rate(self) -> float:
        """Bytes a second while it sends."""
        return self.bytes / max(self.seed - self.empty, 1e-3)


class Comparison:
    """One fleet, with jaild's jail, syncoid and incus on it."""

    def __init__(self, fleet: LabFleet, folder: Path, size: int) -> None:
        self._fleet = fleet
        self._folder = folder
        self._size = size
        self.syncoid = Syncoid(fleet.machines, _ADDRESSES)
        self.incus = Incus(fleet.machines, _ADDRESSES)

    def prepare(self) -> None:
        """Bring the base to both hosts, with a jail that moves there and back; then let root in by ssh."""
        base = trees.base(self._folder / "tiny-1.tgz")
        self._must(Who.SOURCE, SOURCE_HOST, "base", "import", "tiny-1", str(base))
        self._create(_EMPTY)
        self._move(SOURCE_HOST, TARGET_HOST, _EMPTY)
        self._move(TARGET_HOST, SOURCE_HOST, _EMPTY)
        self.syncoid.prepare(self._folder)
        self._create(_JAIL)
        ballast = f"/jaild/jails/{_JAIL}/data/var/ballast"
        words = ("if=/dev/urandom", f"of={ballast}", "bs=1M", f"count={self._size >> 20}", "conv=fsync")
        self._fleet.machines[SOURCE_HOST].must("dd", *words, timeout=900.0)

    def prepare_incus(self) -> None:
        """Start its servers and the container. `IncusError`, `MachineError` say what it cannot."""
        userland = [*trees.base_items(), file("sbin/init", f"#!/bin/sh\n{_SCRIPT}\n".encode(), 0o755)]
        self.incus.prepare(write_image(self._folder / "image.tar", userland))
        self.incus.launch(SOURCE_HOST, self._size)

    def migrate(self, source: str, target: str) -> Migration:
        """Move the jail, after one without data, as syncoid sends an empty dataset first."""
        empty = self._move(source, target, _EMPTY)
        return replace(self._move(source, target, _JAIL), empty=empty.seed)

    def _move(self, source: str, target: str, jail: str) -> Migration:
        """Move a jail; the copy that stays behind is deleted, so that the next one sends everything."""
        answer = self._must(Who.OPERATOR, source, "jail", "migrate", jail, target, "--max-downtime", "60s")
        name = f"migrations/{answer.facts['migration']}"
        told = self._must(Who.OPERATOR, source, "migration", "show", name).document
        phases = {phase["name"]: seconds_of(phase.get("duration")) for phase in answer.metadata["phases"]}
        seed, downtime = phases["seed"], answer.downtime
        if seed is None or downtime is None:
            raise NotMeasuredError(f"the migration told no seed or no downtime: {answer.metadata}")
        self._must(Who.OPERATOR, source, "jail", "rm", jail, "--force")
        parts = {part: seconds_of(text) or 0.0 for part, text in told.get("downtimeParts", {}).items()}
        return Migration(
            bytes=int(answer.facts["bytes"]), seed=seed, empty=0.0, whole=answer.seconds, downtime=downtime, parts=parts
        )

    def send_by_syncoid(self, source: str, target: str) -> Sent:
        """Send the jail's data from where it is."""
        return self.syncoid.send(source, target, f"{ROOT}/jails/{_JAIL}/data")

    def _create(self, jail: str) -> None:
        spec = self._folder / f"{jail}.yaml"
        spec.write_text(trees.spec("tiny-1", command=json.dumps(["/bin/sh", "-c", _SCRIPT]), health="[]"))
        self._must(Who.OPERATOR, SOURCE_HOST, "jail", "create", jail, "-f", str(spec))

    def _must(self, who: Who, host: str, *words: str) -> Answer:
        answer = self._fleet.jailctl(who, host, *words)
        if answer.status != 0:
            raise NotMeasuredError(f"{answer.command}: {answer.error or answer.complaint}\n{self._fleet.log(host)}")
        return answer


def measure(size: int, times: int, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure all; returns what the JSON has."""
    image = image_with_others(_SUITE)
    by_jaild: list[Migration] = []
    by_syncoid: list[Sent] = []
    by_incus: list[Move] = []
    failed = ""
    with lab_fleet(image, folder) as fleet:
        say("two machines are up")
        compared = Comparison(fleet, folder, size)
        compared.prepare()
        hosts = (SOURCE_HOST, TARGET_HOST)
        for number in range(times):
            source, target = hosts if number % 2 == 0 else hosts[::-1]
            by_jaild.append(compared.migrate(source, target))
            say(f"jaild: {by_jaild[-1]}")
            by_syncoid.append(compared.send_by_syncoid(target, source))
            say(f"syncoid: {by_syncoid[-1]}")
        try:
            compared.prepare_incus()
            for number in range(times):
                by_incus.append(compared.incus.move(*(hosts if number % 2 == 0 else hosts[::-1])))
                say(f"incus: {by_incus[-1].document()}")
        except (IncusError, MachineError) as error:
            failed = str(error)
            say(f"incus could not be measured: {failed}")
    told = {"commit": run(["git", "rev-parse", "--short", "HEAD"]).strip(), "versions": image.versions()}
    return told | document(size, by_jaild, by_syncoid, by_incus) | {"incus_failed": failed}


def document(size: int, ours: Sequence[Migration], sent: Sequence[Sent], moved: Sequence[Move]) -> dict[str, Any]:
    """Return what follows from samples, as the JSON has it."""
    return {
        "size": size,
        "jaild": [_migration(one) for one in ours],
        "syncoid": _syncoid(ours, sent),
        "incus": _incus(ours, moved) if moved else {},
        "meaning": {
            "ratio": "of jaild's bytes a second to syncoid's, of each without what it takes for next to no data",
            "ratio_whole": "of jaild's in its whole phase seed to syncoid's in its whole command",
            "downtime": "from the request to stop until the start returned: jaild by its report, incus by its commands",
        },
    }


def _migration(one: Migration) -> dict[str, Any]:
    told = {name: getattr(one, name) for name in ("bytes", "seed", "empty", "whole", "downtime")}
    return {name: round(value, 3) for name, value in told.items()} | {"parts": dict(one.parts)}


def _syncoid(ours: Sequence[Migration], theirs: Sequence[Sent]) -> dict[str, Any]:
    rates = [one.rate for one in ours]
    return {
        "jaild_bytes_per_second": summary(rates),
        "bytes_per_second": summary([one.rate for one in theirs]),
        "whole_seconds": summary([one.seconds for one in theirs]),
        "empty_seconds": summary([one.empty for one in theirs]),
        "ratio": ratios(rates, [one.rate for one in theirs]),
        "ratio_whole": ratios([one.bytes / one.seed for one in ours], [one.bytes / one.seconds for one in theirs]),
    }


def _incus(ours: Sequence[Migration], theirs: Sequence[Move]) -> dict[str, Any]:
    paired = list(zip(ours, theirs, strict=False))
    return {
        "jaild_downtime_seconds": summary([one.downtime for one, _ in paired]),
        "downtime_seconds": summary([one.downtime for _, one in paired]),
        "moves": [one.document() for one in theirs],
        "ratio": ratios([one.downtime for one, _ in paired], [one.downtime for _, one in paired]),
    }


def goals(found: Mapping[str, Any]) -> list[Goal]:
    """What is to be reached, of what was measured."""
    stream = found["syncoid"]["ratio"]["median"]
    told = [Goal(name="throughput to syncoid over ssh", value=stream, limit=_FASTER, unit="", at_least=True)]
    if moved := found["incus"]:
        ratio = moved["ratio"]["median"]
        told.append(Goal(name="downtime to incus's recipe", value=ratio, limit=_SHORTER, unit=""))
    return told


def rows(found: Mapping[str, Any]) -> list[Row]:
    """The lines of the table."""
    size, (stream, *downtime) = quantity.render(found["size"]), goals(found)
    sent, moved = found["syncoid"], found["incus"]
    lines = [
        Row(
            what=f"stream of {size}",
            measured=f"{sent['jaild_bytes_per_second']['median'] / 1e6:.1f} MB/s",
            reference=f"{sent['bytes_per_second']['median'] / 1e6:.1f} MB/s by syncoid over ssh",
            ratio=f"{sent['ratio']['median']:.2f}",
            goal=stream,
        )
    ]
    if moved:
        lines.append(
            Row(
                what=f"downtime of a move of {size}",
                measured=f"{moved['jaild_downtime_seconds']['median']:.2f} s",
                reference=f"{moved['downtime_seconds']['median']:.2f} s by incus's recipe",
                ratio=f"{moved['ratio']['median']:.2f}",
                goal=downtime[0],
            )
        )
    return lines


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, write the file, print the lines; the status is 1 if something could not be measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=quantity.parse, default=quantity.parse("256M"), help="data of the jail")
    parser.add_argument("--times", type=int, default=2, help="moves of each")
    asked = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="jcompare-") as folder:
        found = measure(asked.size, asked.times, Path(folder), _say)
    found["goals"] = [goal.document() for goal in goals(found)]
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(found, indent=1) + "\n")
    for row in rows(found):
        verdict = "" if row.goal is None else f"{row.goal.told}: {'met' if row.goal.met else 'missed'}"
        _say(f"{row.what} | {row.measured} | {row.reference} | {row.ratio} | {verdict}")
    return 1 if found["incus_failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
