"""How long a jail is down when it moves, and when it is only restarted: numbers for build/lab.json, not judged."""

from __future__ import annotations

import pytest

from tests.lab.campaign import Campaign
from tests.lab.conftest import version_of
from tests.lab.report import Found

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]
_TIMES = 5


def test_a_migration_and_a_restart_are_measured_while_a_client_writes(campaign: Campaign, found: Found) -> None:
    version = version_of(campaign.machine)
    found.downtimes[version] = campaign.downtimes(_TIMES)
    assert all(len(seconds) == _TIMES for seconds in found.downtimes[version].values())
