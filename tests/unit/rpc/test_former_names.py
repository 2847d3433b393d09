"""What the first version called otherwise is still understood: methods, reasons, hints, and words of specs."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.longrunning import operations_pb2
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from jaild.model.jails.spec import JailSpec, Mode, Network
from jaild.model.operation import Failure
from jaild.rpc import status
from jaild.rpc.messages import jails
from jaild.v1 import jails_pb2, promotions_pb2, test_migrations_pb2
from tests.fakes.use_cases.every import Fakes


@pytest.mark.parametrize(
    ("method", "request_", "asked"),
    [
        (
            "Promotions/ConfirmJail",
            promotions_pb2.ForceStartJailRequest(name="jails/web", confirm="beta has not", request_id="r"),
            "jaild.v1.Promotions/ForceStartJail",
        ),
        (
            "Rehearsals/RehearseJail",
            test_migrations_pb2.TestMigrationRequest(name="jails/web", target="beta", request_id="r"),
            "jaild.v1.TestMigrations/TestMigration",
        ),
    ],
)
async def test_a_method_answers_to_its_former_name(
    fakes: Fakes, local: grpc.aio.Channel, method: str, request_: Any, asked: str
) -> None:
    call: Any = local.unary_unary(
        f"/jaild.v1.{method}",
        request_serializer=type(request_).SerializeToString,
        response_deserializer=operations_pb2.Operation.FromString,
    )
    assert (await call(request_)).name.startswith("operations/")
    assert [entry.method for entry in fakes.audit.kept] == [asked]


def test_what_to_do_is_told_by_both_names_and_read_by_either() -> None:
    told = status.status_of(Failure(error="AbortedError", reason="WHY", message="m", hint="do"))
    info = error_details_pb2.ErrorInfo()
    told.details[0].Unpack(info)
    assert dict(info.metadata) == {"hint": "do", "remedy": "do"}

    info = error_details_pb2.ErrorInfo(domain=status.DOMAIN, reason="HOST_HALTED", metadata={"remedy": "do", "n": "1"})
    packed = any_pb2.Any()
    packed.Pack(info)
    error = status.error_of(status_pb2.Status(code=9, message="m", details=[packed]))
    assert error is not None
    assert (error.reason, error.hint, error.detail) == ("HOST_SHUT_DOWN", "do", {"n": "1"})


def test_a_spec_is_told_in_todays_words_and_read_in_those_of_before() -> None:
    spec = JailSpec(base="b", network=Network(mode=Mode.SHARED_IP, addresses=("10.0.0.5/24",)))
    told = jails.spec_message(spec)
    assert told.network.mode == "shared-ip"
    assert jails.spec_of(told) == spec
    former = jails_pb2.JailSpec(base="b", network=jails_pb2.Network(mode="shared", addresses=["10.0.0.5/24"]))
    assert jails.spec_of(former) == spec
