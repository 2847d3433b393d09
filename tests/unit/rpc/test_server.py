"""The server as a client meets it."""

from __future__ import annotations

import asyncio
import signal
import stat
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from structlog.typing import EventDict

from jaild import server as api
from jaild.model.errors import FailedPreconditionError, UnavailableError
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.records import Generation
from jaild.model.problems import Accepted, Problem, Severity
from jaild.ports.process import TerminalSize
from jaild.rpc.tls import TlsFiles
from jaild.v1 import apps_pb2, bases_pb2, common_pb2, events_pb2, host_pb2, jails_pb2, migrations_pb2
from tests.fakes.use_cases import made, stubs
from tests.fakes.use_cases.every import SERVICES, Fakes
from tests.fakes.use_cases.server import Dial


async def reflect(channel: grpc.aio.Channel, **asked: str) -> reflection_pb2.ServerReflectionResponse:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    async for answer in stub.ServerReflectionInfo(stubs.stream(reflection_pb2.ServerReflectionRequest(**asked))):
        return answer
    raise AssertionError("no answer")


async def test_reflection_lists_all_services(local: grpc.aio.Channel) -> None:
    answer = await reflect(local, list_services="")
    found = {service.name for service in answer.list_services_response.service}
    assert found == {*SERVICES, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}


async def test_a_client_that_knows_nothing_can_call_through_reflection_alone(
    fakes: Fakes, local: grpc.aio.Channel
) -> None:
    fakes.jails.jails["web"] = made.jail("web")
    pool = descriptor_pool.DescriptorPool()
    wanted: list[bytes] = []
    for symbol in ("jaild.v1.Jails", "jaild.v1.OperationMetadata"):  # the second is what is packed in the answer
        answer = await reflect(local, file_containing_symbol=symbol)
        wanted += answer.file_descriptor_response.file_descriptor_proto
    added: set[str] = set()
    files = {}
    while wanted:
        file = descriptor_pb2.FileDescriptorProto.FromString(wanted.pop())
        files[file.name] = file
        for needed in set(file.dependency) - files.keys():
            more = await reflect(local, file_by_filename=needed)
            wanted += more.file_descriptor_response.file_descriptor_proto

    def add(name: str) -> None:
        if name not in added:
            added.add(name)
            for needed in files[name].dependency:
                add(needed)
            pool.Add(files[name])

    for name in files:
        add(name)
    method = pool.FindServiceByName("jaild.v1.Jails").FindMethodByName("StopJail")
    request, response = (message_factory.GetMessageClass(kind) for kind in (method.input_type, method.output_type))
    call = local.unary_unary(
        "/jaild.v1.Jails/StopJail",
        request_serializer=request.SerializeToString,
        response_deserializer=response.FromString,
    )
    operation = await call(request(name="jails/web"))
    assert json_format.MessageToDict(operation, descriptor_pool=pool)["metadata"]["kind"] == "stop"


