"""The story of `make demo` between two machines on kernel OpenZFS, Redis's client writing throughout."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.demo import assets
from tests.demo.screen import Screen
from tests.demo.story import Story
from tests.lab.conftest import CHOSEN, version_of
from tests.lab.fleet import SETTING, lab_fleet
from tests.lab.image import image
from tests.lab.report import Found

pytestmark = [pytest.mark.lab, pytest.mark.timeout(2400)]


def test_the_story_of_the_demo_ends_well_on_kernel_openzfs_and_no_write_is_lost(tmp_path: Path, found: Found) -> None:
    prepared = assets.prepare()
    with lab_fleet(image(CHOSEN[0].name), tmp_path) as fleet:
        found.versions[CHOSEN[0].zfs] = version_of(next(iter(fleet.machines.values())))
        story = Story(fleet, prepared, Screen(), tmp_path, SETTING)
        try:
            story.tell()
        finally:
            found.story = story.report.document()
    assert story.report.problems(len(story.chapters)) == []
    assert story.report.lost_writes == 0
    assert story.report.acknowledged_writes > 100
