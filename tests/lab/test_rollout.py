"""The demo's rollout on kernel OpenZFS, over fewer jails: its host loses power in the middle of a wave."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.demo.screen import Screen
from tests.demo.slow_release import SlowRelease
from tests.demo.telling import Telling
from tests.lab.conftest import CHOSEN, version_of
from tests.lab.fleet import SETTING, lab_fleet
from tests.lab.image import image
from tests.lab.report import Found

pytestmark = [pytest.mark.lab, pytest.mark.timeout(2400)]
_JAILS = 6


def test_a_rollout_whose_host_loses_power_in_mid_wave_does_what_its_plan_said_to_the_jail(
    tmp_path: Path, found: Found
) -> None:
    with lab_fleet(image(CHOSEN[0].name), tmp_path) as fleet:
        found.versions[CHOSEN[0].zfs] = version_of(next(iter(fleet.machines.values())))
        telling = Telling(fleet, Screen(), SETTING.patience)
        telling.tell(SlowRelease(telling, tmp_path, _JAILS, SETTING.readiness_deadline).chapters)
    found.rollout = telling.report.document()["rollout"]
    assert [step.right for step in telling.report.steps] == [True] * 4
    assert len(found.rollout) == 5  # the canary, two waves, the conflict, the sum
