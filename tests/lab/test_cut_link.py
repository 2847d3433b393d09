"""A network that goes away in the middle of a migration, on OpenZFS, which has resume tokens."""

from __future__ import annotations

import pytest

from tests.demo.fleet import Result
from tests.lab.campaign import Campaign

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]
_DOWN = 25.0  # seconds: longer than the peers' keepalive, so that both ends notice


def test_a_migration_whose_link_is_cut_for_a_while_goes_on_or_leaves_all_as_it_was(campaign: Campaign) -> None:
    answer = campaign.cut_link(_DOWN)
    assert answer.result in {Result.OK, Result.FAILED}, answer.complaint
