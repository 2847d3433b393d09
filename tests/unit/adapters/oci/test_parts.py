"""The small parts of the OCI runtime: mount tables, accounts, records, cgroups."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from jaild.adapters.oci import cgroup as oci_cgroup
from jaild.adapters.oci import mounts
from jaild.adapters.oci import network as oci_network
from jaild.adapters.oci.records import Record, Records, split
from jaild.adapters.runtime import accounts, first_process, treepaths
from jaild.adapters.runtime.first_process import FirstProcess
from jaild.model.errors import FailedPreconditionError, InvalidArgumentError
from jaild.model.jails.mounts import Mount, MountKind
from jaild.model.jails.spec import Limits, Mode, Network
from jaild.ports.runtime import Traffic, Usage
from tests.contract.runtime_contract import run_spec

MOUNTINFO = r"""27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
60 27 254:0 /base /run/trees/web/1 ro,nodev - ext4 /dev/vda rw
61 60 254:0 /data /run/trees/web/1/var\040x rw,nodev - ext4 /dev/vda rw
62 60 254:0 /etc /run/trees/web/1/etc rw - ext4 /dev/vda rw
63 60 0:44 / /run/trees/web/1/etc rw - tmpfs tmpfs rw,size=1024k
64 27 254:0 /base /run/trees/web/10 ro - ext4 /dev/vda rw
70 27 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct
"""
PASSWD = "root:x:0:0::/root:/bin/sh\nwww:x:80:81::/srv:/bin/sh\n"
GROUP = "root:x:0:\nwww:x:81:www\nlogs:x:82:root,www\n"


def test_a_tree_is_unmounted_children_first_and_its_neighbours_stay() -> None:
    root = Path("/run/trees/web/1")
    assert mounts.below(root, mounts.parse(MOUNTINFO)) == [root / "etc", root / "etc", root / "var x", root]


def test_what_is_mounted_in_a_tree_is_found_by_whatever_name_it_has() -> None:
    table = [*mounts.parse(MOUNTINFO), *mounts.parse("90 61 254:0 /volume /elsewhere rw - ext4 /dev/vda rw")]
    root = Path("/run/trees/web/1")
    assert mounts.below(root, table) == [Path("/elsewhere"), root / "etc", root / "etc", root / "var x", root]


@pytest.mark.parametrize("root", ["/run/trees/web/1", "/run/trees/web/1/var x", "/run/trees", "/elsewhere", "/none"])
def test_lines_that_are_only_looked_at_are_those_of_other_places(root: str) -> None:
    text = (
        f"{MOUNTINFO.rstrip()}\n90 61 254:0 /volume /elsewhere rw - ext4 /dev/vda rw\n"
        "91 90 254:0 / /further rw - ext4 /dev/vda rw\n92 1 254:0 / /run/trees/web/10 rw - ext4 /dev/vda rw\n"
    )
    selected = mounts.parse(text, Path(root))
    assert mounts.below(Path(root), selected) == mounts.below(Path(root), mounts.parse(text))
    assert [m for m in mounts.parse(text) if m in selected] == selected
    assert len(selected) == len(mounts.below(Path(root), selected))


def test_a_folder_may_be_named_by_what_ends_lines_elsewhere() -> None:
    text = MOUNTINFO + "93 60 0:45 / /run/trees/web/1/var\\040x/\x0b\x85 rw - tmpfs tmpfs rw\n"
    assert mounts.below(Path("/run/trees/web/1/var x"), mounts.parse(text)) == [
        Path("/run/trees/web/1/var x/\x0b\x85"),
        Path("/run/trees/web/1/var x"),
    ]
    assert len(mounts.parse(text)) == len(mounts.parse(MOUNTINFO)) + 1


def test_a_tree_that_is_not_as_it_was_mounted_is_told_with_what_is_missing_and_what_is_more() -> None:
    root, table = Path("/run/trees/web/1"), mounts.parse(MOUNTINFO)
    tree = tuple(Mount(kind=MountKind.TMPFS, target=place) for place in ("/", "/var x", "/etc", "/etc"))
    mounts.require_whole(root, tree, table)
    with pytest.raises(FailedPreconditionError) as refused:
        mounts.require_whole(root, (*tree[:3], Mount(kind=MountKind.TMPFS, target="/var/db")), table)
    assert refused.value.reason == "MOUNT_MISPLACED"
    assert refused.value.detail["missing"] == f"{root}/var/db"


def test_users_are_resolved_in_the_jails_own_files() -> None:
    assert accounts.resolve("www", PASSWD, GROUP) == accounts.Account(uid=80, gid=81, groups=(82,), home="/srv")
    assert accounts.resolve("80", PASSWD, GROUP).gid == 81
    assert accounts.resolve("", PASSWD, GROUP).uid == 0
    assert accounts.resolve("", "", "") == accounts.Account(uid=0, gid=0)
    assert accounts.resolve("1000", PASSWD, GROUP) == accounts.Account(uid=1000, gid=0)
    assert accounts.resolve("www:logs", PASSWD, GROUP) == accounts.Account(uid=80, gid=82, home="/srv")
    assert accounts.resolve("5:6", "", "") == accounts.Account(uid=5, gid=6)


@pytest.mark.parametrize("number", ["", "x", "-1", "1" * 5000, "0x10"])
def test_a_line_whose_id_is_no_number_is_no_account(number: str) -> None:
    with pytest.raises(FailedPreconditionError) as refused:
        accounts.resolve("www", f"www:x:{number}:81::/srv:/bin/sh\n", GROUP)
    assert refused.value.reason == "USER_MISSING"
    assert accounts.resolve("5:6", PASSWD, f"six:x:{number}:\n").gid == 6


@pytest.mark.parametrize("user", ["nobody", "www:nogroup"])
def test_an_unknown_account_is_named(user: str) -> None:
    with pytest.raises(FailedPreconditionError) as refused:
        accounts.resolve(user, PASSWD, GROUP)
    assert refused.value.reason == "USER_MISSING"


def test_a_file_of_the_tree_is_never_read_through_a_symlink(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").symlink_to("/etc/passwd")
    (tmp_path / "etc/group").write_text("x")
    assert treepaths.text(tmp_path, "/etc/group") == "x"
    assert treepaths.text(tmp_path, "/etc/none") == ""
    with pytest.raises(FailedPreconditionError) as refused:
        treepaths.text(tmp_path, "/etc/passwd")
    assert refused.value.reason == "MOUNT_TARGET_SYMLINK"


def test_what_is_no_regular_file_of_the_tree_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    os.mkfifo(tmp_path / "etc/passwd")
    assert treepaths.text(tmp_path, "/etc/passwd") == ""


@pytest.mark.parametrize("inside", ["/../etc", "/etc/../../x", "etc"])
def test_a_target_stays_inside_the_tree(tmp_path: Path, inside: str) -> None:
    with pytest.raises(InvalidArgumentError), treepaths.target(tmp_path, inside):
        pass


@pytest.mark.parametrize("link", ["layer", "layer/var", "layer/var/db"])
def test_a_link_in_what_is_to_be_mounted_is_refused(tmp_path: Path, link: str) -> None:
    (tmp_path / "host/var/db").mkdir(parents=True)
    (tmp_path / link).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / link).symlink_to(tmp_path / "host" / link.partition("/")[2])
    mount = Mount(kind=MountKind.LAYER, target="/var/db", source=str(tmp_path / "layer"), within="var/db")
    with pytest.raises(FailedPreconditionError) as refused, treepaths.source(mount):
        pass
    assert refused.value.reason == "MOUNT_SOURCE_SYMLINK"


def test_a_link_above_a_layer_is_the_operators(tmp_path: Path) -> None:
    (tmp_path / "disk/layer/var").mkdir(parents=True)
    (tmp_path / "pool").symlink_to("disk")
    mount = Mount(kind=MountKind.LAYER, target="/var", source=str(tmp_path / "pool/layer"), within="var")
    with treepaths.source(mount) as folder:
        assert os.fstat(folder).st_ino == (tmp_path / "disk/layer/var").stat().st_ino


def test_a_layer_that_is_not_there_is_told(tmp_path: Path) -> None:
    mount = Mount(kind=MountKind.LAYER, target="/var", source=str(tmp_path / "pool/layer"), within="var")
    with pytest.raises(FailedPreconditionError) as refused, treepaths.source(mount):
        pass
    assert refused.value.reason == "MOUNT_SOURCE_MISSING"


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    records = Records(tmp_path / "runs")
    network = Network(mode=Mode.VNET, addresses=("10.0.0.5/24",))
    spec = run_spec(mounts=(Mount(kind=MountKind.TMPFS, target="/tmp"),), network=network)
    record = Record(spec=spec, process=FirstProcess(pid=7, ticks=8, boot="b"), started=1.5, attached=True)
    assert records.write(record) == record
    assert Records(tmp_path / "runs").read("web.1") == record
    assert records.names() == ["web.1"]
    assert records.read("web.2") is None


def test_forgetting_a_run_deletes_nothing_but_its_own_plain_files(tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.write(Record(spec=run_spec()))
    keep = tmp_path / "web.1/folder"
    keep.mkdir()
    (keep / "file").write_text("x")
    with pytest.raises(OSError, match="not empty"):
        records.forget("web.1")
    assert (keep / "file").exists()


def test_names_of_runs_are_told_from_others() -> None:
    assert split("web.12") == ("web", 12)
    assert split("web") is None
    assert split("web.x") is None


def test_controllers_are_found_where_they_are_mounted() -> None:
    cpu = Path("/sys/fs/cgroup/cpu")
    assert oci_cgroup.controllers(mounts.parse(MOUNTINFO)) == {"cpu": cpu, "cpuacct": cpu}


def test_a_limit_without_its_controller_is_refused_by_name() -> None:
    known = {"cpu": Path("/sys/fs/cgroup/cpu")}
    assert list(oci_cgroup.problems(Limits(cpus=2.0, open_files=9), known, {0, 1}, "web.1")) == []
    (refused,) = oci_cgroup.problems(Limits(cpus=2.0, processes=5), known, {0, 1}, "web.1")
    assert refused.reason == "LIMIT_UNSUPPORTED"
    assert refused.detail == {"field": "$.limits.processes", "controller": "pids"}


def test_cpus_that_the_host_has_not_are_refused_by_number() -> None:
    known = {"cpuset": Path("/sys/fs/cgroup/cpuset")}
    assert list(oci_cgroup.problems(Limits(cpuset="0-1"), known, {0, 1}, "web.1")) == []
    (refused,) = oci_cgroup.problems(Limits(cpuset="1-3"), known, {0, 1}, "web.1")
    assert (refused.reason, refused.detail["field"]) == ("LIMIT_UNSUPPORTED", "$.limits.cpuset")
    assert "2,3" in refused.message


def test_usage_is_read_from_a_unified_hierarchy(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    group = tmp_path / "jaild/web.1"
    group.mkdir(parents=True)
    (group / "memory.current").write_text("5000\n")
    (group / "memory.stat").write_text("anon 4000\ninactive_file 1000\n")
    (group / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 1\n")
    (group / "pids.current").write_text("3\n")
    known = dict.fromkeys(("cpu", "memory", "pids"), tmp_path)
    assert oci_cgroup.usage(known, "/jaild/web.1") == Usage(memory=4000, cpu_seconds=2.5, processes=3)


def test_what_no_controller_counts_is_zero() -> None:
    assert oci_cgroup.usage({}, "/jaild/web.1") == Usage(memory=0, cpu_seconds=0.0, processes=0)


def test_what_a_run_received_is_what_the_hosts_end_sent() -> None:
    line = "jl0123456789ab:    1096      12    0    0    0     0          0         0     2048      20    0    0"
    text = f"Inter-|   Receive |  Transmit\n face |bytes    packets |bytes    packets\n{line}       0          0\n"
    assert oci_network.parse_counters(text)["jl0123456789ab"] == Traffic(received=2048, sent=1096)


def test_another_process_with_the_same_pid_is_not_taken_for_it() -> None:
    me = first_process.identify(os.getpid())
    assert me is not None
    assert first_process.alive(me)
    assert not first_process.alive(FirstProcess(pid=me.pid, ticks=me.ticks + 1, boot=me.boot))
    assert not first_process.alive(FirstProcess(pid=me.pid, ticks=me.ticks, boot="an earlier boot"))


def test_a_signal_that_nobody_handles_is_not_heeded() -> None:
    me = first_process.identify(os.getpid())
    assert me is not None
    assert first_process.heeds(me, signal.SIGINT)  # Python's own handler
    assert not first_process.heeds(me, signal.SIGUSR2)


def test_signals_are_named_as_kill_does() -> None:
    assert first_process.stop_signal("TERM") is first_process.stop_signal("sigterm") is signal.SIGTERM
    with pytest.raises(InvalidArgumentError) as refused:
        first_process.stop_signal("KNOCK")
    assert refused.value.reason == "INVALID_SIGNAL"


@pytest.mark.parametrize("file", ["memory.events", "memory.oom_control"])
def test_what_the_kernel_killed_for_lack_of_memory_is_counted_by_the_group_of_the_run(
    tmp_path: Path, file: str
) -> None:
    group = tmp_path / "jaild" / "web.1"
    group.mkdir(parents=True)
    assert oci_cgroup.killed({"memory": tmp_path}, "/jaild/web.1") == 0
    (group / file).write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    assert oci_cgroup.killed({"memory": tmp_path}, "/jaild/web.1") == 2
    assert oci_cgroup.killed({"memory": tmp_path}, "/jaild/web.2") == 0
    assert oci_cgroup.killed({}, "/jaild/web.1") == 0
