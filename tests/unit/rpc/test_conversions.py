"""What the domain holds comes out of its messages again."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from google.protobuf import timestamp_pb2
from hypothesis import given
from hypothesis import strategies as st

from jaild.migration.rpc import migration_message
from jaild.model.errors import InvalidArgumentError
from jaild.model.jails.spec import (
    Backoff,
    Backup,
    Boot,
    Encryption,
    ExecCheck,
    ExecHook,
    Hooks,
    HttpCheck,
    HttpHook,
    JailSpec,
    Keep,
    Limits,
    Liveness,
    Logs,
    Mode,
    Network,
    Placement,
    Port,
    ProcessCheck,
    Readiness,
    Restart,
    Snapshots,
    Standby,
    Stop,
    Syslog,
    TcpCheck,
    Volume,
)
from jaild.model.layers.records import Group, Manifest, User
from jaild.model.migration import protocol as domain
from jaild.model.migration.budget import Parts
from jaild.model.problems import Problem, Severity
from jaild.model.views import Caller, JailState, JailView, MigrationView
from jaild.peer.v1 import peer_pb2, rehearsal_pb2
from jaild.rpc import moments, structs
from jaild.rpc.messages import jails as jail_messages
from jaild.rpc.messages import layers as layer_messages
from jaild.rpc.messages.copies import at_of
from jaild.rpc.messages.execution import log_of
from jaild.v1 import apps_pb2, copies_pb2, jails_pb2
from tests.fakes.use_cases import made

FULL = JailSpec(
    base="debian-12",
    channel="stable",  # no spec has both: validation says so
    app="web/1",
    command=("/bin/run", "-x"),
    environment={"A": "", "B": "b"},
    hostname="h",
    user="www",
    network=Network(
        mode=Mode.VNET,
        addresses=("10.0.0.5/24",),
        gateway="10.0.0.1",
        bridge="b0",
        interface="e0",
        ports=(Port(host=8080, jail=80, protocol="udp", address="192.0.2.7"), Port(host=1)),
    ),
    quota="10G",
    volumes={"cache": Volume(path="/cache", quota="1G", recordsize="16K")},
    limits=Limits(memory="1G", cpus=1.5, processes=10, open_files=20, cpuset="0-3"),
    allow=("raw_sockets",),
    maintenance=("Mon 02:00-05:00 UTC",),
    logs=Logs(syslog=Syslog(address="tcp://192.0.2.5:601", facility="local3", severity="debug", tag="front")),
    devfs_ruleset="devfsrules_jail",
    health=(
        HttpCheck(port=80, path="/up", address="10.0.0.5", timeout=3.0),
        TcpCheck(port=81, address="10.0.0.5", timeout=4.0),
        ExecCheck(command=("true",), timeout=6.0),
    ),
    readiness=Readiness(successes=3, interval=0.5, deadline=60.0),
    boot=Boot(autostart=False, order=0),
    stop=Stop(signal="INT", timeout=20.0),
    hooks=Hooks(
        before_stop=(
            HttpHook(url="http://10.0.0.1:8080/drain?a=1", method="PUT", status=204, timeout=5.0, on_error="abort"),
            ExecHook(command=("/bin/drain",), timeout=5.0, on_error="abort"),
        ),
        after_start=(HttpHook(url="http://[fd00::1]/serve", method="GET"),),
    ),
    labels={"team": "web"},
    placement=Placement(priority=0, apart="team"),
    standby=Standby(peers=("beta",), interval=30.0),
    liveness=Liveness(checks=(TcpCheck(port=82, timeout=1.0), ProcessCheck()), interval=20.0, failures=5, restart=True),
    restart=Restart(policy="always", max=9, within=60.0, backoff=Backoff(first=2.0, longest=30.0)),
    backups={"vault": Backup(every="1h", keep=Keep(last=3))},
    snapshots=Snapshots(every="15m", keep=Keep(last=1, hourly=2, daily=3, weekly=4, monthly=5, yearly=6)),
    encryption=Encryption(key="customers", keyformat="hex"),
)
_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_some = st.text("abc", min_size=1, max_size=3)
_seconds = st.floats(0.001, 3600)
_checks = st.one_of(
    st.builds(HttpCheck, port=st.integers(1, 65535), path=_text, address=st.none() | _text, timeout=_seconds),
    st.builds(TcpCheck, port=st.integers(1, 65535), address=st.none() | _text, timeout=_seconds),
    st.builds(ExecCheck, command=st.lists(_text, min_size=1, max_size=2).map(tuple), timeout=_seconds),
    st.builds(ProcessCheck),
)
_specs = st.builds(
    JailSpec,
    base=_some,
    app=st.none() | _text,
    command=st.lists(_text, max_size=2).map(tuple),
    environment=st.dictionaries(_text, _text, max_size=2),
    hostname=st.none() | _text,
    network=st.builds(
        Network,
        mode=st.sampled_from(Mode),
        addresses=st.lists(_text, max_size=2).map(tuple),
        ports=st.lists(
            st.builds(Port, host=st.integers(1, 65535), jail=st.none() | st.integers(1, 65535)), max_size=2
        ).map(tuple),
    ),
    allow=st.lists(_text, max_size=2).map(tuple),
    devfs_ruleset=st.none() | _text,
    volumes=st.dictionaries(_text, st.builds(Volume, path=_some, quota=st.none() | _text), max_size=2),
    limits=st.builds(Limits, processes=st.none() | st.integers(1, 2**31 - 1)),
    health=st.lists(_checks, max_size=3).map(tuple),
    readiness=st.builds(Readiness, successes=st.integers(1, 100), interval=_seconds, deadline=_seconds),
    boot=st.builds(Boot, autostart=st.booleans(), order=st.integers(0, 1000)),
    labels=st.dictionaries(_text, _text, max_size=2),
    placement=st.builds(Placement, priority=st.integers(0, 1000), apart=st.none() | _text),
    standby=st.none() | st.builds(Standby, peers=st.lists(_some, min_size=1, max_size=2).map(tuple)),
    liveness=st.none()
    | st.builds(
        Liveness,
        checks=st.lists(_checks, max_size=2).map(tuple),
        interval=st.floats(1, 3600),
        failures=st.integers(1, 9),
    ),
    snapshots=st.none() | st.builds(Snapshots, every=_some, keep=st.builds(Keep, daily=st.integers(0, 1000))),
    restart=st.none() | st.builds(Restart, policy=st.sampled_from(["always", "never"]), max=st.integers(1, 1000)),
)


@given(_specs)
def test_every_spec_comes_out_of_its_message_as_it_was(spec: JailSpec) -> None:
    message = jails_pb2.JailSpec.FromString(jail_messages.spec_message(spec).SerializeToString())
    assert jail_messages.spec_of(message) == spec


def test_the_example_with_every_field_leaves_none_at_its_default_and_survives() -> None:
    assert {field.name for field in msgspec.structs.fields(JailSpec)} == set(msgspec.to_builtins(FULL))
    assert jail_messages.spec_of(jail_messages.spec_message(FULL)) == FULL


@pytest.mark.parametrize(
    ("struct", "message"),
    [
        (JailSpec, jails_pb2.JailSpec),
        (Network, jails_pb2.Network),
        (Port, jails_pb2.Port),
        (Volume, jails_pb2.Volume),
        (Limits, jails_pb2.Limits),
        (Readiness, jails_pb2.Readiness),
        (Snapshots, jails_pb2.Snapshots),
        (Keep, jails_pb2.Keep),
        (Backup, jails_pb2.BackupSchedule),
        (Encryption, jails_pb2.Encryption),
        (Boot, jails_pb2.Boot),
        (Stop, jails_pb2.Stop),
        (Liveness, jails_pb2.Liveness),
        (Restart, jails_pb2.Restart),
        (Backoff, jails_pb2.Backoff),
        (Placement, jails_pb2.Placement),
        (Manifest, apps_pb2.Manifest),
        (User, apps_pb2.User),
        (Group, apps_pb2.Group),
        (domain.HostHello, peer_pb2.HelloResponse),
        (domain.DatasetOffer, peer_pb2.DatasetOffer),
        (domain.LayerOffer, peer_pb2.LayerOffer),
        (domain.JailOffer, peer_pb2.JailOffer),
        (domain.Offer, peer_pb2.PreflightRequest),
        (domain.Acceptance, peer_pb2.PreflightResponse),
        (domain.DatasetState, peer_pb2.DatasetState),
        (domain.ReceiveHeader, peer_pb2.ReceiveHeader),
        (domain.Received, peer_pb2.ReceiveResponse),
        (domain.Activated, peer_pb2.ActivateResponse),
        (domain.Resolution, peer_pb2.ResolveResponse),
        (domain.Tested, rehearsal_pb2.RehearseResponse),
    ],
)
def test_struct_and_message_have_the_same_fields(struct: type[msgspec.Struct], message: Any) -> None:
    assert {field.encode_name for field in msgspec.structs.fields(struct)} == set(message.DESCRIPTOR.fields_by_name)


def test_a_manifest_survives_with_gid_0_which_is_wheel_and_not_absent() -> None:
    manifest = Manifest(
        mount_point="/opt",
        command=("run",),
        abi="debian:12:amd64",
        environment={"A": "1"},
        user="redis",
        users=(User(name="redis", uid=1000, gid=0, home="/h", shell="/s", comment="c"),),  # noqa: S604
        groups=(Group(name="redis", gid=0, members=("a",)),),
        directories=("/var/lib/redis",),
    )
    assert layer_messages.manifest_of(structs.message_of(manifest, apps_pb2.Manifest)) == manifest


def test_an_empty_manifest_has_the_defaults() -> None:
    assert layer_messages.manifest_of(apps_pb2.Manifest()) == Manifest()
    user = apps_pb2.Manifest(users=[apps_pb2.User(name="a", uid=1, gid=1)])
    assert layer_messages.manifest_of(user).users == (User(name="a", uid=1, gid=1),)


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (jails_pb2.JailSpec(base="b", network=jails_pb2.Network(mode="odd")), "$.network.mode"),
        (jails_pb2.JailSpec(base="b", readiness=jails_pb2.Readiness(deadline=float("nan"))), "$.readiness.deadline"),
        (jails_pb2.JailSpec(base="b", health=[jails_pb2.HealthCheck(kind="exec", port=3)]), "$.health[0]"),
    ],
)
def test_a_spec_that_cannot_be_is_refused_with_the_place(message: jails_pb2.JailSpec, path: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        jail_messages.spec_of(message)
    assert (caught.value.reason, caught.value.detail["path"]) == ("INVALID_SPEC", path)


def test_a_spec_from_text_with_a_number_that_no_message_holds_is_refused_when_it_comes() -> None:
    spec = JailSpec(base="b", limits=Limits(processes=5_000_000_000))
    with pytest.raises(InvalidArgumentError, match="INVALID_SPEC"):
        jail_messages.require_sendable(spec, "request")


def test_an_offer_survives_with_the_jails_own_dataset_whose_path_is_empty() -> None:
    offer = domain.Offer(
        migration="m",
        source_id="h",
        source_name="alpha",
        jail=domain.JailOffer(
            name="web",
            uid="u",
            epoch=3,
            generation=2,
            generation_json="{}",
            datasets=(domain.DatasetOffer(path="", properties={"quota": "1G"}, size_bytes=1 << 40),),
            layers=(
                domain.LayerOffer(
                    path="apps/web/2", guid=(1 << 64) - 1, origin_guid=1, origin_path="apps/web/1", record="{}"
                ),
            ),
            desired="stopped",
            created=1.7e9,
        ),
    )
    assert structs.struct_of(structs.message_of(offer, peer_pb2.PreflightRequest), domain.Offer) == offer


def test_an_acceptance_survives_without_the_problems_evidence() -> None:
    problem = Problem(severity=Severity.WARNING, code="C", message="m", subject="s", hint="r")
    given_back = domain.Acceptance(
        problems=(problem,),
        missing_layers=("bases/a",),
        datasets=(domain.DatasetState(path="", snapshot_guids=(1, (1 << 64) - 1), resume_token="t"),),
    )
    sent = msgspec.structs.replace(given_back, problems=(msgspec.structs.replace(problem, evidence=("proof",)),))
    message = structs.message_of(sent, peer_pb2.PreflightResponse, without="evidence")
    assert structs.struct_of(message, domain.Acceptance) == given_back


def test_an_offer_without_its_names_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="INVALID_PEER_MESSAGE"):
        structs.struct_of(peer_pb2.PreflightRequest(migration="m"), domain.Offer)


def test_a_jail_shows_record_and_generation_by_resource_name() -> None:
    message = jail_messages.jail_message(made.jail("web"), Caller(actor="ops"))
    assert (message.name, message.base, message.release) == ("jails/web", "bases/debian-12", "apps/web/releases/1")
    assert (message.uid, message.epoch, message.generation, message.owner) == ("u-1", 3, 2, "alpha")
    assert message.state == jails_pb2.Jail.STATE_RUNNING
    assert message.HasField("exit_status")
    assert not message.HasField("start_time")
    assert message.create_time.ToMilliseconds() == 1_700_000_000_250


@pytest.mark.parametrize("state", JailState)
def test_every_state_has_its_number(state: JailState) -> None:
    message = jail_messages.jail_message(JailView(name="web", state=state, message="why"), Caller(actor="ops"))
    assert jails_pb2.Jail.State.Name(message.state) == f"STATE_{state.name}"
    assert (message.message, message.generation) == ("why", 0)


def test_a_release_tells_its_parent_under_pythons_keyword() -> None:
    message = layer_messages.release_message(made.release("web", "2", parent="1"))
    assert getattr(message, "from") == "apps/web/releases/1"
    assert getattr(layer_messages.release_message(made.release("web", "1")), "from") == ""


def test_apps_count_their_releases_and_name_the_newest() -> None:
    views = [made.release("web", "2", pushed=2), made.release("web", "3", pushed=1), made.release("db", "1")]
    found = {app.name: (app.release_count, app.latest_release) for app in layer_messages.app_messages(views)}
    assert found == {"apps/web": (2, "apps/web/releases/2"), "apps/db": (1, "apps/db/releases/1")}


def test_a_finalized_migration_says_so() -> None:
    view = MigrationView(
        id="m", jail="web", outgoing=True, source="a", target="b", phase="activated", downtime=0.5, finalized=True
    )
    message = migration_message(view)
    assert (message.phase, message.downtime.ToMilliseconds(), message.name) == ("finalized", 500, "migrations/m")


def test_a_migration_has_the_parts_of_its_downtime_that_were_measured_and_no_others() -> None:
    view = MigrationView(
        id="m", jail="web", outgoing=True, source="a", target="b", phase="activated", parts=Parts(stop=0.0, start=2.5)
    )
    parts = migration_message(view).downtime_parts
    assert {part.name: value.ToMilliseconds() for part, value in parts.ListFields()} == {"stop": 0, "start": 2500}
    assert not migration_message(msgspec.structs.replace(view, parts=None)).HasField("downtime_parts")


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_what_another_host_calls_the_seconds_of_a_part_is_a_time(seconds: float) -> None:
    message = peer_pb2.ActivateResponse(parts=peer_pb2.DowntimeParts(start=seconds))
    with pytest.raises(InvalidArgumentError, match="INVALID_PEER_MESSAGE"):
        structs.struct_of(message, domain.Activated)


@given(st.floats(-1e6, 1e9))
def test_durations_are_exact_to_the_nanosecond(value: float) -> None:
    message = moments.duration(value)
    assert message is not None
    assert message.ToNanoseconds() == round(value * 1e9)


@pytest.mark.parametrize("free", [None, 0, 5])
def test_what_a_host_cannot_tell_of_its_memory_is_not_taken_for_none(free: int | None) -> None:
    hello = domain.HostHello(
        host_id="h", host_name="beta", protocol=1, memory_free_bytes=free, apart={"service=dns": 2}
    )
    sent = structs.message_of(hello, peer_pb2.HelloResponse).SerializeToString()
    assert structs.struct_of(peer_pb2.HelloResponse.FromString(sent), domain.HostHello) == hello


@pytest.mark.parametrize(("seconds", "nanos"), [(2**62, 0), (-(2**62), 0), (0, -1), (253_402_300_800, 0)])
def test_a_point_in_time_that_is_none_is_refused_wherever_one_is_asked_for(seconds: int, nanos: int) -> None:
    wrong = timestamp_pb2.Timestamp(seconds=seconds, nanos=nanos)
    for read in (
        lambda: moments.since_epoch(wrong, "at"),
        lambda: at_of(copies_pb2.Moment(time=wrong)),
        lambda: log_of(jails_pb2.TailLogsRequest(since=wrong)),
    ):
        with pytest.raises(InvalidArgumentError, match="INVALID_TIME"):
            read()
    assert moments.since_epoch(timestamp_pb2.Timestamp(seconds=7, nanos=500_000_000), "at") == 7.5
