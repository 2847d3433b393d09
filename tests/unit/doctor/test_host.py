"""What any host needs: folders, socket, clock, programs, peers; and what Linux needs besides."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from jaild.adapters.oci import mounts
from jaild.adapters.peers import GrpcPeers
from jaild.doctor.checks import host, linux
from jaild.doctor.checks.host import Clock, PeerAnswer, Place
from jaild.doctor.checks.linux import LinuxFacts
from jaild.doctor.checks.report import Check
from jaild.doctor.facts import host as gathering
from jaild.doctor.facts import linux as linux_gathering
from jaild.doctor.facts import peers

STATE = Place(setting="state", path="/var/db/jaild", kind="folder", mode=0o700, free=9 << 30)
SOCKET = Place(setting="socket", path="/var/run/jaild/jaild.sock", kind="socket", mode=0o600)
LINUX = LinuxFacts(
    kernel="6.1.0",
    layout="unified",
    controllers=frozenset({"cpu", "memory", "pids"}),
    runtimes=(("runc", "1.1.5"),),
    namespaces=frozenset(linux.NAMESPACES),
    bridge="jaild0",
)


def told(*checks: Check) -> list[str]:
    problems = [problem for check in checks for problem in check.problems]
    return [f"{problem.severity} {problem.code}" for problem in problems]


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (STATE, []),
        (replace(STATE, kind=""), []),  # the daemon makes it
        (replace(STATE, kind="other"), ["error PLACE_UNUSABLE"]),
        (replace(STATE, writable=False), ["error PLACE_UNUSABLE"]),
        (replace(STATE, uid=1001), ["error PLACE_EXPOSED"]),
        (replace(STATE, mode=0o777), ["error PLACE_EXPOSED"]),
        (replace(STATE, free=(1 << 30) - 1), ["warning SPACE_LOW"]),
        (SOCKET, []),
        (replace(SOCKET, mode=0o666), ["error PLACE_EXPOSED"]),
        (replace(SOCKET, kind="folder"), ["error PLACE_UNUSABLE"]),
        (replace(SOCKET, path="/" + "x" * 103), ["error SOCKET_PATH_TOO_LONG"]),
        (replace(SOCKET, path="/" + "x" * 102), []),
    ],
)
def test_what_is_wrong_with_a_path(place: Place, expected: list[str]) -> None:
    assert told(host.places([place])) == expected


def test_root_a_readable_configuration_and_all_programs_are_needed() -> None:
    assert told(host.root(0), host.configuration("/x", ""), host.programs([], "")) == []
    assert told(host.root(1001)) == ["error NOT_ROOT"]
    assert told(host.configuration("/x", "/x: no such setting")) == ["error INVALID_CONFIG"]
    assert told(host.programs(["jexec"], "base")) == ["error PROGRAM_MISSING"]


def test_a_clock_before_the_newest_known_time_is_wrong_and_one_that_nobody_keeps_may_become_so() -> None:
    good = Clock(now=1_800_000_000, known=1_700_000_000, keepers=("ntpd",))
    assert told(host.clock(good)) == []
    assert told(host.clock(replace(good, now=1_600_000_000))) == ["error CLOCK_WRONG"]
    assert told(host.clock(replace(good, keepers=()))) == ["warning CLOCK_UNSYNCHRONISED"]


def test_a_peer_is_an_error_if_it_does_not_answer_or_answers_to_another_name() -> None:
    good = PeerAnswer(name="beta", address="b:1", called="beta", said="freebsd amd64")
    assert told(*host.peers([good])) == []
    assert told(*host.peers([replace(good, called="gamma")])) == ["error PEER_NAME"]
    silent = replace(good, reason="PEER_UNREACHABLE", message="no", hint="see")
    assert told(*host.peers([silent, good])) == ["error PEER_UNREACHABLE"]
    assert told(*host.peers([silent, good], is_new=True)) == ["warning PEER_UNREACHABLE"]  # the start needs none
    assert told(*host.peers([replace(silent, reason="TLS_FILE_UNREADABLE")], is_new=True)) == [
        "error TLS_FILE_UNREADABLE"
    ]
    assert told(*host.peers([])) == ["note NO_PEERS"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"runtimes": ()}, ["error RUNTIME_MISSING"]),
        ({"runtimes": (("crun", "1.8"),)}, []),
        ({"runtimes": (("crun", "1.8"),), "layout": "hybrid"}, ["error RUNTIME_REFUSED"]),
        ({"layout": "hybrid"}, []),  # runc takes all layouts
        ({"layout": "none", "controllers": frozenset()}, ["error CGROUP_MISSING"]),
        ({"controllers": frozenset({"cpu", "pids"})}, ["warning CGROUP_CONTROLLER_MISSING"]),
        ({"namespaces": frozenset({"mnt", "pid"})}, ["error NAMESPACE_MISSING"]),
        ({"kernel": "5.10.0-32-amd64"}, ["error LINUX_TOO_OLD"]),
        ({"kernel": "5.12.0"}, []),
        ({"kernel": "4.19.0"}, ["error LINUX_TOO_OLD"]),
        ({"bridges": False}, ["error BRIDGE_MISSING"]),
        ({"bridges": False, "bridge": ""}, []),
        ({"fuse": False}, ["error FUSE_MISSING"]),
        ({"fuse": False, "kernel_zfs": True}, []),
    ],
)
def test_what_is_wrong_with_a_linux_host(changes: dict[str, object], expected: list[str]) -> None:
    facts = replace(LINUX, **changes)  # type: ignore[arg-type]
    assert told(*(check(facts) for check in linux.CHECKS.values())) == expected


@pytest.mark.parametrize(
    ("lines", "layout"),
    [
        (["30 1 0:2 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw"], "unified"),
        (["30 1 0:2 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu"], "legacy"),
        (
            [
                "30 1 0:2 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
                "31 1 0:3 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
            ],
            "hybrid",
        ),
        (
            [
                "30 1 0:2 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd",
                "31 1 0:3 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw",
            ],
            "unified",
        ),
        (["30 1 0:2 / / rw - ext4 /dev/sda rw"], "none"),
    ],
)
def test_the_layout_of_control_groups_is_told_by_what_is_mounted(lines: list[str], layout: str) -> None:
    assert linux_gathering.layout(mounts.parse("\n".join(lines))) == layout


def test_a_path_is_found_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "file").write_text("")
    state, file, absent = gathering.places(
        {"state": tmp_path / "state", "run": tmp_path / "file", "logs": tmp_path / "a" / "b"}
    )
    assert (state.kind, state.mode, state.uid, state.writable) == ("folder", 0o700, os.getuid(), True)
    assert (file.kind, absent.kind) == ("other", "")
    assert min(state.free, absent.free) > 0


async def test_a_socket_answers_only_while_somebody_listens(tmp_path: Path) -> None:
    path = tmp_path / "s"
    assert not await gathering.answers(path)
    server = await asyncio.start_unix_server(lambda _reader, writer: writer.close(), path)
    async with server:
        assert await gathering.answers(path)
    assert not await gathering.answers(path)


async def test_a_peer_without_a_readable_certificate_is_told_and_no_other_is_lost(tmp_path: Path) -> None:
    from jaild.adapters.peers import PeerAddress
    from jaild.rpc.tls import TlsFiles

    files = TlsFiles(certificate=tmp_path / "c", key=tmp_path / "k", authority=tmp_path / "a")
    book = {name: PeerAddress(address="192.0.2.1:1", tls=files) for name in ("beta", "gamma")}
    answers = await peers.greet(GrpcPeers(book), dict.fromkeys(book, "192.0.2.1:1"), "id", "alpha")
    assert [(each.name, each.reason) for each in answers] == [
        ("beta", "TLS_FILE_UNREADABLE"),
        ("gamma", "TLS_FILE_UNREADABLE"),
    ]


def test_programs_are_looked_for_where_jaild_starts_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "only-on-my-path"
    program.write_text("")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gathering.missing(["sh", program.name]) == [program.name]