@pytest.mark.parametrize("service", ["", *SERVICES])
async def test_health_is_serving_for_each_service(local: grpc.aio.Channel, service: str) -> None:
    stub: Any = health_pb2_grpc.HealthStub(local)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_the_health_of_an_unknown_service_is_not_found(local: grpc.aio.Channel) -> None:
    stub: Any = health_pb2_grpc.HealthStub(local)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Check(health_pb2.HealthCheckRequest(service="odd"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_health_watch_ends_with_the_daemon(server: api.ApiServer, local: grpc.aio.Channel) -> None:
    stub: Any = health_pb2_grpc.HealthStub(local)
    watch = stub.Watch(health_pb2.HealthCheckRequest())
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    async with asyncio.timeout(10):
        await server.stop(60)
    with stubs.refused("SHUTTING_DOWN"):
        while (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING:
            pass


async def test_the_socket_is_readable_by_its_owner_only_and_gone_afterwards(
    server: api.ApiServer, tmp_path: Path
) -> None:
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600
    await server.stop(0)
    assert not (tmp_path / "s").exists()


async def test_a_socket_left_over_by_a_crash_is_taken_over(fakes: Fakes, tmp_path: Path) -> None:
    listener = await asyncio.start_unix_server(lambda *_: None, tmp_path / "s")
    listener.close()
    assert (tmp_path / "s").exists()
    api_server = api.ApiServer(fakes.services(), fakes.audit, socket=tmp_path / "s")
    await api_server.start()
    async with grpc.aio.insecure_channel(f"unix:{tmp_path / 's'}") as channel:
        assert (await stubs.host(channel).GetHost(host_pb2.GetHostRequest())).name == "alpha"
    await api_server.stop(0)


async def test_a_socket_that_cannot_be_is_said_by_name(fakes: Fakes, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="no/such/s") as caught:
        await api.ApiServer(fakes.services(), fakes.audit, socket=tmp_path / "no/such/s").start()
    assert caught.value.reason == "LISTEN_FAILED"


async def test_a_port_that_is_taken_is_not_shared(
    server: api.ApiServer, fakes: Fakes, tmp_path: Path, certificates: dict[str, TlsFiles]
) -> None:
    tcp = api.Tcp(address=f"127.0.0.1:{server.port}", tls=certificates["server"])
    with pytest.raises(UnavailableError, match="LISTEN_FAILED"):
        await api.ApiServer(fakes.services(), fakes.audit, socket=tmp_path / "t", tcp=tcp).start()


async def test_a_missing_key_is_said_by_name(fakes: Fakes, tmp_path: Path) -> None:
    nowhere = tmp_path / "none.pem"
    tcp = api.Tcp(address="127.0.0.1:0", tls=TlsFiles(certificate=nowhere, key=nowhere, authority=nowhere))
    with pytest.raises(UnavailableError, match="TLS_FILE_UNREADABLE"):
        await api.ApiServer(fakes.services(), fakes.audit, socket=tmp_path / "t", tcp=tcp).start()


async def test_a_refusal_carries_reason_hint_and_problems(fakes: Fakes, local: grpc.aio.Channel) -> None:
    problem = Problem(severity=Severity.ERROR, code="MISSING_LIBRARY", message="libx is missing", subject="/bin/x")
    fakes.jails.refusal = FailedPreconditionError(
        "PLAN_REFUSED", "refused", hint="look", resource="jails/a", detail={"n": "1"}, problems=[problem]
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stubs.jails(local).StartJail(jails_pb2.StartJailRequest(name="jails/a"))
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.FAILED_PRECONDITION, "refused")
    trailer: Any = caught.value.trailing_metadata()
    (details,) = [value for key, value in trailer if key == "grpc-status-details-bin"]
    sent = status_pb2.Status.FromString(details)
    info, packed = error_details_pb2.ErrorInfo(), common_pb2.Problem()
    assert sent.details[0].Unpack(info)
    assert sent.details[1].Unpack(packed)
    assert dict(info.metadata) == {"hint": "look", "remedy": "look", "resource": "jails/a", "n": "1"}
    assert (packed.code, packed.severity) == ("MISSING_LIBRARY", common_pb2.SEVERITY_ERROR)


async def test_a_refusal_full_of_problems_still_arrives_as_itself(fakes: Fakes, local: grpc.aio.Channel) -> None:
    problems = [Problem(severity=Severity.ERROR, code="C", message="ß" * 900, evidence=("e" * 900,))] * 200
    fakes.jails.refusal = FailedPreconditionError(
        "PLAN_REFUSED", "€" * 9000, hint="r" * 9000, detail={"stderr": "x" * 70_000}, problems=problems
    )
    with stubs.refused("PLAN_REFUSED"):
        await stubs.jails(local).StartJail(jails_pb2.StartJailRequest(name="jails/a"))


async def test_a_defect_is_internal_logged_and_not_shown(
    fakes: Fakes, local: grpc.aio.Channel, logs: list[EventDict]
) -> None:
    fakes.jails.refusal = KeyError("secret path")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stubs.jails(local).StartJail(jails_pb2.StartJailRequest(name="jails/a"))
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert stubs.error_in(caught.value).reason == "INTERNAL"
    assert "secret" not in str(caught.value)
    assert [(log["event"], log["method"], repr(log["exc_info"])) for log in logs] == [
        ("unexpected error", "/jaild.v1.Jails/StartJail", "KeyError('secret path')")
    ]


async def test_an_error_in_a_stream_arrives_as_in_a_single_answer(fakes: Fakes, local: grpc.aio.Channel) -> None:
    fakes.events.refusal = FailedPreconditionError("NO_EVENTS", "none")
    with stubs.refused("NO_EVENTS"):
        await stubs.events(local).WatchEvents(events_pb2.WatchEventsRequest()).read()


async def test_lists_come_in_pages(fakes: Fakes, local: grpc.aio.Channel) -> None:
    fakes.jails.jails = {name: made.jail(name) for name in ("c", "a", "b")}
    first = await stubs.jails(local).ListJails(jails_pb2.ListJailsRequest(page_size=2))
    assert [jail.name for jail in first.jails] == ["jails/a", "jails/b"]
    rest = await stubs.jails(local).ListJails(jails_pb2.ListJailsRequest(page_size=2, page_token=first.next_page_token))
    assert ([jail.name for jail in rest.jails], rest.next_page_token) == (["jails/c"], "")
    with stubs.refused("INVALID_PAGE_TOKEN"):
        await stubs.bases(local).ListBases(bases_pb2.ListBasesRequest(page_token=first.next_page_token))


async def test_releases_of_all_apps_are_listed_under_the_dash(fakes: Fakes, local: grpc.aio.Channel) -> None:
    fakes.releases.releases = (made.release("web", "2", pushed=3), made.release("web", "1"), made.release("db", "9"))
    everything = await stubs.apps(local).ListReleases(apps_pb2.ListReleasesRequest(parent="apps/-"))
    assert [release.name for release in everything.releases] == [
        "apps/db/releases/9",
        "apps/web/releases/1",
        "apps/web/releases/2",
    ]
    one = await stubs.apps(local).ListReleases(apps_pb2.ListReleasesRequest(parent="apps/db"))
    assert [release.name for release in one.releases] == ["apps/db/releases/9"]
    apps = await stubs.apps(local).ListApps(apps_pb2.ListAppsRequest())
    assert [(app.name, app.release_count) for app in apps.apps] == [("apps/db", 1), ("apps/web", 2)]


async def test_generations_come_newest_first_and_one_is_active(fakes: Fakes, local: grpc.aio.Channel) -> None:
    fakes.jails.jails["web"] = made.jail("web")  # generation 2
    fakes.jails.history = tuple(Generation(number=n, spec=JailSpec(base="b"), base="b") for n in (3, 1, 2))
    found = await stubs.jails(local).ListGenerations(jails_pb2.ListGenerationsRequest(parent="jails/web"))
    assert [(item.number, item.active) for item in found.generations] == [(3, False), (2, True), (1, False)]
    one = await stubs.jails(local).GetGeneration(jails_pb2.GetGenerationRequest(name="jails/web/generations/2"))
    assert (one.name, one.active) == ("jails/web/generations/2", True)
    with stubs.refused("GENERATION_NOT_FOUND"):
        await stubs.jails(local).GetGeneration(jails_pb2.GetGenerationRequest(name="jails/web/generations/9"))


async def test_a_spec_comes_as_message_yaml_or_template(fakes: Fakes, local: grpc.aio.Channel) -> None:
    forms = [
        jails_pb2.SpecSource(spec=jails_pb2.JailSpec(base="b")),
        jails_pb2.SpecSource(yaml="base: b"),
        jails_pb2.SpecSource(template=jails_pb2.Template(name="t", values={"base": "b"})),
    ]
    for form in forms:
        await stubs.jails(local).CreateJail(jails_pb2.CreateJailRequest(jail_id="a", spec=form, request_id="r"))
    created = [(args, kwargs) for method, args, kwargs in fakes.jails.calls if method == "create"]
    assert [args for args, _ in created] == [("a", JailSpec(base="b"))] * 3
    assert {kwargs["caller"].request_id for _, kwargs in created} == {"r"}
    with stubs.refused("SPEC_MISSING"):
        await stubs.jails(local).CreateJail(jails_pb2.CreateJailRequest(jail_id="a"))
    with stubs.refused("INVALID_SPEC"):
        await stubs.jails(local).CreateJail(
            jails_pb2.CreateJailRequest(jail_id="a", spec=jails_pb2.SpecSource(yaml="bass: b"))
        )


async def test_what_a_request_accepts_comes_with_who_asks_and_stands_on_the_generation(
    fakes: Fakes, local: grpc.aio.Channel
) -> None:
    name, release = "jails/web", "apps/web/releases/2"
    fakes.jails.jails["web"] = made.jail("web")
    known = common_pb2.AcceptedProblem(code="MISSING_LIBRARY", subject="/x", reason="unused", accepted_by="mallory")
    await stubs.jails(local).DeployRelease(
        jails_pb2.DeployReleaseRequest(name=name, release=release, request_id="r", accept=[known])
    )
    ((_, _, kwargs),) = [call for call in fakes.jails.calls if call[0] == "deploy"]
    accepted = Accepted(code="MISSING_LIBRARY", subject="/x", reason="unused", by="local")
    assert (kwargs["caller"].accepted, kwargs["caller"].request_id) == ((accepted,), "r")
    for wrong in (
        common_pb2.AcceptedProblem(code="KERNEL_TOO_OLD", reason="r"),
        common_pb2.AcceptedProblem(code=known.code),
    ):
        with stubs.refused("NOT_ACCEPTABLE"):
            await stubs.jails(local).UpgradeBase(
                jails_pb2.UpgradeBaseRequest(name=name, base="bases/b", accept=[wrong])
            )
    fakes.jails.history = (Generation(number=1, spec=JailSpec(base="b"), base="b", accepted=(accepted,)),)
    found = await stubs.jails(local).GetGeneration(jails_pb2.GetGenerationRequest(name=f"{name}/generations/1"))
    (told,) = found.accepted
    assert (told.code, told.subject, told.reason, told.accepted_by) == ("MISSING_LIBRARY", "/x", "unused", "local")


async def test_a_migration_has_five_seconds_unless_told_otherwise(fakes: Fakes, local: grpc.aio.Channel) -> None:
    request = migrations_pb2.MigrateJailRequest(name="jails/web", target="beta")
    await stubs.migrations(local).MigrateJail(request)
    request.max_downtime.FromMilliseconds(0)
    await stubs.migrations(local).MigrateJail(request)
    assert [kwargs["max_downtime"] for _, _, kwargs in fakes.migrations.calls] == [5.0, 0.0]
    request.max_downtime.FromSeconds(-1)
    with stubs.refused("INVALID_DURATION"):
        await stubs.migrations(local).MigrateJail(request)


async def test_the_host_tells_all_about_itself(local: grpc.aio.Channel) -> None:
    found = await stubs.host(local).GetHost(host_pb2.GetHostRequest())
    absent = {field.name for field in found.DESCRIPTOR.fields} - {field.name for field, _ in found.ListFields()}
    assert absent == {"shut_down", "osreldate", "warnings", "metrics_url"}  # false, 0 on Linux, and none


async def test_a_command_gets_its_input_and_its_status_comes_last(fakes: Fakes, local: grpc.aio.Channel) -> None:
    fakes.jails.jails["web"] = made.jail("web")
    start = jails_pb2.ExecStart(name="jails/web", command=["cat"], environment={"A": "1"}, user="www")
    sent = stubs.stream(
        jails_pb2.ExecInJailRequest(start=start),
        jails_pb2.ExecInJailRequest(stdin=b"ab"),
        jails_pb2.ExecInJailRequest(stdin=b"cd"),
    )
    answers = [answer async for answer in stubs.jails(local).ExecInJail(sent)]
    assert b"".join(answer.stdout for answer in answers) == b"ABCD"
    assert [answer.HasField("exit_status") for answer in answers] == [False, False, True]
    assert fakes.jails.calls == [("exec", ("web", ("cat",)), {"environment": {"A": "1"}, "user": "www"})]


async def test_a_command_on_a_terminal_is_given_sizes_and_signals(fakes: Fakes, local: grpc.aio.Channel) -> None:
    fakes.jails.jails["web"] = made.jail("web")

    async def answers(size: jails_pb2.TerminalSize | None, **part: Any) -> bytes:
        start = jails_pb2.ExecStart(name="jails/web", command=["sh"], terminal=size)
        sent = stubs.stream(jails_pb2.ExecInJailRequest(start=start), jails_pb2.ExecInJailRequest(**part))
        return b"".join([answer.stdout async for answer in stubs.jails(local).ExecInJail(sent)])

    small, huge = jails_pb2.TerminalSize(rows=24, columns=80), jails_pb2.TerminalSize(rows=1 << 16)
    assert await answers(small, resize=jails_pb2.TerminalSize(rows=50)) == b"TerminalSize(rows=50, columns=0)"
    assert fakes.jails.calls[-1][2]["terminal"] == TerminalSize(rows=24, columns=80)
    assert await answers(None, signal="TERM") == repr(signal.SIGTERM).encode()
    assert await answers(None, stdin=b"", end_of_stdin=True) == b""
    for size, part, reason in (
        (None, {"resize": small}, "TERMINAL_MISSING"),
        (small, {"resize": huge}, "TERMINAL_SIZE_INVALID"),
        (huge, {}, "TERMINAL_SIZE_INVALID"),
        (None, {"signal": "SIGTERM"}, "SIGNAL_UNKNOWN"),
        (None, {"start": jails_pb2.ExecStart()}, "CHUNK_EXPECTED"),
    ):
        with stubs.refused(reason):
            await answers(size, **part)


async def test_logs_end_when_the_caller_hangs_up(fakes: Fakes, local: grpc.aio.Channel) -> None:
    call = stubs.jails(local).TailLogs(jails_pb2.TailLogsRequest(name="jails/web", lines=3, follow=True))
    assert (await call.read()).data == b"first\n"
    call.cancel()
    await fakes.jails.logs_closed.wait()


async def test_a_change_whose_caller_hangs_up_is_accepted_whole(fakes: Fakes, local: grpc.aio.Channel) -> None:
    fakes.jails.go_on.clear()
    fakes.jails.jails["web"] = made.jail("web")
    call = stubs.jails(local).RestartJail(jails_pb2.RestartJailRequest(name="jails/web"))
    await fakes.jails.accepting.wait()
    call.cancel()
    await stubs.host(local).GetHost(host_pb2.GetHostRequest())  # the server has seen the cancellation before this one
    fakes.jails.go_on.set()
    await fakes.jails.accepted.wait()
    await fakes.audit.written.wait()
    assert fakes.audit.kept[0].outcome == "OK"


async def test_watches_end_at_once_with_the_daemon(server: api.ApiServer, dial: Dial) -> None:
    watch = stubs.events(dial("watcher")).WatchEvents(events_pb2.WatchEventsRequest())
    await watch.read()
    async with asyncio.timeout(10):
        await server.stop(60)
    with stubs.refused("SHUTTING_DOWN"):
        await watch.read()


async def test_events_say_all_that_they_hold(local: grpc.aio.Channel, fakes: Fakes) -> None:
    request = events_pb2.WatchEventsRequest(after_sequence=7, target="jails/web", no_follow=True)
    (event,) = [event async for event in stubs.events(local).WatchEvents(request)]
    assert (event.sequence, event.kind, event.gap, dict(event.detail)) == (8, "jail.started", True, {"pid": "3"})
    assert fakes.events.calls == [("watch", (7, "jails/web", False), {})]
    with stubs.refused("INVALID_SEQUENCE"):
        await stubs.events(local).WatchEvents(events_pb2.WatchEventsRequest(after_sequence=-2)).read()
