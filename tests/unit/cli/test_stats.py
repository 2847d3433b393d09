"""`jailctl stats`: what jails use, for people and for programs."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from jaild.cli.output.exits import Exit
from jaild.v1 import stats_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.daemon import Daemon


def measured(name: str = "web", at: float = 100.0, cpu: float = 10.0, **fields: Any) -> stats_pb2.JailStats:
    return stats_pb2.JailStats(
        name=f"jails/{name}",
        running=True,
        cpu_seconds=cpu,
        memory_bytes=64 << 20,
        processes=7,
        start_time=Timestamp(seconds=50),
        sample_time=Timestamp(seconds=int(at), nanos=int(at % 1 * 1e9)),
        disk_bytes=3 << 20,
        data_bytes=1 << 20,
        **fields,
    )


def test_the_load_is_what_was_used_between_two_measurements(jailctl: Run, daemon: Daemon) -> None:
    limits: dict[str, Any] = {
        "cpu_limit": 1.5,
        "memory_limit_bytes": 1 << 30,
        "processes_limit": 50,
        "data_quota_bytes": 2 << 30,
    }
    daemon.stats = [[measured()], [measured(at=102.0, cpu=11.0, **limits)]]
    head, row = jailctl("stats", "web", "--interval", "0.01", "--wide").stdout.splitlines()
    assert head.split()[:2] == ["NAME", "CPU"]
    for part in ("50% of 150%", "11.00 s", "64M of 1G", "7 of 50", "1M of 2G", "3M"):
        assert part in row
    assert [list(request.names) for request in daemon.requests] == [["jails/web"]] * 2


def test_a_jail_that_was_started_again_in_between_has_no_load(jailctl: Run, daemon: Daemon) -> None:
    again = measured(at=101.0, cpu=0.5)
    again.start_time.seconds = 100
    daemon.stats = [[measured()], [again]]
    (jail,) = json.loads(jailctl("stats", "-o", "json", "--interval", "0.01").stdout)["jails"]
    assert "cpuCores" not in jail
    assert jail["cpuSeconds"] == 0.5


def test_programs_get_the_load_in_cores_and_the_apis_names(jailctl: Run, daemon: Daemon) -> None:
    daemon.stats = [[measured()], [measured(at=101.0, cpu=10.25)]]
    (jail,) = json.loads(jailctl("stats", "-o", "json", "--interval", "0.01").stdout)["jails"]
    assert (jail["cpuCores"], jail["memoryBytes"]) == (0.25, str(64 << 20))


def test_a_load_that_the_system_itself_tells_is_believed_and_not_waited_for(jailctl: Run, daemon: Daemon) -> None:
    daemon.stats = [[measured(cpu_cores=0.18)]]
    assert "18%" in jailctl("stats", "--interval", "3600").stdout


def test_a_jail_that_is_younger_than_its_hosts_counters_says_so_in_its_row(jailctl: Run, daemon: Daemon) -> None:
    for at, young in ((50.5, True), (52.0, False)):
        daemon.stats = [[measured(at=at, max_age_seconds=1.0, cpu_cores=0.0)]]
        assert ("not counted" in jailctl("stats").stdout) is young


def test_with_no_interval_it_is_measured_once(jailctl: Run, daemon: Daemon) -> None:
    daemon.stats = [[measured()]]
    assert "10.00 s" in jailctl("stats", "--interval", "0", "-w").stdout


def test_a_jail_that_does_not_run_or_cannot_be_measured_says_so_in_its_row(jailctl: Run, daemon: Daemon) -> None:
    stopped = stats_pb2.JailStats(name="jails/db", data_bytes=5 << 20)
    odd = stats_pb2.JailStats(name="jails/odd", running=True, message="rctl: it does not work")
    daemon.stats = [[stopped, odd]]
    _, first, second = jailctl("stats", "--interval", "0").stdout.splitlines()
    assert "not running" in first
    assert "5M" in first
    assert "rctl: it does not work" in second


def test_collectd_gets_lines_of_its_own_types_with_its_own_name_and_pace(
    jailctl: Run, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLLECTD_HOSTNAME", "here")
    monkeypatch.setenv("COLLECTD_INTERVAL", "0.010")
    away = stats_pb2.JailStats(name="jails/away", sample_time=Timestamp(seconds=100), disk_bytes=1)
    daemon.stats = [[measured(cpu=0.5, memory_limit_bytes=1 << 30), away], [measured(at=110.5, cpu=1.25)]]
    result = jailctl("stats", "-o", "collectd")  # ends as the stub has no more
    assert result.stdout.splitlines() == [
        'PUTVAL "here/jaild-web/gauge-running" interval=0.010 100.000:1',
        'PUTVAL "here/jaild-web/total_time_in_ms-cpu" interval=0.010 100.000:500',
        'PUTVAL "here/jaild-web/memory-used" interval=0.010 100.000:67108864',
        'PUTVAL "here/jaild-web/memory-limit" interval=0.010 100.000:1073741824',
        'PUTVAL "here/jaild-web/gauge-processes" interval=0.010 100.000:7',
        'PUTVAL "here/jaild-web/df_complex-data" interval=0.010 100.000:1048576',
        'PUTVAL "here/jaild-web/df_complex-disk" interval=0.010 100.000:3145728',
        'PUTVAL "here/jaild-away/gauge-running" interval=0.010 100.000:0',
        'PUTVAL "here/jaild-away/df_complex-data" interval=0.010 100.000:0',
        'PUTVAL "here/jaild-away/df_complex-disk" interval=0.010 100.000:1',
        'PUTVAL "here/jaild-web/gauge-running" interval=0.010 110.500:1',
        'PUTVAL "here/jaild-web/total_time_in_ms-cpu" interval=0.010 110.500:1250',
        'PUTVAL "here/jaild-web/memory-used" interval=0.010 110.500:67108864',
        'PUTVAL "here/jaild-web/gauge-processes" interval=0.010 110.500:7',
        'PUTVAL "here/jaild-web/df_complex-data" interval=0.010 110.500:1048576',
        'PUTVAL "here/jaild-web/df_complex-disk" interval=0.010 110.500:3145728',
    ]


def test_opentsdb_gets_the_names_of_the_metrics_and_the_hosts_own(jailctl: Run, daemon: Daemon) -> None:
    daemon.stats = [[measured(cpu=1234567.25)]]
    result = jailctl("stats", "-o", "opentsdb", "--interval", "0")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[:3] == [
        "put jaild_jail_running 100 1 host=alpha jail=web",
        "put jaild_jail_cpu_seconds_total 100 1234567.25 host=alpha jail=web",
        "put jaild_jail_memory_bytes 100 67108864 host=alpha jail=web",
    ]


def test_a_daemon_that_is_away_for_a_while_does_not_end_a_feed(jailctl: Run, daemon: Daemon) -> None:
    daemon.stats = [[measured()], grpc.StatusCode.UNAVAILABLE, [measured(at=120.0)]]
    result = jailctl("stats", "-o", "opentsdb", "--interval", "0.01")
    assert [line.split()[2] for line in result.stdout.splitlines() if "running" in line] == ["100", "120"]
    assert "trying again" in result.stderr


def test_a_pace_that_is_none_is_refused(jailctl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLLECTD_INTERVAL", "often")
    assert jailctl("stats", "-o", "collectd").exit_code == Exit.USAGE


def test_the_other_commands_have_no_feeds(jailctl: Run) -> None:
    assert jailctl("jail", "ls", "-o", "collectd").exit_code == Exit.USAGE


def test_what_goes_over_network_and_file_systems_is_told_to_who_wants_it(jailctl: Run, daemon: Daemon) -> None:
    carried: dict[str, Any] = {"received_bytes": 5 << 20, "sent_bytes": 6 << 10, "read_bytes_per_second": 7 << 10}
    daemon.stats = [[measured(cpu_cores=0.5, **carried)]] * 2
    narrow, wide = jailctl("stats").stdout, jailctl("stats", "--wide").stdout
    assert "RECEIVED" not in narrow
    assert wide.splitlines()[0].split()[7:11] == ["READ", "WRITE", "RECEIVED", "SENT"]
    for part in ("7K/s", "5M", "6K"):
        assert part in wide
