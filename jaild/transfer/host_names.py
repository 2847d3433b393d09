"""Which host has which id. A host says it of itself, and of no other; an id is the one that a host's pool carries.

| said | what becomes of it |
|---|---|
| an id that is not known, by a name without one | noted |
| another id than before, by the same name | noted, and told: the host was installed anew |
| an id that another configured host has | refused (HOST_ID_TAKEN): its name must go from the configuration first |
"""

from __future__ import annotations

from jaild.engine.events import Events
from jaild.engine.inventory import Inventory
from jaild.model.errors import PermissionDeniedError
from jaild.model.layers.records import Ownership
from jaild.ports.peer import Peers
from jaild.transfer.journal import Journals

# Records whose `peer` is the name of their `owner`.
_NAMING = frozenset({Ownership.MOVED, Ownership.STANDBY, Ownership.CLAIMED, Ownership.FENCED})


class HostNames:
    """Learns ids. What peers said before this daemon's start is found in the records and journals of this host."""

    def __init__(self, inventory: Inventory, peers: Peers, journals: Journals, events: Events) -> None:
        self._inventory = inventory
        self._peers = peers
        self._journals = journals
        self._events = events

    async def learn(self, name: str, host_id: str) -> None:
        """Note that the host `name`, which is known to be who says it, has this id.

        `PermissionDeniedError` (HOST_ID_TAKEN) if another configured host has it, or this one.
        """
        if not host_id or self._inventory.host_names.get(host_id) == name:
            return
        known = self._known()
        other = known.get(host_id, name)
        if other != name and (other == self._inventory.host_name or other in self._peers.names()):
            raise PermissionDeniedError(
                "HOST_ID_TAKEN",
                f"{name} says that it has the id of {other}",
                remedy=f"if the pool of {other} is {name}'s now: take {other} out of the peers and restart; else see "
                "which of the two has a copy of the other's pool",
                resource=name,
                detail={"host_id": host_id, "known": other},
            )
        before = sorted(each for each, whose in known.items() if whose == name)
        self._inventory.host_names[host_id] = name
        if other != name:
            await self._events.emit("peer.renamed", "host", f"{other} is called {name} now", host=name)
        elif before and host_id not in known:
            message = f"{name} has another host id than before ({', '.join(before)}): it was installed anew"
            await self._events.emit("peer.replaced", "host", message, host=name, host_id=host_id)

    def _known(self) -> dict[str, str]:
        known = {}
        for journal in self._journals.incoming():
            known[journal.offer.source_id] = journal.offer.source_name
        for journal in self._journals.outgoing():
            known[journal.peer_id] = journal.peer
        for entry in self._inventory.jails.values():
            record = entry.record
            if record is not None and record.peer and record.state in _NAMING:
                known[record.owner] = record.peer
        known.pop("", None)
        return known | self._inventory.host_names
