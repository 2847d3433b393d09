"""What hosts say to each other, as messages: `jaild.model.migration.protocol` mirrors them field by field."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import Message

from jaild.model.findings import Finding
from jaild.model.migration.protocol import Acceptance, DatasetState, Offer
from jaild.model.replication.protocol import ReplicaState
from jaild.peer.v1 import peer_pb2, standby_pb2
from jaild.rpc import structs

_REASON = "INVALID_PEER_MESSAGE"


def struct_of(message: Message, wanted: type[structs.T]) -> structs.T:
    """Return a message as a struct. Raises `InvalidArgumentError` (INVALID_PEER_MESSAGE)."""
    return structs.struct_of(message, wanted, reason=_REASON, source=message.DESCRIPTOR.name)


def offer_of(message: peer_pb2.PreflightRequest) -> Offer:
    """Return a request as an offer. Raises `InvalidArgumentError` (INVALID_PEER_MESSAGE)."""
    return struct_of(message, Offer)


def offer_message(offer: Offer) -> peer_pb2.PreflightRequest:
    """Return an offer as a request."""
    return structs.message_of(offer, peer_pb2.PreflightRequest)


def acceptance_of(message: peer_pb2.PreflightResponse) -> Acceptance:
    """Return an answer as a struct. Raises `InvalidArgumentError` (INVALID_PEER_MESSAGE)."""
    return Acceptance(
        findings=tuple(struct_of(finding, Finding) for finding in message.findings),
        missing_layers=tuple(message.missing_layers),
        datasets=tuple(struct_of(dataset, DatasetState) for dataset in message.datasets),
        layers=tuple(struct_of(layer, DatasetState) for layer in message.layers),
    )


def acceptance_message(acceptance: Acceptance) -> peer_pb2.PreflightResponse:
    """Return an answer as a message. What proves a finding stays behind: messages between hosts have no room for it."""
    return peer_pb2.PreflightResponse(
        findings=_findings(acceptance.findings),
        missing_layers=acceptance.missing_layers,
        datasets=[structs.message_of(dataset, peer_pb2.DatasetState) for dataset in acceptance.datasets],
        layers=[structs.message_of(layer, peer_pb2.DatasetState) for layer in acceptance.layers],
    )


def replica_state_of(message: standby_pb2.OfferReplicaResponse) -> ReplicaState:
    """Return an answer as a struct. Raises `InvalidArgumentError` (INVALID_PEER_MESSAGE)."""
    return ReplicaState(
        findings=tuple(struct_of(finding, Finding) for finding in message.findings),
        missing_layers=tuple(message.missing_layers),
        datasets=tuple(struct_of(dataset, DatasetState) for dataset in message.datasets),
        round=message.round,
        taken=message.taken,
    )


def replica_state_message(state: ReplicaState) -> standby_pb2.OfferReplicaResponse:
    """Return an answer as a message, its findings without what proves them."""
    return standby_pb2.OfferReplicaResponse(
        findings=_findings(state.findings),
        missing_layers=state.missing_layers,
        datasets=[structs.message_of(dataset, peer_pb2.DatasetState) for dataset in state.datasets],
        round=state.round,
        taken=state.taken,
    )


def _findings(findings: Sequence[Finding]) -> list[peer_pb2.PeerFinding]:
    return [
        peer_pb2.PeerFinding(
            severity=finding.severity.value,
            code=finding.code,
            message=finding.message,
            subject=finding.subject,
            remedy=finding.remedy,
        )
        for finding in findings
    ]
