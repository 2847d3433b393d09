"""Some hundreds of steps of the model; `python -m tests.model` carries out as many as one likes."""

from __future__ import annotations

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import Fleet
from tests.model.run import how


@pytest.mark.timeout(400)  # what it finds is made shorter before it is told
def test_whatever_fails_and_whoever_asks_each_jail_has_one_owner_and_no_write_is_lost_untold() -> None:
    run_state_machine_as_test(Fleet, settings=how(examples=25, length=30, derandomize=True))
