"""`jailctl stats -o collectd` and `-o opentsdb`, read by a real collectd and a real receiver of OpenTSDB's protocol."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.node import CHECKOUT
from tests.integrations.conftest import JAIL, Watched
from tests.integrations.servers import eventually, free_port, listens, server

_JAILCTL = [sys.executable, "-c", "from jaild.cli.main import main; main()"]
_BROUGHT = (CHECKOUT / "templates/monitoring/collectd/jaild.conf").read_text()
_AROUND = """
Hostname "here"
BaseDir "{folder}"
PIDFile "{folder}/pid"
TypesDB "/usr/share/collectd/types.db"
Interval 1
LoadPlugin csv
<Plugin csv>
  DataDir "{folder}/csv"
</Plugin>
"""


def _stats(watched: Watched, feed: str) -> list[str]:
    return [*_JAILCTL, "stats", "-o", feed, "--address", f"unix://{watched.node.folder}/jaild.sock"]


@pytest.mark.real("Linux", "collectd", "unshare")
def test_collectd_runs_it_and_has_its_values(watched: Watched, tmp_path: Path) -> None:
    argv = ["/usr/bin/env", f"PYTHONPATH={CHECKOUT}", *_stats(watched, "collectd")]
    own = " ".join(json.dumps(word) for word in ("nobody", *argv))
    told, times = re.subn(r"(?m)^  Exec .* \"stats\" \"-o\" \"collectd\"$", lambda _: f"  Exec {own}", _BROUGHT)
    assert times == 1
    (tmp_path / "collectd.conf").write_text(_AROUND.format(folder=tmp_path) + told)
    # collectd runs nothing as root, and only root reads this checkout and the daemon's socket: a root called nobody.
    as_nobody = ["unshare", "--map-user=65534", "--map-group=65534"]
    folder = tmp_path / "csv" / "here" / f"jaild-{JAIL}"
    with server([*as_nobody, "collectd", "-f", "-C", tmp_path / "collectd.conf"], tmp_path / "collectd.log"):
        memory = eventually(lambda: _values(folder, "memory-used"), "collectd has a value")
        processor = eventually(lambda: _values(folder, "total_time_in_ms-cpu"), "and one that is a rate")
    assert memory[-1] > 0
    assert processor[-1] >= 0
    kinds = {path.name[:-11] for path in folder.iterdir()}  # without the day
    assert kinds == {"df_complex-data", "df_complex-disk", "gauge-processes", "gauge-running"} | {
        "memory-used",
        "total_bytes-received",
        "total_bytes-sent",
        "total_time_in_ms-cpu",
    }


def _values(folder: Path, kind: str) -> list[float]:
    """Two values or more of a file of collectd's plug-in csv: a head, then lines of time and value."""
    rows = [line for path in folder.glob(f"{kind}-*") for line in path.read_text().splitlines()[1:]]
    return [float(row.split(",")[1]) for row in rows] if len(rows) > 1 else []


@pytest.mark.real("victoria-metrics")
def test_a_receiver_of_opentsdbs_protocol_takes_every_line(watched: Watched, tmp_path: Path) -> None:
    http, telnet = free_port(), free_port()
    argv = ["victoria-metrics", f"-storageDataPath={tmp_path}/data", f"-httpListenAddr=127.0.0.1:{http}"]
    with server([*argv, f"-opentsdbListenAddr=127.0.0.1:{telnet}"], tmp_path / "victoria-metrics.log"):
        eventually(lambda: listens(http) and listens(telnet), "it listens")
        with (
            socket.create_connection(("127.0.0.1", telnet)) as receiver,
            subprocess.Popen(
                [*_stats(watched, "opentsdb"), "--interval", "1"],
                stdout=receiver.fileno(),
                cwd=CHECKOUT,
                env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
            ) as sender,
        ):
            found = eventually(lambda: _stored(http), "two values of each series are stored")
            sender.terminate()
        assert {labels["host"] for labels, _ in found.values()} == {"alpha"}
        assert {labels["jail"] for labels, _ in found.values()} == {JAIL}
        assert found["jaild_jail_memory_bytes"][1][-1] > 0
        assert found.keys() == {
            *("jaild_jail_running", "jaild_jail_cpu_seconds_total", "jaild_jail_memory_bytes", "jaild_jail_processes"),
            *("jaild_jail_network_receive_bytes_total", "jaild_jail_network_transmit_bytes_total"),
            *("jaild_jail_data_bytes", "jaild_jail_disk_bytes"),
        }


def _stored(port: int) -> dict[str, tuple[dict[str, str], list[float]]]:
    """What is stored, by series; nothing until there are two values of each."""
    at = f"http://127.0.0.1:{port}"
    with urllib.request.urlopen(f"{at}/internal/force_flush", timeout=10):  # noqa: S310 -- its own server
        pass
    with urllib.request.urlopen(f'{at}/api/v1/export?match[]={{jail!=""}}', timeout=10) as answer:  # noqa: S310
        rows = [json.loads(line) for line in answer]
    found = {row["metric"].pop("__name__"): (row["metric"], row["values"]) for row in rows}
    return found if all(len(values) > 1 for _, values in found.values()) else {}
