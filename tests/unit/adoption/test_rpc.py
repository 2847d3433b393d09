"""The service of adoptions: what its messages become."""

from __future__ import annotations

import grpc
import pytest

from jaild.model.foreign.jail import Tool
from jaild.model.foreign.wish import Wish
from jaild.model.jails.spec import JailSpec
from jaild.v1 import foreign_jails_pb2, foreign_jails_pb2_grpc, jails_pb2
from tests.fakes.use_cases.every import Fakes
from tests.fakes.use_cases.server import certificates, fakes, local, server

__all__ = ["certificates", "fakes", "local", "server"]


async def test_a_request_becomes_a_wish(local: grpc.aio.Channel, fakes: Fakes) -> None:
    stub = foreign_jails_pb2_grpc.ForeignJailsStub(local)
    answer = await stub.AdoptForeignJail(
        foreign_jails_pb2.AdoptForeignJailRequest(
            tool="pot",
            foreign_name="Web",
            jail_id="web",
            root="/opt/pot",
            base="bases/b",
            spec=jails_pb2.SpecSource(yaml="base: b\nhostname: shop\n"),
            stop_old=True,
            stopped=True,
            request_id="r",
            validate_only=True,
        )
    )
    assert answer.name == "operations/f1"
    wish = Wish(
        tool=Tool.POT,
        name="Web",
        jail="web",
        root="/opt/pot",
        base="b",
        spec=JailSpec(base="b", hostname="shop"),
        stop=True,
        stopped=True,
    )
    assert fakes.adoptions.calls == [("adopt", (wish, True, "r", ()), {})]


@pytest.mark.parametrize(("field", "value"), [("tool", "cbsd"), ("jail_id", "Web"), ("base", "a b")])
async def test_a_request_that_is_wrong_is_refused(
    local: grpc.aio.Channel, fakes: Fakes, field: str, value: str
) -> None:
    asked = foreign_jails_pb2.AdoptForeignJailRequest(tool="pot", foreign_name="web", jail_id="web")
    setattr(asked, field, value)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await foreign_jails_pb2_grpc.ForeignJailsStub(local).AdoptForeignJail(asked)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fakes.adoptions.calls == []
