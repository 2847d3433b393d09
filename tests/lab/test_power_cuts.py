"""Power cuts at random moments of everything that is done to a jail; `tests.lab.campaign` says what survival is."""

from __future__ import annotations

import pytest

from tests.lab.campaign import KINDS, Campaign
from tests.lab.conftest import CHOSEN, CUTS

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """As many cuts as asked for, shared out among the generations of ZFS and the kinds of acts."""
    if "kind" in metafunc.fixturenames:
        each = -(-CUTS // len(CHOSEN))
        metafunc.parametrize("kind", [KINDS[n % len(KINDS)] for n in range(each)], ids=[f"cut{n}" for n in range(each)])


def test_a_power_cut_at_a_random_moment_leaves_one_owner_that_serves_and_nothing_lost_or_left_over(
    campaign: Campaign, kind: str
) -> None:
    campaign.cut(kind)
