from pathlib import Path

import pytest

from jaild.adapters.system.lock import only_daemon
from jaild.model.errors import FailedPreconditionError


def test_a_second_daemon_on_one_state_folder_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with only_daemon(lock), pytest.raises(FailedPreconditionError) as refusal, only_daemon(lock):
        pass
    assert refusal.value.reason == "ALREADY_RUNNING"
    assert refusal.value.detail["pid"].isdigit()


def test_the_lock_is_free_again_when_its_holder_is_gone(tmp_path: Path) -> None:
    with only_daemon(tmp_path / "lock"):
        pass
    with only_daemon(tmp_path / "lock"):
        assert (tmp_path / "lock").read_text().strip().isdigit()
