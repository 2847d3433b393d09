"""How long questions to a fleet take: a master's cache with the mines of many hosts, and no host.

build/salt/bin/python -m tests.salt.many [HOSTS [JAILS]] prints a row for each question.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import salt.cache
import salt.config
import salt.runner
import yaml
from salt.utils.minions import CkMinions

_JAIL = {"state": "running", "release": "web/1", "channel": "stable", "health": "healthy", "labels": {"team": "cdn"}}
QUESTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("find", {"jail": "web-7-3"}),
    ("room", {"limit": 5}),
    ("behind", {"channel": "stable"}),
)


def summary(number: int, jails: int) -> dict[str, Any]:
    """What a host tells: a tenth of its jails are behind."""
    own = {f"web-{number}-{jail}": {**_JAIL, "base": "deb-12.8"} for jail in range(jails)}
    for each in list(own.values())[::10]:
        each |= {"base": "deb-12.7", "behind": "deb-12.8"}
    return {
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "name": f"edge-{number}",
        "available_bytes": number << 30,
        "used_bytes": 1 << 40,
        "running": jails,
        "channels": {"stable": "deb-12.8"},
        "jails": own,
    }


def filled(folder: Path, hosts: int, jails: int) -> dict[str, Any]:
    """Make a master's cache; return its options."""
    config = folder / "master"
    config.write_text(yaml.safe_dump({"root_dir": str(folder), "sock_dir": str(folder / "s"), "user": "root"}))
    options = dict(salt.config.master_config(str(config)))
    cache, keys = salt.cache.factory(options), Path(options["pki_dir"]) / "minions"
    for place in (keys, Path(options["cachedir"]) / "proc"):  # which a master that runs has
        place.mkdir(parents=True)
    for number in range(hosts):
        cache.store("mine", f"edge-{number}", {"jaild.summary": summary(number, jails)})
        (keys / f"edge-{number}").write_text("a key\n")
    assert len(CkMinions(options).check_minions("*", "compound")["minions"]) == hosts
    return options


def main(hosts: int = 10_000, jails: int = 20) -> None:
    with tempfile.TemporaryDirectory(prefix="jaild-many-") as folder:
        client = salt.runner.RunnerClient(filled(Path(folder), hosts, jails))
        client.cmd("test.arg", print_event=False)  # the runners are loaded
        sys.stdout.write(f"{hosts} hosts with {jails} jails each\n")
        for function, asked in QUESTIONS:
            began = time.monotonic()
            answer = client.cmd(f"jaild_fleet.{function}", kwarg=asked, print_event=False)
            assert isinstance(answer, dict), answer
            assert (answer["hosts"], answer["unheard"]) == (hosts, {})
            sys.stdout.write(f"{function:8} {time.monotonic() - began:6.2f} s  {len(answer['found'])} rows\n")
        sys.stdout.write(f"memory   {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10:6} MiB\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
