"""The part of the daemon of stubs that is asked for jails of others: of lost hosts, of other tools."""

from __future__ import annotations

from typing import Any

from jaild.v1 import foreign_jails_pb2_grpc, promotions_pb2_grpc


class Promotions(promotions_pb2_grpc.PromotionsServicer):  # type: ignore[misc]
    """Answers as the daemon does any change."""

    def __init__(self, daemon: Any) -> None:
        self.PromoteJail = self.AdoptJail = self.ForceStartJail = daemon.change


class ForeignJails(foreign_jails_pb2_grpc.ForeignJailsServicer):  # type: ignore[misc]
    """Answers as the daemon does any change."""

    def __init__(self, daemon: Any) -> None:
        self.AdoptForeignJail = daemon.change


def serve(daemon: Any, server: Any) -> None:
    """Answer for these, too."""
    promotions_pb2_grpc.add_PromotionsServicer_to_server(Promotions(daemon), server)
    foreign_jails_pb2_grpc.add_ForeignJailsServicer_to_server(ForeignJails(daemon), server)
