"""Two machines: power, network, files."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import Iterator

import pytest

from tests.lab.image import SUITES, image
from tests.lab.machine import VDEV, Machine, MachineError, running_pair

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machine, Machine]]:
    with running_pair(image(SUITES[0].name), tmp_path_factory.mktemp("pair")) as machines:
        yield machines


def reaches(machine: Machine, address: str) -> bool:
    return machine.run("busybox", "ping", "-c", "1", "-W", "2", address).status == 0


def test_a_cut_link_parts_the_machines_until_it_is_restored_and_the_wire_needs_no_link(
    pair: tuple[Machine, Machine],
) -> None:
    one, two = pair
    assert reaches(one, "10.9.0.2")
    two.cut_link()
    assert not reaches(one, "10.9.0.2")
    two.restore_link()
    assert reaches(one, "10.9.0.2")


def test_what_is_copied_in_comes_out_the_same(pair: tuple[Machine, Machine]) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo("a/b")
        entry.size = 3
        tar.addfile(entry, io.BytesIO(b"abc"))
    pair[0].copy_in(packed.getvalue(), "/tmp/in")
    with tarfile.open(fileobj=io.BytesIO(pair[0].copy_out("/tmp/in"))) as tar:
        assert (member := tar.extractfile("./a/b")) is not None
        assert member.read() == b"abc"


def test_a_power_cut_ends_what_runs_keeps_what_was_synced_and_makes_the_root_as_new(
    pair: tuple[Machine, Machine],
) -> None:
    _, two = pair
    two.must("zpool", "create", "-o", "cachefile=none", "tank", VDEV)
    two.must("dd", "of=/tank/kept", "conv=fsync", "status=none", stdin=b"kept")
    two.must("touch", "/root/gone")

    async def cut_while_it_runs() -> None:
        sleeping = asyncio.create_task(two.processes.run(["sleep", "600"], timeout=600))
        await two.processes.run(["true"])
        await asyncio.to_thread(two.cut_power)
        with pytest.raises(ConnectionResetError):
            await sleeping

    asyncio.run(cut_while_it_runs())
    with pytest.raises(MachineError, match="no power"):
        two.run("true")
    two.start()
    assert two.must("cat", "/tank/kept") == b"kept"
    assert two.run("test", "-e", "/root/gone").status == 1
    assert reaches(pair[0], "10.9.0.2")
