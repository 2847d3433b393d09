"""An encrypted jail on the kernel's OpenZFS: made, booted, replicated without its key, moved with it, and back."""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.demo.fleet import SOURCE_HOST, TARGET_HOST, Answer, Result, Who
from tests.e2e import trees
from tests.lab.agent import CONFIG
from tests.lab.fleet import KEY, LabFleet, lab_fleet
from tests.lab.image import Suite, image
from tests.patience import patient

pytestmark = [pytest.mark.lab, pytest.mark.timeout(2400)]
_NAME, _DATA, _DB = "vault", "tank/jaild/jails/vault/data", "tank/jaild/jails/vault/db"
_WROTE = "written by the jail\n"
_ROUND = 5.0  # seconds


@pytest.fixture
def fleet(suite: Suite, tmp_path: Path) -> Iterator[LabFleet]:
    """Two hosts, of which the first has the key."""
    with lab_fleet(image(suite.name), tmp_path) as made:
        _give_key(made, SOURCE_HOST)
        yield made


def _give_key(fleet: LabFleet, host: str) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        info = tarfile.TarInfo(KEY.name)
        info.size, info.mode = len(content := b"correct horse battery\n"), 0o600
        tar.addfile(info, io.BytesIO(content))
    fleet.machines[host].copy_in(packed.getvalue(), str(CONFIG.parent))


def _ask(fleet: LabFleet, host: str, *words: str) -> Answer:
    return fleet.jailctl(Who.OPERATOR, host, *words)


def _done(fleet: LabFleet, host: str, *words: str) -> Answer:
    answer = _ask(fleet, host, *words)
    assert answer.result is Result.OK, (answer, fleet.log(host))
    return answer


def _refused(fleet: LabFleet, host: str, *words: str) -> str:
    answer = _ask(fleet, host, *words)
    assert answer.result is not Result.OK, answer
    return answer.output + answer.complaint


def _keys(fleet: LabFleet, host: str) -> dict[str, str]:
    argv = ("zfs", "get", "-rHp", "-t", "filesystem", "-o", "name,value", "keystatus", "tank/jaild")
    lines = (line.split("\t") for line in fleet.machines[host].must(*argv).decode().splitlines())
    return {name: value for name, value in lines if value != "-"}


def _written(fleet: LabFleet, host: str) -> str:
    said = _done(fleet, host, "jail", "exec", _NAME, "--", "/bin/sh", "-c", "cat /var/mark /var/lib/db/mark")
    return said.output


def _until(what: Callable[[], bool], words: str) -> None:
    end = time.monotonic() + patient(180.0)
    while not what():
        assert time.monotonic() < end, words
        time.sleep(0.5)


def test_an_encrypted_jail_starts_with_its_key_and_moves_only_where_that_is(fleet: LabFleet, tmp_path: Path) -> None:
    _done(fleet, SOURCE_HOST, "base", "import", "tiny-1", str(trees.base(tmp_path / "tiny-1.tgz")))
    (tmp_path / "manifest.yaml").write_text(json.dumps({"command": trees.COMMAND}))
    release = str(trees.release(tmp_path / "web-1.tgz", "1"))
    _done(fleet, SOURCE_HOST, "app", "push", "web/1", release, "--manifest", str(tmp_path / "manifest.yaml"))
    spec = trees.spec(
        "tiny-1",
        "web/1",
        network="{mode: none}",
        volumes="{db: {path: /var/lib/db}}",
        encryption="{key: customers}",
        standby=f"{{peers: [{TARGET_HOST}], interval: {_ROUND:g}}}",
    )
    (tmp_path / "spec.yaml").write_text(spec)
    _done(fleet, SOURCE_HOST, "jail", "create", _NAME, "-f", str(tmp_path / "spec.yaml"))
    write = f"printf '{_WROTE[:-1]}\\n' | tee /var/mark > /var/lib/db/mark"
    _done(fleet, SOURCE_HOST, "jail", "exec", _NAME, "--", "/bin/sh", "-c", write)
    assert _keys(fleet, SOURCE_HOST) == {_DATA: "available", _DB: "available"}

    _until(lambda: _keys(fleet, TARGET_HOST) == {_DATA: "unavailable", _DB: "unavailable"}, "no replica came")

    fleet.crash(SOURCE_HOST)
    _until(lambda: _ask(fleet, SOURCE_HOST, "jail", "show", _NAME).document.get("state") == "running", "it is down")
    assert _written(fleet, SOURCE_HOST) == _WROTE * 2

    assert "KEY_UNREADABLE" in _refused(fleet, SOURCE_HOST, "jail", "migrate", _NAME, TARGET_HOST)
    assert _written(fleet, SOURCE_HOST) == _WROTE * 2

    _give_key(fleet, TARGET_HOST)
    _done(fleet, SOURCE_HOST, "jail", "migrate", _NAME, TARGET_HOST, "--proceed")
    assert _written(fleet, TARGET_HOST) == _WROTE * 2
    assert _keys(fleet, TARGET_HOST) == {_DATA: "available", _DB: "available"}

    back = ("jail", "migrate", _NAME, SOURCE_HOST, "--proceed")
    assert "ENCRYPTED_COPY" in _refused(fleet, TARGET_HOST, *back)
    [moved] = [
        each
        for each in _done(fleet, SOURCE_HOST, "migration", "ls").document["migrations"]
        if each["target"] == TARGET_HOST
    ]
    _done(fleet, SOURCE_HOST, "migration", "finalize", str(moved["name"]).rpartition("/")[2])
    _done(fleet, TARGET_HOST, *back)
    assert _written(fleet, SOURCE_HOST) == _WROTE * 2
    for host in (SOURCE_HOST, TARGET_HOST):
        fleet.machines[host].must("zpool", "scrub", "-w", "tank")
        assert b"errors: No known data errors" in fleet.machines[host].must("zpool", "status", "tank")
