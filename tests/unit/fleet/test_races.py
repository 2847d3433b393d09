"""Requests that come at once: what one has taken, the other is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from jaild.model.errors import FailedPreconditionError, InvalidArgumentError
from jaild.model.jails.spec import ExecCheck, Mode, Network
from jaild.model.layers.records import Manifest
from jaild.model.migration.protocol import DatasetOffer, JailOffer, LayerOffer, Offer
from jaild.ports.runtime import Output
from tests.fakes.host import FakeHost, caller
from tests.hosts.asking import SPEC, create, reason_of


async def test_two_jails_created_at_once_do_not_get_one_address(host: FakeHost) -> None:
    spec = msgspec.structs.replace(SPEC, network=Network(mode=Mode.SHARED_IP, addresses=("10.0.0.5/24",)))
    results = await asyncio.gather(
        create(host, spec, name="one"), create(host, spec, name="two"), return_exceptions=True
    )
    reasons = [
        result.reason if isinstance(result, FailedPreconditionError) else reason_of(result)  # type: ignore[arg-type]
        for result in results
    ]
    assert sorted(reasons) == ["", "PLAN_REFUSED"]
    assert len(host.core.use_cases.jails.list()) == 1


async def test_a_base_cannot_be_deleted_while_a_jail_is_being_made_on_it(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def waiting(*_: object, **__: object):  # type: ignore[no-untyped-def]  # noqa: ANN202
        asked.set()
        await go_on.wait()
        yield Output(exit_status=0)

    monkeypatch.setattr(host.runtime, "exec", waiting)
    spec = msgspec.structs.replace(SPEC, health=(ExecCheck(command=("check",)),))
    creation = asyncio.create_task(create(host, spec))
    await asked.wait()
    with pytest.raises(FailedPreconditionError) as refused:
        await host.core.use_cases.bases.delete("deb-1", validate_only=False, caller=caller())
    go_on.set()
    assert refused.value.reason == "BASE_IN_USE"
    assert reason_of(await creation) == ""


@pytest.mark.parametrize(
    "jail",
    [
        JailOffer(name="web/data", uid="u", epoch=1, generation=1, generation_json="{}"),
        JailOffer(
            name="web", uid="u", epoch=1, generation=1, generation_json="{}", datasets=(DatasetOffer(path="../x"),)
        ),
        JailOffer(
            name="web",
            uid="u",
            epoch=1,
            generation=1,
            generation_json="{}",
            layers=(LayerOffer(path="jails/other", guid=1),),
        ),
    ],
)
async def test_an_offer_whose_names_are_none_is_refused_before_anything_is_made_of_them(
    host: FakeHost, jail: JailOffer
) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        await host.core.use_cases.incoming.begin(Offer(migration="m", source_id="s", source_name="beta", jail=jail))
    assert refused.value.reason == "INVALID_NAME"


async def test_of_an_upload_that_is_repeated_while_the_first_comes_no_file_is_left(host: FakeHost) -> None:
    both = asyncio.Barrier(2)

    async def chunks() -> AsyncIterator[bytes]:
        await both.wait()
        yield b"no archive"

    async def push() -> str:
        operation = await host.core.use_cases.releases.push(
            "web", "9", chunks(), sha256="", size=0, parent="", manifest=Manifest(), caller=caller("again")
        )
        return (await host.core.use_cases.operations.wait(operation.id, None)).id

    first, second = await asyncio.gather(push(), push())
    assert first == second
    assert await host.files.names(host.folder / "spool") == []
