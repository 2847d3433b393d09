"""Who may call what."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path

import grpc
import pytest
from google.longrunning import operations_pb2
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2

from jaild import server as api
from jaild.model.access import Role
from jaild.model.operation import Operation
from jaild.peer.v1 import peer_pb2
from jaild.rpc.policy import RULES
from jaild.rpc.tls import TlsFiles
from jaild.v1 import apps_pb2, bases_pb2, channels_pb2, host_pb2, jails_pb2, migrations_pb2, rollouts_pb2
from tests.fakes.use_cases import made, stubs
from tests.fakes.use_cases.every import SERVICES, Fakes
from tests.fakes.use_cases.server import GRANTS, Dial

ROLLBACK = jails_pb2.RollbackJailRequest
EVERYBODY = {"watcher", "web-team", "os-team", "boss"}


def methods() -> list[str]:
    pool = descriptor_pool.Default()
    services = (*SERVICES, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection")
    return [f"/{name}/{method.name}" for name in services for method in pool.FindServiceByName(name).methods]


def test_every_method_of_every_service_is_in_the_table_and_nothing_else() -> None:
    assert health_pb2.DESCRIPTOR
    newer = {"/grpc.health.v1.Health/List"}  # older grpcio-health-checking, which ports may carry, has none
    assert set(RULES) - newer == set(methods()) - newer
    assert newer <= set(RULES)


def test_no_method_is_open_to_nobody() -> None:
    assert all(rule.roles for rule in RULES.values())


def test_a_viewer_can_call_nothing_that_is_audited() -> None:
    assert [name for name, rule in RULES.items() if rule.target and Role.VIEWER in rule.roles] == []


def test_whatever_changes_something_is_audited() -> None:
    reading = (
        "Compare",
        "Find",
        "Get",
        "List",
        "Plan",
        "Watch",
        "Wait",
        "Tail",
        "Check",
        "Hello",
        "Preflight",
        "Receive",
        "Resolve",
        "Server",
    )
    rounds = {"OfferReplica", "CompleteRound"}  # every few seconds for each replica: nothing else would be left
    silent = [name.rpartition("/")[2] for name, rule in RULES.items() if rule.target is None]
    assert [name for name in silent if not name.startswith(reading) and name not in rounds] == []


def test_a_peer_can_call_the_peer_service_and_nothing_of_jailds_own() -> None:
    mine = [name for name, rule in RULES.items() if Role.PEER in rule.roles]
    assert {name.split("/")[1] for name in mine} == {
        "jaild.peer.v1.Peer",
        "jaild.peer.v1.Standby",
        "jaild.peer.v1.Salvage",
        "jaild.peer.v1.Rehearsals",
        "jaild.peer.v1.Layers",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }


CALLS = {
    "GetHost": (stubs.host, host_pb2.GetHostRequest(), EVERYBODY),
    "StopJails": (stubs.host, host_pb2.StopJailsRequest(), {"boss"}),
    "DeleteBase": (stubs.bases, bases_pb2.DeleteBaseRequest(name="bases/a"), {"os-team", "boss"}),
    "SetChannel": (
        stubs.channels,
        channels_pb2.SetChannelRequest(name="channels/stable", base="bases/b"),
        {"os-team", "boss"},
    ),
    "ListChannels": (stubs.channels, channels_pb2.ListChannelsRequest(), EVERYBODY),
    "UpgradeBase": (
        stubs.jails,
        jails_pb2.UpgradeBaseRequest(name="jails/web", base="bases/b"),
        {"os-team", "boss"},
    ),
    "DeployRelease": (
        stubs.jails,
        jails_pb2.DeployReleaseRequest(name="jails/web", release="apps/web/releases/2"),
        {"web-team", "boss"},
    ),
    "PauseRollout": (
        stubs.rollouts,
        rollouts_pb2.PauseRolloutRequest(name="rollouts/op-1"),
        {"os-team", "web-team", "boss"},
    ),
    "StopJail": (stubs.jails, jails_pb2.StopJailRequest(name="jails/web"), {"web-team", "boss"}),
    "DeleteJail": (stubs.jails, jails_pb2.DeleteJailRequest(name="jails/web"), {"boss"}),
    "DeleteRelease": (stubs.apps, apps_pb2.DeleteReleaseRequest(name="apps/web/releases/1"), {"web-team", "boss"}),
    "MigrateJail": (
        stubs.migrations,
        migrations_pb2.MigrateJailRequest(name="jails/web", target="beta"),
        {"boss"},
    ),
    "Prepare": (stubs.peer, peer_pb2.PrepareRequest(migration="m"), {"beta"}),
    "Hello": (stubs.peer, peer_pb2.HelloRequest(), {"beta", "boss"}),
}


@pytest.mark.parametrize("method", CALLS)
async def test_each_certificate_may_do_what_its_roles_allow_and_no_more(fakes: Fakes, dial: Dial, method: str) -> None:
    fakes.jails.jails["web"] = made.jail("web")
    stub, request, allowed = CALLS[method]
    for name in GRANTS:
        if name in allowed:
            await getattr(stub(dial(name)), method)(request)
            continue
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await getattr(stub(dial(name)), method)(request)
        refusal = stubs.error_in(caught.value)
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert (refusal.reason, name in refusal.message) == ("ROLE_REQUIRED", True)
        assert refusal.detail["needed"] == " or ".join(sorted(RULES[f"/{refusal.resource}"].roles))


async def test_the_socket_is_roots_and_may_do_everything(fakes: Fakes, local: grpc.aio.Channel) -> None:
    fakes.jails.jails["web"] = made.jail("web")
    for method, (stub, request, _) in CALLS.items():
        await getattr(stub(local), method)(request)
    assert {entry.actor for entry in fakes.audit.kept} == {"local"}


async def test_whoever_opened_the_socket_is_local_whatever_name_his_own_end_has(
    server: api.ApiServer, tmp_path: Path
) -> None:
    # FreeBSD's accept(2) gives 14 NULs for a client without a name: `unix-abstract:` to one of gRPC's pollers.
    named = f"\0jaild-test-{os.getpid()}" if sys.platform == "linux" else str(tmp_path / "c")
    assert server is not None

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        end = socket.socket(socket.AF_UNIX)
        end.bind(named)
        end.settimeout(0)
        await asyncio.get_running_loop().sock_connect(end, str(tmp_path / "s"))
        to, back = await asyncio.open_unix_connection(sock=end)
        await asyncio.gather(pump(reader, back), pump(to, writer))

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while block := await source.read(1 << 16):
            sink.write(block)
        sink.close()

    async with (
        await asyncio.start_unix_server(forward, tmp_path / "p"),
        grpc.aio.insecure_channel(f"unix:{tmp_path / 'p'}") as channel,
    ):
        assert (await stubs.host(channel).GetHost(host_pb2.GetHostRequest())).name == "alpha"


async def test_a_certificate_without_roles_is_told_its_names(dial: Dial) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stubs.host(dial("stranger")).GetHost(host_pb2.GetHostRequest())
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    error = stubs.error_in(caught.value)
    assert (error.reason, error.detail["names"]) == ("CERTIFICATE_UNKNOWN", "stranger 127.0.0.1")


async def test_without_a_certificate_tls_lets_nobody_in(
    server: api.ApiServer, certificates: dict[str, TlsFiles]
) -> None:
    trusting = grpc.ssl_channel_credentials(certificates["boss"].authority.read_bytes())
    async with grpc.aio.secure_channel(f"127.0.0.1:{server.port}", trusting) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stubs.host(channel).GetHost(host_pb2.GetHostRequest())
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_plain_tcp_is_not_answered(server: api.ApiServer) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stubs.host(channel).GetHost(host_pb2.GetHostRequest())
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_product_cannot_touch_another_apps_jail_nor_bring_another_app_into_its_own(
    fakes: Fakes, dial: Dial
) -> None:
    fakes.jails.jails = {"web": made.jail("web"), "db": made.jail("db", "db/1"), "bare": made.jail("bare", "")}
    stub = stubs.jails(dial("web-team"))
    for jail in ("db", "bare"):
        with stubs.refused("APP_REQUIRED"):
            await stub.StopJail(jails_pb2.StopJailRequest(name=f"jails/{jail}"))
    with stubs.refused("APP_REQUIRED"):
        await stub.DeployRelease(jails_pb2.DeployReleaseRequest(name="jails/web", release="apps/db/releases/1"))
    with stubs.refused("APP_REQUIRED"):
        await stub.ConfigureJail(
            jails_pb2.ConfigureJailRequest(name="jails/db", spec=jails_pb2.SpecSource(yaml="base: b\napp: web/1\n"))
        )
    with stubs.refused("APP_REQUIRED"):
        await stub.CreateJail(
            jails_pb2.CreateJailRequest(jail_id="new", spec=jails_pb2.SpecSource(yaml="base: b\napp: db/1\n"))
        )
    with stubs.refused("APP_REQUIRED"):
        await stubs.apps(dial("web-team")).PushRelease(
            stubs.stream(
                apps_pb2.PushReleaseRequest(header=apps_pb2.PushReleaseHeader(parent="apps/db", release_id="1"))
            )
        )
    with stubs.refused("APP_REQUIRED"):
        async for _ in stub.ExecInJail(
            stubs.stream(jails_pb2.ExecInJailRequest(start=jails_pb2.ExecStart(name="jails/db", command=["id"])))
        ):
            pass
    assert fakes.jails.calls == []
    assert fakes.releases.calls == []


@pytest.mark.parametrize(
    ("who", "axis", "reason"),
    [
        ("web-team", ROLLBACK.AXIS_UNSPECIFIED, None),
        ("web-team", ROLLBACK.AXIS_APP, None),
        ("web-team", ROLLBACK.AXIS_SPEC, None),
        ("web-team", ROLLBACK.AXIS_BASE, "AXIS_REQUIRED"),
        ("os-team", ROLLBACK.AXIS_BASE, None),
        ("os-team", ROLLBACK.AXIS_APP, "AXIS_REQUIRED"),
        ("os-team", ROLLBACK.AXIS_UNSPECIFIED, "AXIS_REQUIRED"),
        ("boss", ROLLBACK.AXIS_BASE, None),
        ("boss", ROLLBACK.AXIS_UNSPECIFIED, None),
        ("watcher", ROLLBACK.AXIS_APP, "ROLE_REQUIRED"),
    ],
)
async def test_each_team_undoes_its_own_axis(
    fakes: Fakes, dial: Dial, who: str, axis: ROLLBACK.Axis, reason: str | None
) -> None:
    fakes.jails.jails["web"] = made.jail("web")
    call = stubs.jails(dial(who)).RollbackJail(ROLLBACK(name="jails/web", axis=axis))
    if reason is None:
        await call
        assert fakes.jails.calls[0][0] == "rollback"
    else:
        with stubs.refused(reason):
            await call
        assert fakes.jails.calls == []


async def test_an_operation_is_cancelled_by_who_asked_for_it_or_an_operator(fakes: Fakes, dial: Dial) -> None:
    fakes.operations.operations["o"] = Operation(id="o", kind="deploy", target="jails/web", actor="web-team")
    request = operations_pb2.CancelOperationRequest(name="operations/o")
    await stubs.operations(dial("web-team")).CancelOperation(request)
    await stubs.operations(dial("boss")).CancelOperation(request)
    with stubs.refused("OPERATION_OF_ANOTHER"):
        await stubs.operations(dial("os-team")).CancelOperation(request)
    assert [caller.actor for _, (_, caller), _ in fakes.operations.calls] == ["web-team", "boss"]
