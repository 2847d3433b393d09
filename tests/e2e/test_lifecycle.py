"""A jail's life on a real daemon, as product, source and operators live it."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from jaild.adapters.zfs.private_namespace import running
from jaild.model.errors import AbortedError, CancelledError, FailedPreconditionError, InvalidArgumentError
from jaild.v1 import bases_pb2, common_pb2, events_pb2, jails_pb2, volumes_pb2
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.client import Client, codes, digest, metadata, refused, response
from tests.e2e.conftest import MANIFEST
from tests.e2e.node import Node
from tests.tars import file

pytestmark = pytest.mark.real(*LINUX_HOST)
RUNNING, STOPPED = jails_pb2.Jail.STATE_RUNNING, jails_pb2.Jail.STATE_STOPPED
AXIS = jails_pb2.RollbackJailRequest


@pytest.fixture(scope="module", autouse=True)
def tiny_2(node: Node, workshop: Path) -> None:
    archive = trees.base(workshop / "tiny-2.tgz", "2", {"motd": "tiny 2\n", "new.conf": "new in 2\n"})
    node.api.import_base("tiny-2", archive)


@pytest.fixture(autouse=True)
def no_jail_is_left(node: Node) -> Iterator[None]:
    yield
    for name in node.api.names_of_jails():
        node.api.delete(name)
    traces = node.traces()
    assert (traces["run/runs"], traces["trees"], node.jail_processes()) == ([], [], [])
    assert [name for name in traces["datasets"] if name.startswith("/jails/")] == []


def test_an_import_tells_what_the_base_is(api: Client, workshop: Path, node: Node) -> None:
    base = api.call(api.bases.GetBase, bases_pb2.GetBaseRequest(name="bases/tiny-2"))
    assert (base.family, base.version, base.abi) == ("linux", "2", "tiny:2:amd64")
    assert base.sha256 == digest(workshop / "tiny-2.tgz")
    assert base.guid
    assert base.files > len(trees.APPLETS)
    with pytest.raises(OSError, match="Read-only"):
        (node.seen("bases/tiny-2/root/etc/motd")).write_text("sealed is sealed, on the host too")


def test_a_base_is_imported_from_a_path_or_an_unpacked_tree(api: Client, workshop: Path, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    subprocess.run(["tar", "-xzf", workshop / "tiny-1.tgz", "-C", tmp_path / "tree"], check=True)
    for name, path in (("by-path", workshop / "tiny-1.tgz"), ("by-tree", tmp_path / "tree")):
        base = api.import_base(name, workshop, path=str(path))
        assert base.abi == "tiny:1:amd64"
        api.done(api.call(api.bases.DeleteBase, bases_pb2.DeleteBaseRequest(name=f"bases/{name}")))


def test_a_release_made_from_another_shares_what_is_the_same(api: Client, tmp_path: Path) -> None:
    ballast = file("ballast", secrets.token_bytes(2 << 20))
    api.push("big/1", trees.release(tmp_path / "1.tgz", "1", ballast), manifest=MANIFEST)
    archive = trees.release(tmp_path / "2.tgz", "2", ballast)
    done = api.push("big/2", archive, manifest=MANIFEST, **{"from": "apps/big/releases/1"})
    facts = metadata(done).facts
    assert int(facts["shared_bytes"]) >= 2 << 20
    assert int(facts["added_bytes"]) < 1 << 16
    assert int(facts["used_bytes"]) < 1 << 20


def test_a_created_jail_runs_its_release_on_its_base(api: Client, jail: str) -> None:
    assert api.jail(jail).state == RUNNING
    assert api.sh(jail, "cat /etc/motd /usr/local/version; hostname") == "tiny 1\nversion 1\nedge-1\n"
    assert api.generations(jail) == [1]
    assert api.exec(jail, "/bin/sh", "-c", "cat; exit 3", stdin=b"given", check=False) == "3: given"
    assert "3: " not in api.exec(jail, "/bin/true", check=False)


def test_base_and_release_cannot_be_written_in_the_jail(api: Client, jail: str) -> None:
    for path in ("/bin/x", "/usr/local/x", "/x"):
        assert "Read-only file system" in api.exec(jail, "/bin/touch", path, check=False)
    api.sh(jail, "touch /var/x /root/x /home/x /etc/x /usr/local/etc/x /tmp/x")


def test_logs_tell_what_the_jail_wrote_and_when(api: Client, jail: str) -> None:
    created = api.jail(jail).create_time.ToMilliseconds() / 1000
    request = jails_pb2.TailLogsRequest(name=f"jails/{jail}", follow=True)
    stream, text = api.jails.TailLogs(request, timeout=20), b""
    for piece in stream:
        text += piece.data
        if b"version 1\n" in text:
            break
    stream.cancel()
    assert b"version 1\n" in text
    timed = jails_pb2.TailLogsRequest(name=f"jails/{jail}", timestamps=True)
    timed.since.FromMicroseconds(round(created * 1e6))
    piece = next(piece for piece in api.jails.TailLogs(timed, timeout=20) if b"version 1\n" in piece.data)
    after, by = (moment.ToMilliseconds() / 1000 for moment in (piece.after, piece.by))
    assert after <= by, "a jail of that name, which is deleted, may have written in the second before"
    assert created <= by <= time.time()


def test_a_deploy_moves_the_app_and_nothing_else(api: Client, jail: str) -> None:
    api.sh(jail, "echo precious > /var/mine; echo mine >> /etc/motd; echo set > /usr/local/etc/own.conf")
    done = api.deploy(jail, "web/2")
    data = metadata(done)
    assert 0 < data.downtime.ToNanoseconds() / 1e9 < 10
    assert response(done, jails_pb2.Jail()).release == "apps/web/releases/2"
    look = "cat /usr/local/version /var/mine /etc/motd /usr/local/etc/own.conf"
    assert api.sh(jail, look) == "version 2\nprecious\ntiny 1\nmine\nset\n"
    assert api.generations(jail) == [2, 1]


def test_an_upgrade_moves_the_base_and_merges_etc(api: Client, jail: str) -> None:
    api.sh(jail, "echo precious > /var/mine; echo own > /etc/own.conf; echo 'me:x:1000:1000::/:/bin/sh' >> /etc/passwd")
    api.upgrade(jail, "tiny-2")
    look = "cat /etc/motd /etc/new.conf /etc/own.conf /var/mine /usr/local/version; grep -c . /etc/passwd"
    assert api.sh(jail, look) == "tiny 2\nnew in 2\nown\nprecious\nversion 1\n3\n"


def test_a_release_that_is_not_healthy_is_taken_back_by_itself(api: Client, node: Node, jail: str) -> None:
    before = node.traces()
    operation = api.end(api.deploy_begin(jail, "web/sick"))
    with refused(AbortedError, "HEALTH_CHECK_FAILED") as refusal:
        api.done(operation)
    assert "version sick" in refusal.value.detail["log"]
    assert metadata(operation).facts["rolled_back"] == "true"
    assert metadata(operation).downtime.ToNanoseconds() > 0
    assert api.jail(jail).generation == 1
    assert api.jail(jail).state == RUNNING
    assert api.sh(jail, "cat /usr/local/version") == "version 1\n"
    after = node.traces()
    assert [name for name in after.pop("datasets") if "before-" not in name] == before.pop("datasets")
    assert after == before


def test_a_rollback_goes_back_but_never_the_data(api: Client, jail: str) -> None:
    api.deploy(jail, "web/2")
    api.sh(jail, "echo written on 2 > /var/mine")
    api.rollback(jail)
    assert api.jail(jail).generation == 1
    assert api.sh(jail, "cat /usr/local/version /var/mine") == "version 1\nwritten on 2\n"
    api.rollback(jail, generation=2)
    assert api.sh(jail, "cat /usr/local/version") == "version 2\n"


def test_one_axis_is_rolled_back_and_the_other_stays(api: Client, jail: str) -> None:
    api.deploy(jail, "web/2")
    api.upgrade(jail, "tiny-2")
    api.rollback(jail, axis=AXIS.AXIS_APP)
    assert api.sh(jail, "cat /usr/local/version /etc/motd") == "version 1\ntiny 2\n"
    api.rollback(jail, axis=AXIS.AXIS_BASE)
    assert api.sh(jail, "cat /usr/local/version /etc/motd") == "version 1\ntiny 1\n"
    assert api.jail(jail).generation == 5


def test_two_changes_of_two_axes_at_once_compose(api: Client, jail: str) -> None:
    deploy, upgrade = api.deploy_begin(jail, "web/2"), api.upgrade_begin(jail, "tiny-2")
    api.done(deploy)
    api.done(upgrade)
    assert api.sh(jail, "cat /usr/local/version /etc/motd") == "version 2\ntiny 2\n"
    assert api.generations(jail) == [3, 2, 1]


def test_a_change_with_an_old_etag_is_refused(api: Client, jail: str) -> None:
    etag = api.jail(jail).etag
    api.deploy(jail, "web/2", etag=etag)
    with refused(AbortedError, "ETAG_MISMATCH"):
        api.deploy(jail, "web/1", etag=etag)


def test_a_request_that_is_repeated_is_done_once(api: Client, jail: str) -> None:
    request_id = str(uuid.uuid4())
    first = api.deploy(jail, "web/2", request_id=request_id)
    assert api.deploy_begin(jail, "web/2", request_id=request_id).name == first.name
    assert api.generations(jail) == [2, 1]


def test_only_validating_changes_nothing_and_tells_the_plan(api: Client, node: Node, jail: str) -> None:
    before, etag = node.traces(), api.jail(jail).etag
    spec = jails_pb2.SpecSource(yaml=trees.spec("tiny-1", "web/1", labels="{a: b}"))
    for operation in (
        api.create_begin("edge-2", trees.spec("tiny-1", "web/1"), validate_only=True),
        api.deploy_begin(jail, "web/2", validate_only=True),
        api.upgrade_begin(jail, "tiny-2", validate_only=True),
        api.call(
            api.jails.ConfigureJail,
            jails_pb2.ConfigureJailRequest(name=f"jails/{jail}", spec=spec, validate_only=True),
        ),
        api.call(
            api.jails.DeleteJail, jails_pb2.DeleteJailRequest(name=f"jails/{jail}", force=True, validate_only=True)
        ),
    ):
        assert response(api.done(operation), common_pb2.Plan()).steps
    assert (node.traces(), api.jail(jail).etag) == (before, etag)


def test_a_configure_changes_limits_and_environment(api: Client, jail: str) -> None:
    limits, environment = "{open_files: 77, processes: 20, memory: 64M}", "{COLOUR: blue}"
    api.configure(jail, trees.spec("tiny-1", "web/1", limits=limits, environment=environment))
    assert api.sh(jail, "ulimit -n; echo $COLOUR") == "77\nblue\n"
    said = api.exec(jail, "/bin/sh", "-c", "for i in $(seq 40); do sleep 5 & done", check=False)
    assert "fork" in said


def test_a_configure_of_another_axis_is_refused(api: Client, jail: str) -> None:
    with refused(InvalidArgumentError, "OTHER_AXIS"):
        api.configure(jail, trees.spec("tiny-2", "web/1"))


def test_a_volume_ends_where_its_quota_says_can_be_grown_and_hold_another_and_be_removed(
    node: Node, api: Client, jail: str
) -> None:
    write = "dd if=/dev/zero of=/srv/fill bs=65536 count=100 2>&1 && sync"
    api.configure(jail, trees.spec("tiny-1", "web/1", volumes="{store: {path: /srv, quota: 2M}}"))
    said = api.exec(jail, "/bin/sh", "-c", write, check=False)
    assert "Disk quota exceeded" in said or "No space left" in said
    api.configure(jail, trees.spec("tiny-1", "web/1", volumes="{store: {path: /srv, quota: 32M}}"))
    api.sh(jail, write)
    api.configure(jail, trees.spec("tiny-1", "web/1"))
    both = "{store: {path: /srv, quota: 32M}, more: {path: /srv/a/more}}"
    api.configure(jail, trees.spec("tiny-1", "web/1", volumes=both))
    assert api.sh(jail, "touch /srv/a/more/x; wc -c < /srv/fill") == f"{65536 * 100}\n"
    gone = volumes_pb2.DeleteVolumeRequest(name=f"jails/{jail}/volumes/store")
    with refused(FailedPreconditionError, "VOLUME_IN_USE"):
        api.call(api.volumes.DeleteVolume, gone)
    api.configure(jail, trees.spec("tiny-1", "web/1", volumes="{more: {path: /var/more}}"))
    api.done(api.call(api.volumes.DeleteVolume, gone))
    assert api.sh(jail, "ls /var/more") == "x\n"
    listed = api.call(api.volumes.ListVolumes, volumes_pb2.ListVolumesRequest(parent="jails/-")).volumes
    assert [(volume.name, volume.path) for volume in listed] == [(f"jails/{jail}/volumes/more", "/var/more")]
    assert [d for d in node.datasets() if "store" in d] == []


def test_the_data_ends_where_its_quota_says(api: Client) -> None:
    api.create("edge-1", trees.spec("tiny-1", "web/1", quota="4M"))
    said = api.exec("edge-1", "/bin/dd", "if=/dev/zero", "of=/var/fill", "bs=65536", "count=200", check=False)
    assert "Disk quota exceeded" in said or "No space left" in said


def test_a_jail_answers_on_its_own_address(api: Client, node: Node) -> None:
    address = node.addresses[3]
    own = trees.spec(
        "tiny-1",
        network=f"{{mode: vnet, addresses: [{address}]}}",
        command="[/bin/busybox, httpd, -f, -p, '80', -h, /etc]",
        health="[{kind: http, port: 80, path: /motd}, {kind: tcp, port: 80}]",
    )
    api.create("edge-1", own)
    with urllib.request.urlopen(f"http://{address.partition('/')[0]}/motd", timeout=5) as answer:
        assert answer.read() == b"tiny 1\n"


def test_a_stopped_jail_exists_and_starts_again_with_its_data(api: Client, node: Node, jail: str) -> None:
    api.sh(jail, "echo kept > /var/mine")
    api.stop(jail)
    assert api.jail(jail).state == STOPPED
    assert node.jail_processes() == []
    api.stop(jail)  # it is no error that it is
    with refused(FailedPreconditionError, "JAIL_NOT_RUNNING"):
        api.exec(jail, "/bin/true")
    api.start(jail)
    api.start(jail)
    assert api.sh(jail, "cat /var/mine") == "kept\n"


def test_a_stopped_jail_is_deployed_without_being_started(api: Client, jail: str) -> None:
    api.stop(jail)
    api.deploy(jail, "web/2")
    assert (api.jail(jail).state, api.jail(jail).generation) == (STOPPED, 2)
    api.start(jail)
    assert api.sh(jail, "cat /usr/local/version") == "version 2\n"


def test_a_jail_is_created_stopped_when_asked(api: Client, node: Node) -> None:
    api.create("edge-1", trees.spec("tiny-1", "web/1"), stopped=True)
    assert api.jail("edge-1").state == STOPPED
    assert node.jail_processes() == []
    api.start("edge-1")


def test_a_restart_gives_another_process_and_the_same_generation(api: Client, node: Node, jail: str) -> None:
    before = node.jail_processes(jail)
    done = api.done(api.call(api.jails.RestartJail, jails_pb2.RestartJailRequest(name=f"jails/{jail}")))
    assert metadata(done).downtime.ToNanoseconds() > 0
    assert not set(before) & set(node.jail_processes(jail))
    assert api.generations(jail) == [1]


def test_a_jail_whose_process_ends_is_failed_and_says_so(api: Client, jail: str) -> None:
    # The kernel kills what else is in the jail when its first process ends: often the shell that asked for it, too.
    api.exec(jail, "/bin/sh", "-c", "kill -TERM 1", check=False)
    found = api.wait_for(jail, lambda jail: jail.state == jails_pb2.Jail.STATE_FAILED)
    assert found.message
    api.start(jail)
    assert api.jail(jail).state == RUNNING


def test_a_running_jail_is_deleted_only_by_force(api: Client, jail: str) -> None:
    with refused(FailedPreconditionError, "JAIL_RUNNING"):
        api.delete(jail, force=False)
    assert api.jail(jail).state == RUNNING
    api.delete(jail, force=True)
    assert api.names_of_jails() == []


def test_a_stopped_jail_is_deleted_without_force(api: Client, jail: str) -> None:
    api.stop(jail)
    api.delete(jail, force=False)
    assert api.names_of_jails() == []


def test_deleting_never_follows_a_mount(api: Client, node: Node, jail: str, tmp_path: Path) -> None:
    (tmp_path / "sentinel").write_text("not the jail's\n")
    api.sh(jail, "mkdir /var/there")
    api.stop(jail)
    enter = ["nsenter", f"--mount=/proc/{running(node.folder)}/ns/mnt", "--"]
    there = node.folder / "zfs/jails" / jail / "data/var/there"
    subprocess.run([*enter, "mount", "--bind", tmp_path, there], check=True)
    try:
        end = api.end(api.call(api.jails.DeleteJail, jails_pb2.DeleteJailRequest(name=f"jails/{jail}", force=True)))
        assert (tmp_path / "sentinel").read_text() == "not the jail's\n"
        assert end.HasField("error")
    finally:
        subprocess.run([*enter, "umount", there], check=True)
    api.delete(jail)
    assert (tmp_path / "sentinel").read_text() == "not the jail's\n"


def test_what_is_used_is_not_deleted_and_says_by_whom(api: Client, jail: str) -> None:
    with refused(FailedPreconditionError, "BASE_IN_USE") as refusal:
        api.done(api.call(api.bases.DeleteBase, bases_pb2.DeleteBaseRequest(name="bases/tiny-1")))
    assert f"jails/{jail}/generations/1" in str(refusal.value)


def test_a_cancelled_import_leaves_nothing(api: Client, node: Node, tmp_path: Path) -> None:
    ballast = [file(f"srv/{number}", secrets.token_bytes(1 << 20)) for number in range(64)]
    archive = trees.base(tmp_path / "large.tgz", "1", None, *ballast)
    before = node.traces()
    for phase in ("check", "unpack"):
        operation = api.import_begin("large", archive)
        assert api.until_phase(operation, phase) == phase
        api.cancel(operation)
        with refused(CancelledError, "OPERATION_CANCELLED"):
            api.done(operation)
        assert node.traces() == before
    api.import_base("large", archive)


def test_a_cancelled_create_leaves_nothing(api: Client, node: Node) -> None:
    before = node.traces()
    readiness = "{successes: 2, interval: 5, deadline: 60}"
    operation = api.create_begin("edge-1", trees.spec("tiny-1", "web/1", readiness=readiness))
    assert api.until_phase(operation, "health-check") == "health-check"
    api.cancel(operation)
    with refused(CancelledError, "OPERATION_CANCELLED"):
        api.done(operation)
    assert node.traces() == before
    assert api.names_of_jails() == []


def test_a_create_that_is_not_healthy_leaves_nothing(api: Client, node: Node) -> None:
    before = node.traces()
    with refused(AbortedError, "HEALTH_CHECK_FAILED"):
        api.create("edge-1", trees.spec("tiny-1", "web/sick"))
    assert node.traces() == before
    assert node.jail_processes() == []


# Counts up in /etc and in its data, and writes down with which numbers it began.
COUNTS = """
trap 'stop=1' TERM
n=$(cat /etc/counter || echo 0)
echo "$n $(cat /var/counter || echo 0)" >> /var/starts
while [ -z "$stop" ]; do
  n=$((n+1))
  echo $n > /etc/counter
  echo $n > /var/counter
  sleep 0.01
