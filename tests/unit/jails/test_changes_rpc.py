"""Changes that wait for somebody, through the API."""

from __future__ import annotations

import grpc
import msgspec
import pytest
from google.protobuf import duration_pb2

from jaild.model.layers.records import ConfirmWithin, Staged
from jaild.v1 import changes_pb2, jails_pb2, templates_pb2, templates_pb2_grpc
from tests.fakes.use_cases import made, stubs
from tests.fakes.use_cases.every import Fakes

FIVE = duration_pb2.Duration(seconds=300)


@pytest.mark.parametrize("confirm_within", [None, FIVE])
async def test_a_change_hands_on_how_long_it_waits_whether_it_is_only_staged_and_whether_it_is_forced(
    fakes: Fakes, local: grpc.aio.Channel, confirm_within: duration_pb2.Duration | None
) -> None:
    fakes.jails.jails["web"] = made.jail("web")
    source = jails_pb2.SpecSource(yaml="base: b")
    deploy = jails_pb2.DeployReleaseRequest(name="jails/web", release="apps/web/releases/2")
    upgrade = jails_pb2.UpgradeBaseRequest(name="jails/web", base="bases/b")
    configure = jails_pb2.ConfigureJailRequest(name="jails/web", spec=source)
    if confirm_within is not None:
        for request in (deploy, upgrade, configure):
            request.confirm_within.CopyFrom(confirm_within)
            request.stage = True
            request.force = True
    jails = stubs.jails(local)
    await jails.DeployRelease(deploy)
    await jails.UpgradeBase(upgrade)
    await jails.ConfigureJail(configure)
    asked = [
        (kwargs.get("confirm_within", 0), kwargs.get("stage", False), kwargs.get("force", False))
        for _, _, kwargs in fakes.jails.calls
    ]
    assert asked == [(300, True, True) if confirm_within else (0, False, False)] * 3


async def test_a_change_is_confirmed_or_undone(fakes: Fakes, local: grpc.aio.Channel) -> None:
    fakes.jails.jails["web"] = made.jail("web")
    changes = stubs.changes(local)
    await changes.ConfirmChange(changes_pb2.ConfirmChangeRequest(name="jails/web", request_id="r"))
    await changes.RevertChange(changes_pb2.RevertChangeRequest(name="jails/web", validate_only=True))
    (confirm, named, how), (revert, _, then) = fakes.confirmations.calls
    assert (confirm, named, how["caller"].request_id) == ("confirm", ("web",), "r")
    assert (revert, then["validate_only"]) == ("revert", True)


async def test_what_is_staged_is_cut_over_to_or_dropped(fakes: Fakes, local: grpc.aio.Channel) -> None:
    fakes.jails.jails["web"] = made.jail("web")
    changes = stubs.changes(local)
    await changes.CutOver(changes_pb2.CutOverRequest(name="jails/web", validate_only=True))
    await changes.Unstage(changes_pb2.UnstageRequest(name="jails/web", request_id="r"))
    (cutover, named, how), (unstage, _, then) = fakes.staging.calls
    assert (cutover, named, how["validate_only"]) == ("cutover", ("web",), True)
    assert (unstage, then["caller"].request_id) == ("unstage", "r")


async def test_a_jail_tells_what_is_staged(fakes: Fakes, local: grpc.aio.Channel) -> None:
    view = made.jail("web")
    assert view.record is not None
    assert view.generation is not None
    kept = Staged(number=5, etc_state="", local_etc_state="", failed="NOT_HEALTHY: no")
    then = msgspec.structs.replace(view.generation, number=5, release="web/2", reason="deploy", actor="ada")
    fakes.jails.jails["web"] = msgspec.structs.replace(
        view, record=msgspec.structs.replace(view.record, staged=kept), staged=then
    )
    staged = (await stubs.jails(local).GetJail(jails_pb2.GetJailRequest(name="jails/web"))).staged
    assert (staged.generation, staged.release, staged.reason, staged.actor, staged.failure) == (
        *(5, "apps/web/releases/2", "deploy", "ada"),
        "NOT_HEALTHY: no",
    )


async def test_a_jail_tells_what_comes_back_and_when(fakes: Fakes, local: grpc.aio.Channel) -> None:
    view = made.jail("web")
    assert view.record is not None
    confirm = ConfirmWithin(back_to=3, until=1_800_000_000.0, kind="deploy")
    fakes.jails.jails["web"] = msgspec.structs.replace(
        view, record=msgspec.structs.replace(view.record, confirm=confirm)
    )
    jail = await stubs.jails(local).GetJail(jails_pb2.GetJailRequest(name="jails/web"))
    assert (jail.revert_generation, jail.revert_time.seconds) == (3, 1_800_000_000)


async def test_a_stop_by_force_is_handed_on(fakes: Fakes, local: grpc.aio.Channel) -> None:
    fakes.jails.jails["web"] = made.jail("web")
    await stubs.jails(local).StopJail(jails_pb2.StopJailRequest(name="jails/web", force=True))
    assert fakes.jails.calls[0][2]["force"]


async def test_templates_are_listed_without_their_text_and_shown_with_it(local: grpc.aio.Channel) -> None:
    templates = templates_pb2_grpc.TemplatesStub(local)
    (listed,) = (await templates.ListTemplates(templates_pb2.ListTemplatesRequest())).templates
    assert (listed.name, listed.description, list(listed.variables)) == ("templates/redis", "A Redis.", ["base"])
    shown = await templates.GetTemplate(templates_pb2.GetTemplateRequest(name="templates/redis"))
    assert (listed.yaml, shown.yaml) == ("", "base: '${base}'\n")
