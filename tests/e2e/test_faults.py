"""A few points of the fault matrix, each run other ones. `make faults` strikes at all of them."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import LINUX_HOST
from tests.demo.hosts import CHECKOUT
from tests.hosts.points import every

pytestmark = [pytest.mark.real(*LINUX_HOST), pytest.mark.timeout(600)]
POINTS = max(2, 6 // every())


def test_a_fault_at_any_step_of_a_migration_leaves_one_owner_that_serves_and_nothing_lost(tmp_path: Path) -> None:
    output = tmp_path / "faults.json"
    seed = random.randrange(1 << 16)  # noqa: S311 -- pytest's own, said in its first lines
    argv = [sys.executable, "-m", "tests.faults", "--points", str(POINTS), "--seed", str(seed), "--output", str(output)]
    done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-6000:]
    found = json.loads(output.read_text())
    assert found["survived"] == found["points"] > 0
    assert found["lost"] == found["double_owners"] == found["no_owner"] == 0