done
"""


def test_what_the_jail_writes_to_its_etc_during_a_change_is_kept(api: Client) -> None:
    api.create("edge-1", trees.spec("tiny-1", "web/1", command=json.dumps(["/bin/sh", "-c", COUNTS])))
    api.deploy("edge-1", "web/2")
    api.upgrade("edge-1", "tiny-2")
    begun = [tuple(map(int, line.split())) for line in api.sh("edge-1", "cat /var/starts").splitlines()]
    assert len(begun) == 3
    for in_etc, in_data in begun:
        assert in_etc == in_data
    assert begun[0] < begun[1] < begun[2]


def test_events_tell_what_happened_in_order(api: Client, jail: str) -> None:
    began = time.time()
    api.deploy(jail, "web/2")
    request = events_pb2.WatchEventsRequest(target=f"jails/{jail}", no_follow=True)
    events = list(api.events.WatchEvents(request, timeout=20))
    assert [event.sequence for event in events] == sorted(event.sequence for event in events)
    recent = [event.kind for event in events if event.time.ToSeconds() >= int(began)]
    assert "generation.committed" in recent


def test_a_release_that_cannot_run_on_the_base_is_refused_in_the_plan(api: Client, jail: str, tmp_path: Path) -> None:
    needy = Path("/usr/bin/true").read_bytes()  # it needs a C library, which tiny bases have not
    archive = trees.release(tmp_path / "needy.tgz", "1", file("bin/needy", needy, 0o755))
    api.push("web/needy", archive, manifest=MANIFEST)
    with refused(FailedPreconditionError, "PLAN_REFUSED") as refusal:
        api.deploy(jail, "web/needy")
    assert "MISSING_LIBRARY" in codes(refusal.value)
    assert api.generations(jail) == [1]
