"""The tables of README and docs are made of the numbers that the demo, the benchmark and the others wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.demo import readme

STEP = {"name": "deploy", "result": "rolled_back", "seconds": 6.923, "downtime_daemon_s": 5.348, "downtime_client_s": 0}
DEMO = {"steps": [STEP], "acknowledged_writes": 1200, "lost_writes": 0}
TEXT = "before\n<!-- demo-table -->\nold\n<!-- /demo-table -->\nafter\n"


def test_the_text_between_the_markers_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(TEXT)
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "demo.json").write_text(json.dumps(DEMO))
    assert readme.write(tmp_path) == {"demo.json": "README.md"}
    first = (tmp_path / "README.md").read_text()
    assert first.startswith("before\n<!-- demo-table -->\n| step |")
    assert first.endswith("1200 acknowledged writes, 0 lost.\n<!-- /demo-table -->\nafter\n")
    assert "| deploy | rolled back | 6.9 | 5.348 |  |" in first
    assert "old" not in first
    readme.write(tmp_path)
    assert (tmp_path / "README.md").read_text() == first


@pytest.mark.parametrize("text", ["none", TEXT + TEXT, "<!-- /demo-table --><!-- demo-table -->"])
def test_markers_that_are_missing_doubled_or_turned_around_are_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="once and in this order"):
        readme.fill(text, "demo-table", "new")


def test_the_demos_table_has_its_rollout_below() -> None:
    promise = {"jails": "wave 1", "planned": "13 to tiny-2", "happened": "13 done, on tiny-2"}
    assert readme.demo_table(DEMO | {"rollout": [promise]}).endswith("| wave 1 | 13 to tiny-2 | 13 done, on tiny-2 |")


def test_without_a_result_the_pages_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(TEXT)
    assert readme.write(tmp_path) == {}
    assert (tmp_path / "README.md").read_text() == TEXT


def test_two_tables_on_one_page_are_both_written(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "faults.md"
    page.write_text(TEXT.replace("demo-", "faults-") + TEXT.replace("demo-", "soak-"))
    (tmp_path / "build").mkdir()
    faults = {"points": 9, "survived": 8, "lost": 0, "double_owners": 1, "no_owner": 0}
    (tmp_path / "build" / "faults.json").write_text(json.dumps(faults))
    soak = {"migrations": 100, "lost_writes": 0, "orphans": 4, "double_owners": 0}
    (tmp_path / "build" / "soak.json").write_text(json.dumps(soak))
    assert readme.write(tmp_path) == {"faults.json": "docs/faults.md", "soak.json": "docs/faults.md"}
    assert "| 9 | 8 | 0 | 1 | 0 |" in page.read_text()
    assert "| 100 | 0 | 4 | 0 |" in page.read_text()
    assert "old" not in page.read_text()


@pytest.mark.parametrize("name", readme.TABLES)
def test_the_page_of_a_table_has_a_place_for_it_and_no_other_page_has(name: str) -> None:
    home = readme.ROOT / readme.TABLES[name].page
    assert readme.fill(home.read_text(), f"{name}-table", "x") != home.read_text()
    pages = [readme.ROOT / "README.md", *(readme.ROOT / "docs").rglob("*.md")]
    assert [page for page in pages if f"<!-- {name}-table -->" in page.read_text()] == [home]


def test_the_lab_says_how_many_cases_passed_on_each_zfs_and_what_became_of_the_cuts() -> None:
    moves = [{**STEP, "name": "migrate"}, {**STEP, "name": "migrate-back", "downtime_daemon_s": 2}]
    document = {
        "contract": {"2.3.9-1": 70, "2.1.11-1": 69},
        "cuts": 50,
        "survived": 49,
        "lost_writes": 3,
        "orphans": 2,
        "story": {**DEMO, "steps": [STEP, *moves]},
        "downtimes": {
            "2.3.9-1": {"migrate": [5.0, 9.0, 6.0], "restart": [2.0, 3.5, 3.0], "migrate with 8 volumes": [6.6]}
        },
    }
    table = readme.lab_table(document)
    assert "| 69 on 2.1.11-1, 70 on 2.3.9-1 |" in table
    assert "| power cuts | 50, 49 survived |" in table
    assert "| 3, 2 |" in table
    assert "| 5.3 s, 2.0 s |" in table
    assert "| 3.0 s (medians of 3: 6.0 and 3.0 s) |" in table
    assert "| 1.10 (median of 1: 6.6 s) |" in table


def test_faults_and_soak_are_a_row_each() -> None:
    faults = {"points": 9, "survived": 8, "lost": 0, "double_owners": 1, "no_owner": 0}
    assert readme.faults_table(faults).endswith("| 9 | 8 | 0 | 1 | 0 |")
    soak = {"migrations": 100, "lost_writes": 0, "orphans": 4, "double_owners": 0}
    assert readme.soak_table(soak).endswith("| 100 | 0 | 4 | 0 |")
