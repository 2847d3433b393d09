"""Operations as messages."""

from __future__ import annotations

from google.longrunning import operations_pb2
from google.protobuf import any_pb2, empty_pb2
from google.protobuf.message import Message

from jaild.model.errors import NotFoundError
from jaild.model.operation import Operation
from jaild.model.phases import Outcome, PhaseReport
from jaild.rpc.messages.plans import plan_message
from jaild.rpc.moments import duration, timestamp
from jaild.rpc.services import Services
from jaild.rpc.status import status_of
from jaild.v1 import common_pb2

_OUTCOMES = {
    Outcome.UNDER_WAY: common_pb2.PHASE_OUTCOME_UNSPECIFIED,
    Outcome.DONE: common_pb2.PHASE_OUTCOME_DONE,
    Outcome.FAILED: common_pb2.PHASE_OUTCOME_FAILED,
    Outcome.UNDONE: common_pb2.PHASE_OUTCOME_UNDONE,
    Outcome.UNTIDY: common_pb2.PHASE_OUTCOME_UNTIDY,
}


class OperationMessages:
    """Makes messages of operations. What came of one is looked up when it is asked for, not stored with it.

    Each is made for who makes the present call.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    def of(self, operation: Operation) -> operations_pb2.Operation:
        """Return an operation as a message."""
        message = operations_pb2.Operation(name=operation.name, done=operation.done)
        message.metadata.Pack(metadata_message(operation))
        if not operation.done:
            return message
        if operation.failure is not None:
            message.error.CopyFrom(status_of(operation.failure))
        else:
            message.response.CopyFrom(_packed(self._response(operation)))
        return message

    def _response(self, operation: Operation) -> Message:
        if operation.result == "plan" and operation.plan is not None:
            return plan_message(operation.plan)
        try:
            return self._services.resource(operation.result)
        except NotFoundError:  # deleted since
            return empty_pb2.Empty()


def metadata_message(operation: Operation) -> common_pb2.OperationMetadata:
    """Return what is told of an operation while it goes on."""
    return common_pb2.OperationMetadata(
        kind=operation.kind,
        target=operation.target,
        phase=operation.phase,
        message=operation.message,
        actor=operation.actor,
        request_id=operation.request_id,
        create_time=timestamp(operation.created),
        update_time=timestamp(operation.updated),
        bytes_done=operation.bytes_done,
        bytes_total=operation.bytes_total,
        predicted_downtime=duration(operation.predicted_downtime),
        downtime=duration(operation.downtime),
        plan=None if operation.plan is None else plan_message(operation.plan),
        rounds=operation.rounds,
        facts=operation.facts,
        cancel_requested=operation.cancel_requested,
        bytes_per_second=operation.rate,
        phases=[_phase_message(report) for report in operation.phases],
    )


def _phase_message(report: PhaseReport) -> common_pb2.PhaseReport:
    return common_pb2.PhaseReport(
        name=report.name,
        start_offset=duration(report.begun),
        duration=duration(report.seconds),
        outcome=_OUTCOMES[report.outcome],
    )


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
