"""The demo's parts for FreeBSD, as far as they can be tried elsewhere: what is run, packed, looked for and refused."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from jaild.adapters.zfs.embedded import pool_name_for
from tests.demo import freebsd_assets, freebsd_machine
from tests.demo.assets import DEBIAN
from tests.demo.freebsd_assets import FREEBSD, AssetsError
from tests.demo.programs import ProgramError, run


class Told:
    """Programs that say what a test told them, and real tar."""

    def __init__(self, **said: str) -> None:
        self.said = said
        self.ran: list[list[str]] = []

    def run(self, argv: Sequence[str], *, cwd: Path | None = None, timeout: float = 900.0) -> str:
        self.ran.append([*argv])
        line = " ".join(argv)
        for beginning, output in self.said.items():
            if line.replace("/", "_").replace("-", "_").replace(" ", "_").find(beginning) >= 0:
                return output
        return run(argv, cwd=cwd, timeout=timeout)


def base(folder: Path, version: str) -> Path:
    tree = folder / version / "tree"
    (tree / "bin").mkdir(parents=True)
    (tree / "bin/freebsd-version").write_text(f'#!/bin/sh\nUSERLAND_VERSION="{version}"\n')
    archive = folder / version / "base.txz"
    run(["bsdtar", "--create", "--xz", "--file", str(archive), "--directory", str(tree), "."])
    return archive


@pytest.fixture
def local(tmp_path: Path) -> Path:
    for name in ("bin/redis-server", "bin/redis-cli", "lib/libssl.so.17"):
        (tmp_path / "local" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "local" / name).write_bytes(b"a program")
    return tmp_path / "local"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, local: Path) -> Told:
    libraries = f"libssl.so.17 {local}/lib/libssl.so.17\nlibc.so.7 /lib/libc.so.7\n"
    told = Told(ldd_=libraries, redis_server___version="Redis server v=7.2.4 sha=00000000:0 malloc=libc bits=64\n")
    for module in (freebsd_assets, freebsd_machine):
        monkeypatch.setattr(module, "run", told.run)
    return told


@pytest.mark.usefixtures("told")
def test_bases_are_told_apart_by_their_own_words_the_older_one_first(tmp_path: Path, local: Path) -> None:
    newer, older = base(tmp_path, "13.10-RELEASE"), base(tmp_path, "13.2-RELEASE-p1")
    newer.with_name("MANIFEST").write_text("base.txz\t...\n")
    found = freebsd_assets.prepare([newer, older], tmp_path / "run", local)
    assert (found.old_base.name, found.old_base.version) == ("freebsd-13.2-release-p1", "13.2-RELEASE-p1")
    assert found.old_base.manifest is None
    assert (found.new_base.archive, found.new_base.manifest) == (newer, newer.with_name("MANIFEST"))


@pytest.mark.usefixtures("told")
def test_releases_hold_what_the_machines_packages_brought_and_nothing_of_its_base(tmp_path: Path, local: Path) -> None:
    bases = [base(tmp_path, "13.2-RELEASE"), base(tmp_path, "13.3-RELEASE")]
    found = freebsd_assets.prepare(bases, tmp_path / "run", local)
    listed = set(run(["bsdtar", "--list", "--file", str(found.tuned.archive)]).split())
    assert {"./bin/redis-server", "./bin/redis-cli", "./lib/libssl.so.17", "./etc/redis/tuning.conf"} <= listed
    assert "./lib/libc.so.7" not in listed
    assert (found.plain.version, found.tuned.version) == ("7.2.4", "7.2.4-tuned")
    plain, newer = (yaml.safe_load(release.manifest.read_text()) for release in (found.plain, found.newer))
    assert plain["abi"].startswith("FreeBSD:13:")
    assert newer["abi"].startswith("FreeBSD:14:")
    assert found.refusals == {"ABI_MISMATCH"}


@pytest.mark.usefixtures("told")
def test_what_the_story_cannot_be_told_with_is_said_before_anything_is_made(tmp_path: Path, local: Path) -> None:
    one = base(tmp_path, "13.2-RELEASE")
    for archives, problem in (([one], "two bases"), ([one, base(tmp_path, "14.1-RELEASE")], "one major version")):
        with pytest.raises(AssetsError, match=problem):
            freebsd_assets.prepare(archives, tmp_path / "run", local)
    (local / "bin/redis-cli").unlink()
    with pytest.raises(AssetsError, match="pkg install redis"):
        freebsd_assets.prepare([one, base(tmp_path, "13.3-RELEASE")], tmp_path / "run", local)


def test_a_base_is_seen_from_inside_on_both_systems() -> None:
    assert FREEBSD.read("13.2-RELEASE-p1\n") == "13.2-RELEASE-p1"
    assert DEBIAN.read('PRETTY_NAME="Debian GNU/Linux 12"\nVERSION_ID="12"\n') == "12"
    assert DEBIAN.read("nothing") == ""


def test_a_machine_has_a_bridge_with_the_hosts_addresses_and_loses_it_whatever_happens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = Told(ifconfig_bridge_create="bridge7\n", ifconfig="")
    monkeypatch.setattr(freebsd_machine, "run", told.run)

    def interrupted() -> None:
        with freebsd_machine.one_machine() as machines:
            assert (machines.bridge, machines.alpha.address) == ("bridge7", "10.77.0.11")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [" ".join(argv) for argv in told.ran] == [
        "ifconfig bridge create",
        "ifconfig bridge7 inet 10.77.0.1/24 up",
        "ifconfig bridge7 inet 10.77.0.11/32 alias",
        "ifconfig bridge7 inet 10.77.0.12/32 alias",
        "ifconfig bridge7 inet 10.77.0.2/32 alias",
        "ifconfig bridge7 destroy",
    ]


def test_a_runs_folder_is_removed_after_its_pools_and_never_through_a_mount(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = Told(__destroy="", mount__p="")
    monkeypatch.setattr(freebsd_machine, "run", told.run)
    with freebsd_machine.workspace(tmp_path) as folder:
        (folder / "alpha/vdevs").mkdir(parents=True)
    assert not folder.exists()
    assert told.ran[0][-2:] == [str(folder / "alpha"), "--destroy"]
    with freebsd_machine.workspace(tmp_path) as folder:
        told.said["mount__p"] = f"tank/x {folder}/alpha/zfs zfs rw 0 0\n"
    assert folder.exists()


def test_whatever_carries_a_runs_name_is_told_as_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "jdemo-abc"
    told = Told(mount__p="", jls="", zpool="zroot\n", ps__ax="  PID COMMAND\n    1 /sbin/init\n")
    monkeypatch.setattr(freebsd_machine, "run", told.run)
    assert freebsd_machine.left(folder) == []
    told.said = {
        "mount__p": f"/x {folder}/alpha/run/trees/kv/1 nullfs ro 0 0\n",
        "jls": f"/\n{folder}/alpha/run/trees/kv/1\n",
        "zpool": f"zroot\n{pool_name_for(folder / 'alpha')}\n",
        "ps__ax": f"  PID COMMAND\n 4711 python -m jaild --embedded {folder}/alpha\n",
    }
    folder.mkdir()
    assert [line.split()[0] for line in freebsd_machine.left(folder)] == [
        "mount",
        "jail",
        "pool",
        "process",
        str(folder),
    ]


def test_a_daemon_is_stopped_by_its_machine_and_one_that_does_not_heed_it_is_killed() -> None:
    machine = freebsd_machine.LocalMachine(name="alpha", address="10.77.0.11", patience=0.3)
    heeding = machine.start(["sleep", "4711"])
    assert machine.stop(heeding) == -15
    deaf = machine.start(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"], stdout=subprocess.PIPE)
    assert deaf.stdout is not None
    assert deaf.stdout.readline() == "ready\n"
    assert machine.stop(deaf) == -9
    deaf.stdout.close()


def test_daemons_that_nobody_stopped_end_with_their_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when a daemon never answered, and the story did not begin."""
    monkeypatch.setattr(freebsd_machine, "run", Told(ifconfig="").run)
    with freebsd_machine.one_machine() as machines:
        forgotten = machines.alpha.start(["sleep", "4711"])
        stopped = machines.beta.start(["sleep", "4711"])
        assert machines.beta.stop(stopped) == -15
    assert forgotten.poll() == -9


def test_a_program_that_fails_is_told_with_its_words() -> None:
    with pytest.raises(ProgramError, match="status 3"):
        freebsd_machine.LocalMachine(name="a", address="").run(["sh", "-c", "exit 3"])
