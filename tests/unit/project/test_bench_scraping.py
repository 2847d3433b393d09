"""What the bench says of scrapes."""

from __future__ import annotations

from tests.bench import report, scraping
from tests.bench.figures import summary


def test_a_scrape_has_a_goal_in_time_and_one_in_cpu_spread_over_the_interval() -> None:
    found = {"jails": 1000, "bytes": 1_500_000, "milliseconds": summary([100, 250]), "cpu_of_a_scrape": 0.3}
    assert [row.measured for row in scraping.rows(found)] == ["0.0200 s", "175 ms"]
    assert [goal.met for goal in report.goals({"scraping": found})] == [True, True]
    assert [goal.met for goal in scraping.goals({**found, "cpu_of_a_scrape": 0.45})] == [False, True]
