"""An export of a jail on zfs-fuse is imported on the kernel's OpenZFS, and comes back from there as tar."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.fleet import SOURCE_HOST, TARGET_HOST, Answer, Result, Who
from tests.e2e import trees
from tests.e2e.conftest import furnish
from tests.e2e.node import Node, hosted
from tests.e2e.test_copies import FILL, LOOK, NAME, bring, export, look
from tests.lab.conftest import CHOSEN
from tests.lab.fleet import LabFleet, lab_fleet
from tests.lab.image import image

pytestmark = [pytest.mark.lab, pytest.mark.timeout(2400)]
_OTHER = "no machine-id\n"  # what an import of another identity says besides


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Node]:
    """An embedded host on zfs-fuse with a jail."""
    with hosted(Node("source")) as node:
        furnish(node.api, tmp_path)
        volumes = "{db: {path: /var/lib/db, recordsize: 16K}}"
        node.api.create(NAME, trees.spec("tiny-1", "web/1", network="{mode: none}", volumes=volumes))
        node.api.sh(NAME, FILL)
        yield node


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[LabFleet]:
    """Two hosts on OpenZFS, with this machine's zstd: the image has its libraries, and not the program."""
    with lab_fleet(image(CHOSEN[0].name), tmp_path) as made:
        for machine in made.machines.values():
            machine.copy_in(_program(Path("/usr/bin/zstd")), "/usr/local/bin")
        yield made


def _program(path: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        info = tarfile.TarInfo(path.name)
        info.size, info.mode = path.stat().st_size, 0o755
        tar.addfile(info, io.BytesIO(path.read_bytes()))
    return packed.getvalue()


def _done(fleet: LabFleet, host: str, *words: str) -> Answer:
    answer = fleet.jailctl(Who.OPERATOR, host, "jail", *words)
    assert answer.result is Result.OK, answer
    return answer


def test_an_export_on_zfs_fuse_is_the_same_jail_on_openzfs_and_comes_back_by_tar(
    source: Node, fleet: LabFleet, tmp_path: Path
) -> None:
    seen = look(source, NAME)
    (tmp_path / "export").write_bytes(export(source, with_layers=True))
    _done(fleet, SOURCE_HOST, "import", NAME, str(tmp_path / "export"))
    assert _done(fleet, SOURCE_HOST, "exec", NAME, "--", "/bin/sh", "-c", LOOK).output == seen + _OTHER

    context = f"{Who.OPERATOR}@{SOURCE_HOST}"
    _done(fleet, TARGET_HOST, "pull", NAME, "--from", context, "--as", "pulled")
    assert _done(fleet, TARGET_HOST, "exec", "pulled", "--", "/bin/sh", "-c", LOOK).output == seen + _OTHER

    _done(fleet, TARGET_HOST, "export", "pulled", str(tmp_path / "portable"), "--portable")
    bring(source, (tmp_path / "portable").read_bytes(), "back")
    assert look(source, "back") == seen + _OTHER
