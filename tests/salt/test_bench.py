"""The bench itself: Salt runs, and finds what jaild brings."""

from __future__ import annotations

import pytest

from tests.conftest import LINUX_HOST
from tests.salt.bench import Bench

pytestmark = pytest.mark.real(*LINUX_HOST)


def test_a_minion_answers(bench: Bench) -> None:
    assert bench.ask("solo", "test.ping") == {"solo": True}
