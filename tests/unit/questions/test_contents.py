"""Questions over contents on a whole host: what differs, who has what, the bill of materials."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import grpc
import pytest

from jaild.model import layout
from jaild.model.access import Role
from jaild.model.contents.question import Kind, question
from jaild.model.errors import FailedPreconditionError, NotFoundError
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.records import Manifest
from jaild.model.views import Caller
from jaild.questions.finding import Found
from jaild.questions.rpc import ContentsServicer
from jaild.v1 import contents_pb2, contents_pb2_grpc
from tests.fakes.host import FakeHost, caller
from tests.fakes.network import Network
from tests.fakes.use_cases.every import Fakes
from tests.hosts.asking import create, deploy, upgrade
from tests.hosts.migrating import migrate
from tests.unit.model.contents.test_dpkg import STATUS

FIXED = STATUS.replace("3.0.11-1~deb12u2", "3.0.15-1~deb12u1").replace("3.0.11-1", "3.0.15-1")
PRODUCT = Caller(actor="team", roles=frozenset({Role.PRODUCT}), apps=frozenset({"other"}))


@pytest.fixture
async def with_bases(host: FakeHost) -> FakeHost:
    await host.add_base("old", {"var/lib/dpkg/status": STATUS, "etc/issue": "old\n"})
    await host.add_base("new", {"var/lib/dpkg/status": FIXED, "etc/issue": "new\n"})
    await create(host, JailSpec(base="old", app="web/1", environment={"KEY": "secret"}))
    return host


async def find(host: FakeHost, kind: Kind, text: str) -> list[Found]:
    return [found async for found in host.core.rooms.questions.finding.find(question(kind, text))]


async def test_the_generations_on_a_layer_with_a_vulnerable_package_are_found(with_bases: FakeHost) -> None:
    await upgrade(with_bases, "new")
    (found,) = await find(with_bases, Kind.PACKAGE, "openssl<3.0.15")
    assert (found.layer, [match.version for match in found.matches]) == ("bases/old", ["3.0.11-1~deb12u2"])
    assert [(use.jail, use.generation, use.active, use.state) for use in found.uses] == [("web", 1, False, "running")]
    (fixed,) = await find(with_bases, Kind.PACKAGE, "libssl3>=3.0.15")
    assert [(use.generation, use.active) for use in fixed.uses] == [(2, True)]


async def test_bases_and_releases_are_found_by_name_and_with_none_that_use_them(with_bases: FakeHost) -> None:
    assert [(found.layer, len(found.uses)) for found in await find(with_bases, Kind.BASE, "*e*")] == [
        ("bases/deb-1", 0),
        ("bases/deb-2", 0),
        ("bases/new", 0),
    ]
    (release,) = await find(with_bases, Kind.RELEASE, "web/1")
    assert [use.jail for use in release.uses] == ["web"]


async def test_a_file_of_the_base_that_the_release_covers_is_not_the_jails(host: FakeHost) -> None:
    await host.add_base("both", {"opt/app/run": "x", "bin/run": "y"})
    await host.add_release("app/1", {"run": "z"}, Manifest(mount_point="/opt/app", command=("/opt/app/run",)))
    await create(host, JailSpec(base="both", app="app/1"))
    base, release = await find(host, Kind.FILE, "/opt/app/run")
    assert (base.layer, base.uses) == ("bases/both", ())
    assert (release.layer, len(release.uses)) == ("apps/app/releases/1", 1)
    (below,) = await find(host, Kind.FILE, "/bin/run")
    assert len(below.uses) == 1
    digest = below.matches[0].name
    assert [found.layer for found in await find(host, Kind.FILE, digest)] == ["bases/both"]


async def test_a_replica_that_needs_a_layer_is_found_without_generations(with_bases: FakeHost) -> None:
    entry = with_bases.core.inventory.jail("web")
    entry.references, entry.layers = {}, ("bases/old", "apps/web/1")
    (base,) = await find(with_bases, Kind.PACKAGE, "openssl<3.0.15")
    (release,) = await find(with_bases, Kind.RELEASE, "web/1")
    assert [(use.jail, use.generation, use.active) for each in (base, release) for use in each.uses] == [
        ("web", 0, False),
        ("web", 0, False),
    ]


async def test_a_layer_that_is_not_in_an_index_is_told_and_not_left_out(with_bases: FakeHost) -> None:
    (with_bases.core.inventory.base("old").folder / layout.CONTENTS).unlink()
    found = await find(with_bases, Kind.PACKAGE, "openssl")
    assert [(each.layer, bool(each.not_indexed)) for each in found] == [("bases/new", False), ("bases/old", True)]


async def test_the_active_generation_is_compared_with_the_one_before(with_bases: FakeHost) -> None:
    await upgrade(with_bases, "new")
    comparisons = with_bases.core.rooms.questions.comparisons
    found = await comparisons.of("web", 0, 0, caller())
    assert (found.before.number, found.after.number) == (1, 2)
    assert [(each.name, each.after) for each in found.packages] == [("libssl3", "3.0.15-1~deb12u1")]
    issue, motd = found.etc
    assert (issue.path, motd.path) == ("/etc/issue", "/etc/motd")
    assert issue.diff.endswith("-old\n+new\n")
    assert [each.name for each in found.spec] == ["base"]
    assert found.notes == ()


async def test_files_of_the_release_and_its_configuration_are_compared(with_bases: FakeHost) -> None:
    await with_bases.add_release("web/9", {"lib/new": "x", "etc/app.conf": "version=9\n"})
    await deploy(with_bases, "web/9")
    found = await with_bases.core.rooms.questions.comparisons.of("web", 1, 2, caller())
    assert "/usr/local/lib/new" in [file.path for file in found.files]
    assert "/usr/local/etc/app.conf" in [file.path for file in found.etc]


async def test_values_are_for_those_who_may_see_them(with_bases: FakeHost) -> None:
    spec = JailSpec(base="old", app="web/1", environment={"KEY": "other"})
    jails = with_bases.core.use_cases.jails
    asked = jails.configure("web", spec, etag="", validate_only=False, caller=caller())
    await with_bases.end_of(await asked)
    comparisons = with_bases.core.rooms.questions.comparisons
    assert [each.after for each in (await comparisons.of("web", 0, 0, caller())).spec] == ["other"]
    assert [each.after for each in (await comparisons.of("web", 0, 0, PRODUCT)).spec] == ["(redacted)"]


async def test_a_jail_that_another_host_owns_is_compared_there(tmp_path: Path) -> None:
    network = Network()
    alpha, beta = (FakeHost(tmp_path / name, name, network) for name in ("alpha", "beta"))
    for each in (alpha, beta):
        await each.start()
    for base in ("old", "new"):
        await alpha.add_base(base, {"etc/issue": base})
    await create(alpha, JailSpec(base="old", command=("/bin/run",)))
    await upgrade(alpha, "new")
    await alpha.end_of(await migrate(alpha, beta))
    found = await beta.core.rooms.questions.comparisons.of("web", 0, 0, caller())
    assert (found.before.base, found.after.base) == ("old", "new")
    with pytest.raises(FailedPreconditionError) as refused:
        await alpha.core.rooms.questions.comparisons.of("web", 0, 0, caller())
    assert (refused.value.reason, "--follow-owner" in refused.value.hint) == ("JAIL_MOVED", True)
    for each in (alpha, beta):
        await each.stop()


async def test_where_there_is_no_earlier_one_or_not_that_one_it_is_said(with_bases: FakeHost) -> None:
    comparisons = with_bases.core.rooms.questions.comparisons
    with pytest.raises(NotFoundError, match="no earlier generation"):
        await comparisons.of("web", 0, 0, caller())
    with pytest.raises(NotFoundError, match="no generation 7"):
        await comparisons.of("web", 1, 7, caller())
    with pytest.raises(NotFoundError, match="there is no jail"):
        await comparisons.of("none", 0, 0, caller())


async def test_without_an_index_the_rest_is_compared_and_what_is_not_is_told(with_bases: FakeHost) -> None:
    await upgrade(with_bases, "new")
    (with_bases.core.inventory.base("old").folder / layout.CONTENTS).unlink()
    found = await with_bases.core.rooms.questions.comparisons.of("web", 0, 0, caller())
    assert len(found.etc) == 2
    assert len(found.notes) == 1


async def test_a_layer_has_a_bill_of_materials(with_bases: FakeHost) -> None:
    sboms = with_bases.core.rooms.questions.sboms
    bill = json.loads(await sboms.of_base("old"))
    assert [each["name"] for each in bill["components"]] == ["libssl3", "adduser"]
    assert json.loads(await sboms.of_release("web", "1"))["metadata"]["component"]["name"] == "web"
    (with_bases.core.inventory.base("old").folder / layout.CONTENTS).unlink()
    with pytest.raises(FailedPreconditionError) as refused:
        await sboms.of_base("old")
    assert refused.value.reason == "NOT_INDEXED"


async def test_a_layer_with_many_users_comes_in_several_messages(
    with_bases: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        await create(with_bases, JailSpec(base="old", app="web/1"), name=name)
    monkeypatch.setattr("jaild.questions.finding.USES", 2)
    questions = with_bases.core.rooms.questions
    servicer: Any = ContentsServicer(questions.comparisons, questions.finding, questions.sboms)
    request = contents_pb2.FindContentsRequest(package="openssl<3.0.15")
    answers = [answer async for answer in servicer.FindContents(request, None)]
    assert [(answer.layer, len(answer.matches), len(answer.uses)) for answer in answers] == [
        ("bases/old", 1, 2),
        ("bases/old", 0, 1),
    ]


async def test_the_api_hands_on_what_is_asked(local: grpc.aio.Channel, fakes: Fakes) -> None:
    stub: Any = contents_pb2_grpc.ContentsStub(local)
    fakes.sboms.text = "{}"
    answer = await stub.GetSbom(contents_pb2.GetSbomRequest(name="apps/web/releases/1"))
    assert (answer.document, fakes.sboms.calls[-1][:2]) == ("{}", ("of_release", ("web", "1")))
    for wrong in (contents_pb2.FindContentsRequest(), contents_pb2.FindContentsRequest(file="relative")):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            [_ async for _ in stub.FindContents(wrong)]
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
