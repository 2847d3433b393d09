"""What the bench makes of the migrations that it measured."""

from __future__ import annotations

from typing import Any

from tests.bench import migration_report, report
from tests.bench.by_hand import Bare, Copy, Cpu
from tests.bench.figures import Goal, ratios, summary
from tests.bench.migration import Sample, compared


def sample(size: float, *, seed: float, downtime: float, by_hand: float) -> Sample:
    return Sample(
        bytes=int(size),
        seed=seed,
        cpu=Cpu(own=2.0, children=1.0),
        downtime=downtime,
        restart=0.5,
        stop=0.25,
        zfs=3.0,
        by_hand=Copy(seconds=by_hand, cpu=0.0, zfs=2.0),
        by_tls=Copy(seconds=4.0, cpu=4.0, zfs=2.0),
        by_grpc=Copy(seconds=5.0, cpu=1.6, zfs=2.0),
        tls=Bare(rate=1e9, cpu=2.0),
        grpc=Bare(rate=5e8, cpu=0.8),
        start=0.25,
    )


def document(**downtimes: float) -> dict[str, Any]:
    sizes = {size: compared([sample(2e9, seed=4.0, downtime=dark, by_hand=2.0)]) for size, dark in downtimes.items()}
    volumes = {
        "count": 8,
        "downtime_seconds": summary([0.5]),
        "downtime_seconds_without": summary([0.25]),
        "ratio_to_without": ratios([0.5], [0.25]),
    }
    return {"commit": "x", "migration": {"sizes": sizes, "volumes": volumes}}


def test_a_migration_is_compared_with_the_same_bytes_by_hand_and_with_the_whole_outage_that_the_naive_way_is() -> None:
    found = compared([sample(2e9, seed=4.0, downtime=1.0, by_hand=2.0)])
    assert found["seed_bytes_per_second"]["median"] == 5e8
    assert found["ratio_to_by_hand"]["median"] == 0.5
    assert found["ratio_to_by_tls"]["median"] == 1.0
    assert found["ratio_to_by_grpc"]["median"] == 1.25
    assert found["ratio_to_tls_pipe"]["median"] == 0.5
    assert found["downtime_beyond_restart_seconds"]["median"] == 0.5
    assert found["ratio_to_naive"]["median"] == 1.0 / 2.5
    assert found["cpu_seconds_per_gb"]["median"] == 1.0
    assert found["cpu_seconds_per_gb_with_commands"]["median"] == 1.5
    assert found["cpu_ratio_to_tls_pipe"]["median"] == 0.5
    assert found["cpu_ratio_to_grpc"]["median"] == 1.25
    assert found["by_tls_cpu_seconds_per_gb"]["median"] == 2.0
    assert found["cpu_ratio_to_by_grpc"]["median"] == 1.25
    assert (found["zfs_cpu_seconds_per_gb"]["median"], found["by_hand_zfs_cpu_seconds_per_gb"]["median"]) == (1.5, 1.0)


def goal(name: str, **downtimes: float) -> Goal:
    [found] = [each for each in report.goals(document(**downtimes)) if each.name == name]
    return found


def test_each_size_has_goals_for_its_stream_and_what_that_costs() -> None:
    found = migration_report.goals(document(**{"64M": 1.0})["migration"])
    assert [(goal.name, goal.value, goal.told, goal.met) for goal in found[:4]] == [
        ("migration of 64M: stream to zfs send, zfs receive", 0.5, ">= 0.95", False),
        ("migration of 64M: stream to zfs send, a TLS pipe, zfs receive", 1.0, ">= 0.9", True),
        ("migration of 64M: CPU per GB to a bare grpc.aio stream", 1.25, "<= 1.18", False),
        (
            "migration of 64M: CPU per GB to a bare grpc.aio stream between zfs send and zfs receive",
            1.25,
            "<= 1.18",
            False,
        ),
    ]


def test_a_downtime_that_grows_with_the_data_misses_its_goal() -> None:
    name = "downtime of a migration of 4G to one of 64M"
    assert goal(name, **{"64M": 1.0, "4G": 1.4, "512M": 9.0}).met
    assert not goal(name, **{"64M": 1.0, "4G": 2.0}).met


def test_one_size_tells_nothing_of_growth() -> None:
    assert len(report.goals(document(**{"64M": 1.0}))) == 5  # two of the stream, two of what it costs, of volumes


def test_volumes_are_to_make_the_downtime_a_fifth_longer_at_most() -> None:
    volumes = goal("downtime with 8 volumes to that with none", **{"64M": 1.0})
    assert (volumes.value, volumes.told, volumes.met) == (2.0, "<= 1.2", False)
    assert report.rows(document(**{"64M": 1.0}))[-1].goal == volumes


def test_the_table_has_ten_lines_for_each_size_from_the_least_to_the_most_and_two_for_all() -> None:
    lines = report.rows(document(**{"4G": 1.0, "64M": 1.0}))
    assert [line.what.split(":")[0] for line in lines[:20]] == ["migration of 64M"] * 10 + ["migration of 4G"] * 10
    assert (lines[-1].what, lines[-1].measured) == ("migration of a jail with 8 volumes: downtime", "0.500 s")
    assert (lines[-1].reference, lines[-1].ratio) == ("0.250 s without volumes", "2.00 (2.00 to 2.00)")
    told = migration_report.goals(document(**{"4G": 1.0, "64M": 1.0})["migration"])
    assert [line.goal for line in lines[-2:]] == told[-2:]
