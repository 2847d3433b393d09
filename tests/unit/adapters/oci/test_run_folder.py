"""A jail's /run as its container has it; its folders are made on a real one: tests/contract/test_runtime_oci.py."""

from __future__ import annotations

from pathlib import Path

from jaild.adapters.oci import run_folder
from jaild.model.jails.mounts import Mount, MountKind

TREE = (
    Mount(kind=MountKind.LAYER, target="/", source="/base", readonly=True),
    Mount(kind=MountKind.LAYER, target="/srv", source="/pool/srv"),
    Mount(kind=MountKind.LAYER, target="/run/app/store", source="/pool/store"),
)


def test_it_is_a_tmpfs_over_which_the_volumes_below_it_are_mounted_again() -> None:
    over, *volumes = run_folder.mounts(TREE)
    assert (over["destination"], over["type"]) == ("/run", "tmpfs")
    assert over["options"] == ["nosuid", "nodev", "mode=755"]
    assert [(each["destination"], each["source"], each["options"]) for each in volumes] == [
        ("/run/app/store", "/pool/store", ["bind", "nodev", "rw"])
    ]


def test_a_base_without_a_folder_for_it_has_none(tmp_path: Path) -> None:
    assert not run_folder.is_there(tmp_path)
    (tmp_path / "run").symlink_to("var/run")
    assert not run_folder.is_there(tmp_path)
    (tmp_path / "run").unlink()
    (tmp_path / "run").mkdir()
    assert run_folder.is_there(tmp_path)
