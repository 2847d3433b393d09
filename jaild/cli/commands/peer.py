"""`jailctl peer`: the hosts that jails can be moved to from here."""

from __future__ import annotations

import click

from jaild.cli.client import contexts
from jaild.cli.client.connection import READ_SECONDS, connect
from jaild.cli.client.noun import Noun
from jaild.cli.client.settings import Form, Settings
from jaild.cli.output import listing, render
from jaild.cli.output.listing import Column, Look, listed
from jaild.v1 import host_pb2


@click.group("peer", cls=Noun)
def command() -> None:
    """List the hosts that this one may move jails to."""


@command.command("ls", examples=("peer ls",))
@listed
@click.pass_obj
def ls(settings: Settings, *, look: Look) -> None:
    """List peers, where they are, and whether jailctl itself has a context of that name."""
    with connect(settings) as api:
        host = api.host.GetHost(host_pb2.GetHostRequest(), timeout=READ_SECONDS)
    if settings.form is not Form.TABLE:
        addresses = [render.as_dict(peer) for peer in host.peer_addresses]
        render.document(settings.form, {"peers": list(host.peers), "peerAddresses": addresses})
        return
    known = contexts.load().known
    where = {peer.name: peer for peer in host.peer_addresses}
    rows = [(where.get(name, host_pb2.PeerAddress(name=name)), name in known) for name in host.peers]
    listing.table(look, rows, _COLUMNS)


_COLUMNS = (
    Column("NAME", lambda row: row[0].name),
    Column("ADDRESS", lambda row: row[0].address),
    Column("CONTEXT", lambda row: "yes" if row[1] else ""),
    Column("SERVER-NAME", lambda row: row[0].server_name, wide=True),
)
