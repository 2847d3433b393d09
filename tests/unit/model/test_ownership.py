from __future__ import annotations

from itertools import product

import msgspec
import pytest

from jaild.model.errors import FailedPreconditionError
from jaild.model.jails.ownership import advance
from jaild.model.layers.records import JailRecord, Ownership, Restoring, Staged

ACTIVE, FROZEN, MOVED = Ownership.ACTIVE, Ownership.FROZEN, Ownership.MOVED
INCOMING, PREPARED, DELETING = Ownership.INCOMING, Ownership.PREPARED, Ownership.DELETING
STANDBY, CLAIMED, FENCED = Ownership.STANDBY, Ownership.CLAIMED, Ownership.FENCED

# Written down once more, apart from the code: the arrows of the diagram, and the two states that are written over.
ARROWS = {
    (ACTIVE, ACTIVE),  # another generation, another wish
    (ACTIVE, FROZEN),
    (ACTIVE, DELETING),
    (FROZEN, ACTIVE),  # aborted before the commit
    (FROZEN, MOVED),  # the commit
    (MOVED, INCOMING),  # it comes back
    (MOVED, DELETING),  # finalized
    (INCOMING, INCOMING),
    (INCOMING, PREPARED),
    (INCOMING, MOVED),  # aborted: the older copy is kept
    (INCOMING, DELETING),  # aborted: there was none
    (PREPARED, ACTIVE),
    (PREPARED, INCOMING),  # the source has started it again, and goes on sending
    (PREPARED, MOVED),
    (PREPARED, DELETING),
    (ACTIVE, FENCED),  # another host took it over
    (FENCED, DELETING),
    (MOVED, STANDBY),  # the copy that stayed behind becomes the new owner's replica
    (STANDBY, STANDBY),  # another round
    (STANDBY, INCOMING),  # a migration continues it
    (STANDBY, DELETING),
    (INCOMING, STANDBY),  # aborted: it is a replica as before
    (PREPARED, STANDBY),
    (STANDBY, CLAIMED),
    (INCOMING, CLAIMED),  # adopted
    (PREPARED, CLAIMED),
    (CLAIMED, ACTIVE),  # the commit of a failover
    (CLAIMED, STANDBY),  # withdrawn
    (CLAIMED, INCOMING),
    (CLAIMED, PREPARED),
}


def record(state: Ownership, **changes: object) -> JailRecord:
    return msgspec.structs.replace(
        JailRecord(uid="u", owner="here", epoch=3, state=state, generation=2, created=5.0), **changes
    )


def test_a_jail_follows_the_arrows_of_the_diagram() -> None:
    for old, new in ARROWS:
        moved = advance(record(old), new, epoch=4, migration="m")
        assert (old, moved) == (old, record(new, epoch=4, migration="m"))


def test_there_is_no_other_way() -> None:
    for old, new in set(product(Ownership, Ownership)) - ARROWS:
        with pytest.raises(FailedPreconditionError) as caught:
            advance(record(old), new)
        assert (old, new, caught.value.reason) == (old, new, "ILLEGAL_TRANSITION")
        assert old in caught.value.message
        assert new in caught.value.message


def test_a_jail_that_moved_away_runs_here_again_only_through_a_whole_migration() -> None:
    for state in set(Ownership) - {INCOMING, STANDBY, DELETING}:
        with pytest.raises(FailedPreconditionError):
            advance(record(MOVED), state)
    for state in (FROZEN, ACTIVE):
        with pytest.raises(FailedPreconditionError):
            advance(record(INCOMING), state)


def test_what_only_an_owner_is_told_of_stays_with_none_that_is_not() -> None:
    own: dict[str, object] = {"removing": ("db",), "staged": Staged(number=3, etc_state="", local_etc_state="")}
    own |= {"restoring": Restoring(before="before-1", path="/var/x", whole=True)}
    assert advance(record(ACTIVE, **own), FROZEN) == record(FROZEN, **own)
    assert advance(record(FROZEN, **own), MOVED) == record(MOVED)
    assert advance(record(ACTIVE, **own), FENCED) == record(FENCED)
