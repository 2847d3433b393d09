"""Moving a jail between two real hosts, and killing either of them in every phase: one owner, nothing lost."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jaild.model.errors import FailedPreconditionError, NotFoundError, ResourceExhaustedError
from jaild.v1 import apps_pb2, bases_pb2, common_pb2, jails_pb2, migrations_pb2
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.client import codes, metadata, refused, response, until
from tests.e2e.conftest import furnish
from tests.e2e.node import Node
from tests.e2e.pair import JAIL, OTHER, Pair, paired, reaches
from tests.tars import file

pytestmark = pytest.mark.real(*LINUX_HOST)
RUNNING, MOVED = jails_pb2.Jail.STATE_RUNNING, jails_pb2.Jail.STATE_MOVED

# Appends rising numbers, each on disk before the next; what stands in the file is what was acknowledged.
WRITER = """
trap 'exit 0' TERM
n=$(tail -n 1 /var/numbers 2>/dev/null || echo 0)
while :; do
  n=$((n+1))
  echo $n | dd of=/var/numbers oflag=append conv=notrunc,fsync 2>/dev/null
  sleep 0.02
done
"""


def writer(address: str = JAIL) -> str:
    network = f"{{mode: vnet, addresses: [{address}]}}"
    return trees.spec("tiny-1", "web/1", command=json.dumps(["/bin/sh", "-c", WRITER]), network=network)


@pytest.fixture(scope="module")
def pair(workshop: Path) -> Iterator[Pair]:
    with paired() as made:
        furnish(made.alpha.api, workshop)
        yield made


@pytest.fixture
def jail(pair: Pair) -> Iterator[str]:
    """A jail on alpha that writes numbers; gone from both hosts afterwards."""
    pair.alpha.api.create("edge-1", writer())
    until(lambda: reaches(pair.alpha, "edge-1", pair.beta))  # the test before may have killed it
    yield "edge-1"
    for node in (pair.alpha, pair.beta):
        for name in node.api.names_of_jails():
            node.api.delete(name)
        assert [name for name in node.traces()["datasets"] if name.startswith("/jails/")] == []
        assert node.jail_processes() == []


def numbers(node: Node, jail: str) -> list[int]:
    """What the jail has on disk, seen from its host."""
    text = node.seen(f"jails/{jail}/data/var/numbers").read_text()
    return [int(line) for line in text.split()]


def none_is_lost(pair: Pair, owner: Node, jail: str, acknowledged: int) -> None:
    """The owner, and nobody else, runs the jail; its numbers rise by one from the first, and go on."""
    assert pair.owners(jail) == [owner.name]
    assert pair.running_on(jail) == [owner.name]
    found = numbers(owner, jail)
    assert found == list(range(1, len(found) + 1))
    assert len(found) >= acknowledged
    until(lambda: len(numbers(owner, jail)) > len(found))


def ballast(pair: Pair, jail: str, *, mebibytes: int) -> None:
    """Give the jail on alpha data that takes a while to send. A write is a round trip to zfs-fuse, so in large ones."""
    large = f"bs=1048576 count={mebibytes} iflag=fullblock conv=fsync"
    pair.alpha.api.sh(jail, f"dd if=/dev/urandom of=/var/ballast {large}")


def test_a_jail_moves_there_and_back_and_loses_nothing(pair: Pair, jail: str) -> None:
    alpha, beta = pair.alpha, pair.beta
    ballast(pair, jail, mebibytes=4)
    there = alpha.api.migrate(jail, "beta")
    facts = metadata(there)
    assert facts.rounds >= 1
    assert facts.bytes_done > 4 << 20
    assert 0 < facts.downtime.ToNanoseconds() / 1e9 < 20
    none_is_lost(pair, beta, jail, 1)
    assert alpha.api.jail(jail).state == MOVED
    assert alpha.api.jail(jail).peer == "beta"

    back = beta.api.migrate(jail, "alpha")
    assert metadata(back).bytes_done < 2 << 20  # an increment: the ballast was there
    none_is_lost(pair, alpha, jail, len(numbers(alpha, jail)) - 1)
    assert alpha.api.jail(jail).epoch == 3

    again = alpha.api.migrate(jail, "beta")
    assert metadata(again).bytes_done < 2 << 20
    none_is_lost(pair, beta, jail, 1)
    assert beta.api.sh(jail, "cat /etc/motd") == "tiny 1\n"


def test_a_copy_in_whose_folder_somebody_is_is_put_away_when_they_leave(pair: Pair, jail: str) -> None:
    alpha = pair.alpha
    copy = f"{alpha.pool}/jaild/jails/{jail}"
    listed = ("list", "-rH", "-t", "filesystem", "-o", "mounted", copy)
    place = alpha.zfs("get", "-H", "-o", "value", "mountpoint", copy).strip()
    shell = subprocess.Popen(alpha.mounts_argv("env", f"--chdir={place}/data", "sleep", "600"))
    try:
        until(lambda: str(Path(f"/proc/{shell.pid}/cwd").readlink()).endswith("/data"))
        alpha.api.migrate(jail, "beta")
        none_is_lost(pair, pair.beta, jail, 1)
        assert alpha.zfs(*listed).split() == ["yes", "yes"]  # what is mounted below keeps the one above
    finally:
        shell.kill()
        shell.wait()
    until(lambda: alpha.zfs(*listed).split() == ["no", "no"])
    pair.beta.api.migrate(jail, "alpha")
    none_is_lost(pair, alpha, jail, 1)


def test_layers_that_are_missing_go_first_and_stay(pair: Pair, jail: str, tmp_path: Path) -> None:
    alpha, beta = pair.alpha, pair.beta
    ballast = file("srv/ballast", secrets.token_bytes(3 << 20))
    alpha.api.import_base("fresh", trees.base(tmp_path / "fresh.tgz", "1", None, ballast))
    assert "fresh" not in beta.api.names_of_bases()
    alpha.api.upgrade(jail, "fresh")
    plan = response(alpha.api.done(alpha.api.migrate_begin(jail, "beta", validate_only=True)), common_pb2.Plan())
    assert any("bases/fresh" in step for step in plan.steps)
    assert "fresh" not in beta.api.names_of_bases()
    alpha.api.migrate(jail, "beta")
    guids = {
        node.name: node.api.call(node.api.bases.GetBase, bases_pb2.GetBaseRequest(name="bases/fresh")).guid
        for node in (alpha, beta)
    }
    assert guids["alpha"] == guids["beta"]
    none_is_lost(pair, beta, jail, 1)
    for node in (alpha, beta):  # no generation refers to it on a host that has only a copy
        node.api.delete(jail)
        node.api.done(node.api.call(node.api.bases.DeleteBase, bases_pb2.DeleteBaseRequest(name="bases/fresh")))


def test_a_rollback_works_after_a_move(pair: Pair, jail: str) -> None:
    alpha, beta = pair.alpha, pair.beta
    alpha.api.deploy(jail, "web/2")
    alpha.api.migrate(jail, "beta")
    assert beta.api.generations(jail) == [2, 1]
    beta.api.rollback(jail)
    assert beta.api.sh(jail, "cat /usr/local/version") == "version 1\n"
    none_is_lost(pair, beta, jail, 1)


def test_a_stopped_jail_moves_and_stays_stopped(pair: Pair, jail: str) -> None:
    pair.alpha.api.stop(jail)
    pair.alpha.api.migrate(jail, "beta")
    assert pair.owners(jail) == ["beta"]
    assert pair.running_on(jail) == []
    pair.beta.api.start(jail)
    none_is_lost(pair, pair.beta, jail, 1)


def test_the_copy_that_stays_is_freed_when_finalized(pair: Pair, jail: str) -> None:
    alpha, beta = pair.alpha, pair.beta
    migration = response(alpha.api.migrate(jail, "beta"), migrations_pb2.Migration())
    with refused(FailedPreconditionError, "MIGRATION_NOT_ACTIVATED"):
        finalize(beta, migration.name)
    finalize(alpha, migration.name)
    assert jail not in alpha.api.names_of_jails()
    assert [name for name in alpha.traces()["datasets"] if name.startswith("/jails/")] == []
    none_is_lost(pair, beta, jail, 1)


def test_a_jail_that_moved_does_not_start_where_it_was(pair: Pair, jail: str) -> None:
    alpha = pair.alpha
    alpha.api.migrate(jail, "beta")
    with pytest.raises(FailedPreconditionError) as caught:
        alpha.api.start(jail)
    assert caught.value.hint
    alpha.power_cut()
    alpha.start()
    none_is_lost(pair, pair.beta, jail, 1)


# -- refused


def test_a_peer_that_nobody_knows_is_refused(pair: Pair, jail: str) -> None:
    with refused(NotFoundError, "PEER_UNKNOWN"):
        pair.alpha.api.migrate(jail, "gamma")
    none_is_lost(pair, pair.alpha, jail, 1)


def test_an_address_that_the_target_uses_is_refused(pair: Pair, jail: str) -> None:
    pair.alpha.api.migrate(jail, "beta")  # its layers are there now
    pair.alpha.api.create("edge-2", writer(OTHER))
    pair.beta.api.create("edge-3", trees.spec("tiny-1", "web/1", network=f"{{mode: vnet, addresses: [{OTHER}]}}"))
    not_moved(pair, "edge-2", "ADDRESS_IN_USE")


def test_a_name_that_the_target_has_is_refused(pair: Pair, jail: str) -> None:
    pair.alpha.api.migrate(jail, "beta")
    pair.alpha.api.create("edge-2", writer(OTHER))
    pair.beta.api.create("edge-2", trees.spec("tiny-1", "web/1"))
    with refused(FailedPreconditionError, "PLAN_REFUSED") as refusal:
        pair.alpha.api.migrate("edge-2", "beta")
    assert "NAME_TAKEN" in codes(refusal.value)
    assert pair.alpha.api.jail("edge-2").state == RUNNING
    assert pair.beta.api.jail("edge-2").state == RUNNING


def quotas(node: Node, jail: str) -> list[str]:
    return node.zfs("get", "-Hp", "-o", "value", "refquota,quota", f"{node.pool}/jaild/jails/{jail}/data").split()


def test_a_jail_has_its_quotas_where_it_is_and_a_copy_none(pair: Pair, jail: str) -> None:
    limited, unlimited = [str(64 << 20), str(640 << 20)], ["0", "0"]
    pair.alpha.api.configure(jail, f"{writer()}quota: 64M\n")
    pair.alpha.api.migrate(jail, "beta")
    assert (quotas(pair.beta, jail), quotas(pair.alpha, jail)) == (limited, unlimited)
    pair.beta.api.migrate(jail, "alpha")
    assert (quotas(pair.alpha, jail), quotas(pair.beta, jail)) == (limited, unlimited)


LARGE = "dd if=/dev/zero of=/var/ballast bs=1048576 count=8 conv=fsync"


@contextmanager
def little_room(node: Node) -> Iterator[None]:
    """Leave the host 4 MiB."""
    root = f"{node.pool}/jaild"
    used = int(node.zfs("get", "-Hp", "-o", "value", "used", root))
    node.zfs("set", f"quota={used + (4 << 20)}", root)
    try:
        yield
    finally:
        node.zfs("set", "quota=none", root)


def test_a_target_without_room_is_refused_before_anything_is_sent(pair: Pair, jail: str) -> None:
    pair.alpha.api.sh(jail, LARGE)
    pair.alpha.api.deploy(jail, "web/1", force=True)  # with its snapshot the sizes that ZFS tells are those of now
    with little_room(pair.beta):
        before = pair.beta.traces()
        with refused(FailedPreconditionError, "PLAN_REFUSED") as refusal:
            pair.alpha.api.migrate(jail, "beta")
        assert "NO_SPACE" in codes(refusal.value)
        assert pair.beta.traces() == before
    none_is_lost(pair, pair.alpha, jail, 1)


def test_of_a_jail_that_a_target_had_no_room_for_in_the_end_nothing_is_left_there(pair: Pair, jail: str) -> None:
    with little_room(pair.beta):
        operation = pair.alpha.api.migrate_begin(jail, "beta", seconds=0.01)  # goes on in rounds
        pair.alpha.api.until_phase(operation, "precopy")
        pair.alpha.api.sh(jail, LARGE)
        end = pair.alpha.api.end(operation)
    assert end.HasField("error")
    with refused(ResourceExhaustedError, "NO_SPACE"):
        pair.alpha.api.done(end)
    none_is_lost(pair, pair.alpha, jail, 1)
    until(lambda: not [name for name in pair.beta.datasets() if name.startswith("/jails/")])  # layers may stay


def not_moved(pair: Pair, jail: str, code: str) -> None:
    before = pair.beta.traces()
    with refused(FailedPreconditionError, "PLAN_REFUSED") as refusal:
        pair.alpha.api.migrate(jail, "beta")
    assert code in codes(refusal.value)
    assert pair.beta.traces() == before
    assert pair.alpha.jail_processes(jail)
    assert [name for name in pair.alpha.datasets() if "@" in name and name.startswith(f"/jails/{jail}")] == []


def test_a_target_that_does_not_answer_is_told_and_the_jail_goes_on(pair: Pair, jail: str) -> None:
    pair.beta.terminate()
    end = pair.alpha.api.end(pair.alpha.api.migrate_begin(jail, "beta"))
    assert end.HasField("error")
    pair.beta.start()
    none_is_lost(pair, pair.alpha, jail, 1)


def test_a_cancelled_migration_leaves_the_jail_where_it_was(pair: Pair, jail: str) -> None:
    alpha, beta = pair.alpha, pair.beta
    ballast(pair, jail, mebibytes=16)
    operation = alpha.api.migrate_begin(jail, "beta")
    assert alpha.api.until_phase(operation, "seed") == "seed"
    alpha.api.cancel(operation)
    assert alpha.api.end(operation).HasField("error")
    none_is_lost(pair, alpha, jail, 1)
    until(lambda: jail not in beta.api.names_of_jails())
    until(lambda: not [name for name in beta.traces()["datasets"] if name.startswith("/jails/")])
    alpha.api.migrate(jail, "beta")
    none_is_lost(pair, beta, jail, 1)


# -- gone on with, or undone


@pytest.mark.sampled
@pytest.mark.parametrize("victim", ["alpha", "beta"])
def test_whichever_daemon_dies_in_the_seed_the_same_operation_moves_the_jail(
    pair: Pair, jail: str, victim: str
) -> None:
    ballast(pair, jail, mebibytes=8)
    operation = pair.alpha.api.migrate_begin(jail, "beta")
    assert pair.alpha.api.until_phase(operation, "seed") == "seed"
    dead = pair.alpha if victim == "alpha" else pair.beta
    dead.kill()
    dead.start()
    pair.alpha.api.done(operation)
    none_is_lost(pair, pair.beta, jail, 1)


@pytest.mark.sampled
@pytest.mark.parametrize("back", [False, True], ids=["first move", "move back"])
@pytest.mark.parametrize("phase", ["seed", "freeze"])
def test_a_cancelled_migration_leaves_every_dataset_snapshot_and_property_as_it_was(
    pair: Pair, jail: str, phase: str, *, back: bool
) -> None:
    here, there = (pair.beta, pair.alpha) if back else (pair.alpha, pair.beta)
    ballast(pair, jail, mebibytes=8)
    if back:
        there.api.migrate(jail, here.name)
    before = [kept(node) for node in (here, there)]
    operation = here.api.migrate_begin(jail, there.name)
    assert here.api.until_phase(operation, phase) == phase
    here.api.cancel(operation)
    assert here.api.end(operation).HasField("error")
    none_is_lost(pair, here, jail, 1)
    until(lambda: [kept(node) for node in (here, there)] == before)
    here.api.migrate(jail, there.name)
    none_is_lost(pair, there, jail, 1)


def kept(node: Node) -> list[str]:
    """What of jails there is on a pool: filesystems, snapshots, and what tells how they are used."""
    properties = "type,guid,canmount,readonly,mounted,mountpoint,quota,origin,jaild:jail"
    return node.zfs("get", "-rH", "-o", "name,property,value", properties, f"{node.pool}/jaild/jails").splitlines()


# -- killed in the middle

PHASES = ("layers", "seed", "precopy", "freeze", "final", "handover", "activate")
DEATHS = [*((phase, "killed") for phase in PHASES), ("freeze", "without power")]


@pytest.mark.sampled
@pytest.mark.parametrize("victim", ["alpha", "beta"])
@pytest.mark.parametrize(("phase", "death"), DEATHS)
def test_whoever_dies_in_whatever_phase_one_host_runs_the_jail_and_nothing_is_lost(
    pair: Pair, jail: str, victim: str, phase: str, death: str
) -> None:
    alpha, beta = pair.alpha, pair.beta
    until(lambda: len(numbers(alpha, jail)) > 3)
    acknowledged = len(numbers(alpha, jail))
    if phase == "layers":
        forget_layers(beta)
    caught_in(pair, jail, phase)
    dead = alpha if victim == "alpha" else beta
    if death == "killed":
        dead.kill()
    else:
        dead.power_cut()
    dead.start()
    until(lambda: pair.settled(jail), 60)
    here, there = (alpha, beta) if pair.owners(jail) == ["alpha"] else (beta, alpha)
    none_is_lost(pair, here, jail, acknowledged)
    until(lambda: reaches(here, jail, there))
    here.api.migrate(jail, there.name)
    none_is_lost(pair, there, jail, acknowledged)


def caught_in(pair: Pair, jail: str, phase: str) -> None:
    """Migrate, and return in that phase. One that was over before it was seen is undone and begun again."""
    for _ in range(3):
        operation = pair.alpha.api.migrate_begin(jail, "beta", seconds=0.01 if phase == "precopy" else 30)
        if pair.alpha.api.until_phase(operation, phase) == phase:
            return
        pair.beta.api.migrate(jail, "alpha")
    raise AssertionError(f"no migration was seen in its phase {phase}")


def forget_layers(node: Node) -> None:
    api = node.api
    if "tiny-1" in api.names_of_bases():
        release = apps_pb2.DeleteReleaseRequest(name="apps/web/releases/1")
        api.done(api.call(api.apps.DeleteRelease, release))
        api.done(api.call(api.bases.DeleteBase, bases_pb2.DeleteBaseRequest(name="bases/tiny-1")))


def finalize(node: Node, migration: str) -> None:
    request = migrations_pb2.FinalizeMigrationRequest(name=migration)
    node.api.done(node.api.call(node.api.migrations.FinalizeMigration, request))
