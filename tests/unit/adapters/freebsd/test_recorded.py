"""What is read of FreeBSD's programs, and how their errors are told apart, on what they really said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jaild.adapters.freebsd import (
    facts as freebsd_facts,
)
from jaild.adapters.freebsd import (
    kernel_commands,
    mount_commands,
)
from jaild.adapters.freebsd import (
    limits as freebsd_limits,
)
from jaild.adapters.freebsd import (
    mounts as freebsd_mounts,
)
from jaild.adapters.freebsd import (
    network as freebsd_network,
)
from jaild.adapters.freebsd.errors import explain
from jaild.adapters.freebsd.kernel import Jail
from jaild.model.jails.mounts import Mount, MountKind
from jaild.ports.runtime import Traffic
from tests.freebsd_recordings import recordings

ROOT = Path("/var/run/jaild/web/1/root")


def said(title: str, version: str = "13.2") -> str:
    return recordings(version)[title].text


# Of `mount -v` there is no recording yet: as prmount() of FreeBSD's sbin/mount/mount.c writes it, in 13 to 15.
TABLE = f"""\
/dev/vtbd0p3 on / (ufs, local, noatime, writes: sync 2 async 31, reads: sync 1 async 0, fsid 8fc5d1686a5ab5d1)
devfs on /dev (devfs)
tank on /tank (zfs, local, noatime, nfsv4acls, fsid 33ff0033de000000, vnodes: count 3 )
/tank/jaild/bases/13.2 on {ROOT} (nullfs, local, noatime, read-only, nfsv4acls, fsid 0bff002929000000)
tmpfs on {ROOT}/tmp (tmpfs, local, fsid 0cff008787000000)
devfs on {ROOT}/dev (devfs, fsid 0dff007171000000)
/tank/jaild/bases/13.2 on {ROOT.parent.parent}/10 (nullfs, local, read-only, fsid 0eff002929000000)
"""


def test_mounts_are_read_with_what_umount_takes_for_them() -> None:
    table = mount_commands.parse(TABLE)
    assert [(m.source, str(m.target), m.kind, m.fsid) for m in table[-4:-1]] == [
        ("/tank/jaild/bases/13.2", str(ROOT), "nullfs", "0bff002929000000"),
        ("tmpfs", f"{ROOT}/tmp", "tmpfs", "0cff008787000000"),
        ("devfs", f"{ROOT}/dev", "devfs", "0dff007171000000"),
    ]
    assert [(str(m.target), m.fsid) for m in table[:3]] == [
        ("/", "8fc5d1686a5ab5d1"),
        ("/dev", ""),
        ("/tank", "33ff0033de000000"),
    ]


def test_children_are_unmounted_before_their_parents_and_nothing_else_is() -> None:
    table = mount_commands.parse(TABLE)
    assert freebsd_mounts.below(ROOT, table) == [ROOT / "dev", ROOT / "tmp", ROOT]
    assert freebsd_mounts.below(ROOT.parent.parent / "2", table) == []


def test_a_mount_of_something_with_blanks_in_its_name_does_not_shift_what_follows() -> None:
    (line,) = mount_commands.parse("//guest@nas/my share on /mnt/nas (smbfs, noexec, fsid 01ff000505000000)\n")
    assert (line.source, line.target, line.kind) == ("//guest@nas/my share", Path("/mnt/nas"), "smbfs")


@pytest.mark.parametrize(
    ("title", "new"),
    [
        (
            "nullfs ro",
            freebsd_mounts.new(
                Mount(kind=MountKind.LAYER, source="/tank/jaild/bases/13.2", target="/", readonly=True), ROOT
            ),
        ),
        ("tmpfs", freebsd_mounts.new(Mount(kind=MountKind.TMPFS, target="/tmp", size=64 << 20), ROOT / "tmp")),
        ("devfs", freebsd_mounts.devfs(ROOT / "dev", 4)),
    ],
)
def test_mounts_are_the_commands_that_were_seen_to_work(title: str, new: freebsd_mounts.NewMount) -> None:
    recorded = recordings()[title]
    assert recorded.status == 0
    assert tuple(word.replace("67108864", "64m") for word in mount_commands.argv(new)) == recorded.argv


def test_jails_are_read_with_their_values_as_strings() -> None:
    assert kernel_commands.parse_jls(said("jls json columns").encode()) == [
        Jail(jid=2, name="c1", path=str(ROOT), dying=False),
        Jail(jid=3, name="c9", path=str(ROOT), dying=False),
    ]


def test_jails_are_read_with_their_values_as_numbers_and_booleans() -> None:
    text = b'{"jail-information": {"jail": [{"jid":7,"name":"web_1","path":"/x","dying":true}]}}'
    assert kernel_commands.parse_jls(text) == [Jail(jid=7, name="web_1", path="/x", dying=True)]


def test_no_jails_are_an_empty_list() -> None:
    assert kernel_commands.parse_jls(said("jls -d").encode()) == []
    assert kernel_commands.parse_jls(said("jls json none", "15.1").encode()) == []


def test_jails_are_read_as_15_1_lists_them() -> None:
    assert kernel_commands.parse_jls(said("jls json columns", "15.1").encode()) == [
        Jail(jid=40, name="web_4_3", path="/var/run/jaild/trees/web/4", dying=False),
        Jail(jid=41, name="rec_1", path="/", dying=False),
    ]


def test_processes_are_read_below_their_heading() -> None:
    assert kernel_commands.parse_ps("  PID COMMAND\n 1492 sleep\n 1493 tmux: server (/\n") == {
        1492: "sleep",
        1493: "tmux: server (/",
    }
    assert kernel_commands.parse_ps("  PID COMMAND\n") == {}
    # As recorded, with a column more.
    assert list(kernel_commands.parse_ps(said("ps in jail"))) == [1492]
    assert kernel_commands.parse_ps(said("ps of a jail", "15.1")) == {8873: "sleep"}
    assert kernel_commands.parse_ps(said("ps of an empty jail", "15.1")) == {}
    assert kernel_commands.parse_ps(said("ps of a missing jail", "15.1")) == {}


def test_interfaces_members_and_addresses_are_read_from_what_ifconfig_shows() -> None:
    assert set(said("list").split()) == {"vtnet0", "lo0", "e0a_web", "epair0b", "bridge0"}
    assert freebsd_network.parse_members(said("show bridge")) == {"e0a_web"}
    assert freebsd_network.parse_addresses(said("show")) == frozenset()
    shown = (
        "lo0: flags=8049<UP>\n\tinet6 ::1 prefixlen 128\n\tinet6 fe80::1%lo0 prefixlen 64\n\tinet 127.0.0.1 netmask 0\n"
    )
    assert freebsd_network.parse_addresses(shown) == {"::1", "fe80::1", "127.0.0.1"}


def test_interfaces_members_and_addresses_are_read_as_15_1_shows_them() -> None:
    assert freebsd_network.parse_members(said("bridge addm", "15.1")) == {"rec0a"}
    assert freebsd_network.parse_addresses(said("shared address", "15.1")) >= {"127.0.0.1", "198.18.1.1", "::1"}
    assert freebsd_network.parse_addresses(said("vnet ipv6", "15.1")) == {"2001:db8::5", "fe80::ff:fe00:1"}
    assert freebsd_network.parse_ether(said("epair ether", "15.1")) == "02:00:00:00:00:01"


def test_what_a_run_received_is_what_the_hosts_end_sent() -> None:
    told = """{"statistics": {"interface": [
      {"name": "jl0a", "flags": "0x8943", "mtu": 1500, "network": "<Link#5>", "address": "02:00:00:00:00:01",
       "received-packets": 12, "received-errors": 0, "dropped-packets": 0, "received-bytes": 1096,
       "sent-packets": 20, "send-errors": 0, "sent-bytes": 2048, "collisions": 0},
      {"name": "jl0a", "flags": "0x8943", "network": "fe80::%jl0a/64", "address": "fe80::1%jl0a",
       "received-packets": 0, "received-bytes": 0, "sent-packets": 1, "sent-bytes": 76}]}}"""
    assert freebsd_network.parse_counters(told) == {"jl0a": Traffic(received=2048, sent=1096)}


def test_usage_is_read_from_rctl() -> None:
    used = freebsd_limits.parse_rctl(said("rctl usage"))
    assert (used.memory, used.cpu_seconds, used.processes, used.cpus) == (2134016, 0.0, 1, 0.18)
    used = freebsd_limits.parse_rctl(said("rctl usage", "15.1"))
    assert (used.memory, used.processes, used.cpus) == (2318336, 1, 0.06)
    assert (used.read_rate, used.write_rate) == (0, 0)
    assert used.max_age == 1.0  # ps(1), which counts when it is asked, tells another


def test_usage_is_read_from_ps_where_there_is_no_rctl() -> None:
    used = freebsd_limits.parse_ps("  PID  RSS    TIME\n 1492 2084 0:01.25\n 1493  100 2:03.50\n")
    assert (used.memory, used.cpu_seconds, used.processes) == (2184 * 1024, 124.75, 2)
    assert used.max_age == 0.0


def asked(text: str) -> dict[str, str]:
    return dict(zip(freebsd_facts.NAMES, text.splitlines(), strict=True))


def test_facts_are_read_in_the_order_they_were_asked_for() -> None:
    release, osreldate = said("sysctls").splitlines()[1::-1]
    facts = freebsd_facts.parse(asked(f"{release}\n{osreldate}\naarch64\n8547123200\n4\n"))
    assert (facts.kernel, facts.osreldate, facts.machine) == ("13.2-RELEASE", 1302001, "arm64")
    assert (facts.memory, facts.cpus) == (8547123200, 4)
    facts = freebsd_facts.parse(asked(said("facts", "15.1")))
    assert (facts.kernel, facts.osreldate, facts.machine) == ("15.1-RELEASE-p1", 1501000, "amd64")
    assert (facts.memory, facts.cpus) == (3203887104, 2)
    free = dict(zip(freebsd_facts.FREE_NAMES, said("free memory", "15.1").splitlines(), strict=True))
    assert freebsd_facts.free(free) == 4096 * (539671 + 45078) + 232806072 - 100121472


@pytest.mark.parametrize(
    ("title", "reason"),
    [
        ("create again", "RUN_EXISTS"),
        ("create: c2 { path = '/nonexistent'; persist; }", "COMMAND_FAILED"),
        ("create: c6 { path = '/var/run/jaild/web/1/root'; no.such.param = 1; persist; }", "RUNTIME_MISSING"),
        ("create: c7 { path = '/var/run/jaild/web/1/root' persist; }", "COMMAND_FAILED"),
        (
            "create: c8 { path = '/var/run/jaild/web/1/root'; persist; vnet; vnet.interface = 'nope0'; }",
            "NETWORK_MISSING",
        ),
        ("remove again", "RUN_NOT_RUNNING"),
        ("jls missing", "RUN_NOT_RUNNING"),
        ("jexec missing jail", "RUN_NOT_RUNNING"),
        ("jexec missing command", "COMMAND_FAILED"),
        ("remove c9: exec.stop fails", "COMMAND_FAILED"),
        ("nullfs again", "TREE_BUSY"),
        ("nullfs missing source", "MOUNT_SOURCE_MISSING"),
        ("nullfs missing target", "MOUNT_TARGET_MISSING"),
        ("umount busy", "TREE_BUSY"),
        ("umount not mounted", "COMMAND_FAILED"),
        ("addm missing", "NETWORK_MISSING"),
        ("missing", "NETWORK_MISSING"),
        ("destroy again", "NETWORK_MISSING"),
        ("rename too long", "COMMAND_FAILED"),
        ("rctl add bad", "LIMIT_UNSUPPORTED"),
        ("cpuset bad", "LIMIT_UNSUPPORTED"),
        ("daemon again", "COMMAND_FAILED"),
    ],
)
def test_an_error_is_told_from_the_others_and_keeps_what_was_said(title: str, reason: str) -> None:
    recorded = recordings()[title]
    assert recorded.status != 0
    error = explain(recorded, "web.1")
    assert error.reason == reason
    assert error.hint
    assert error.detail["stderr"] == recorded.error_text.strip()
    assert recorded.error_text.strip().splitlines()[-1] in error.message


@pytest.mark.parametrize(
    ("title", "reason"),
    [
        ("jail create twice", "RUN_EXISTS"),
        ("jail conf missing path", "COMMAND_FAILED"),
        ("jail conf failing exec.start", "COMMAND_FAILED"),
        ("jail conf unknown parameter", "RUNTIME_MISSING"),
        ("jail remove missing", "RUN_NOT_RUNNING"),
        ("jail -r missing name", "RUN_NOT_RUNNING"),
        ("jls missing", "RUN_NOT_RUNNING"),
        ("jexec missing jail", "RUN_NOT_RUNNING"),
        ("jexec missing program", "COMMAND_FAILED"),
        ("ps of a missing jail", "RUN_NOT_RUNNING"),
        ("nullfs over missing", "MOUNT_SOURCE_MISSING"),
        ("nullfs on missing", "MOUNT_TARGET_MISSING"),
        ("umount busy", "TREE_BUSY"),
        ("umount not mounted", "COMMAND_FAILED"),
        ("bridge addm missing", "NETWORK_MISSING"),
        ("bridge addm twice", "COMMAND_FAILED"),
        ("bridge deletem", "NETWORK_MISSING"),
        ("destroy missing", "NETWORK_MISSING"),
        ("alias remove missing", "COMMAND_FAILED"),
        ("rctl bad", "LIMIT_UNSUPPORTED"),
        ("cpuset bad", "LIMIT_UNSUPPORTED"),
        ("kldload missing", "RUNTIME_MISSING"),
    ],
)
def test_an_error_of_15_1_is_told_from_the_others_whatever_tail_it_carries(title: str, reason: str) -> None:
    recorded = recordings("15.1")[title]
    assert recorded.status != 0
    error = explain(recorded, "web.1")
    assert error.reason == reason
    assert error.hint
    assert recorded.error_text.strip() in error.detail["stderr"]
    assert "(src sys/" not in error.message  # where in the kernel's source, with addresses of it: only in the detail


def test_every_recorded_error_means_the_same_with_the_tail_of_15() -> None:
    tail = " (errno 2 category 7 (src sys/net/if_bridge.c:1352) p1 0xfffffe005d2ef9d8 p2 0)"
    failed = {title: done for title, done in recordings().items() if done.status != 0}
    assert len(failed) > 30
    for title, recorded in failed.items():
        stderr = "".join(f"{line}{tail}\n" for line in recorded.error_text.splitlines()).encode()
        assert (title, explain(replace(recorded, stderr=stderr), "x").reason) == (title, explain(recorded, "x").reason)


def test_what_exec_says_of_a_missing_program_and_a_missing_jail_is_not_taken_for_each_other() -> None:
    program, jail = recordings()["jexec missing command"], recordings()["jexec missing jail"]
    assert program.status == jail.status == 1
    assert explain(program, "x").reason != explain(jail, "x").reason
