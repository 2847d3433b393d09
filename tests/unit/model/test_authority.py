"""What may be done with a jail: the whole table, written down once more."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from jaild.model.errors import FailedPreconditionError
from jaild.model.jails.authority import ALLOWED, Claim, Intent, Standing, refusal, require, standing_of, unconfirmed
from jaild.model.layers.records import ConfirmWithin, Desired, JailRecord, Ownership

ACTIVE, FROZEN = Ownership.ACTIVE, Ownership.FROZEN

# By standing: what may be done. READ always may.
MAY = {
    Standing.OWNED: "run on, tell, give up, stop, start, change, settle, copy, test migration, replicate, migrate"
    ", give away, delete, look into, write into",
    Standing.UNCONFIRMED: "run on, tell, give up, stop, copy, look into",
    Standing.SUPERSEDED: "delete, look into",
    Standing.FOREIGN: "delete, adopt, look into",
    Standing.FROZEN: "commit, look into",
    Standing.DOUBTED: "look into",
    Standing.INCOMING: "adopt",
    Standing.PREPARED: "adopt",
    Standing.MOVED: "delete",
    Standing.STANDBY: "delete, promote",
    Standing.CLAIMED: "look into",
    Standing.FENCED: "delete",
    Standing.DELETING: "delete, look into",
}
BETA = frozenset({"beta"})


def claim(state: Ownership, known: int = 0, doubt: frozenset[str] = frozenset(), **changes: object) -> Claim:
    record = JailRecord(uid="u", owner="here", epoch=3, state=state, generation=2, created=5.0)
    return Claim(
        jail="web",
        record=msgspec.structs.replace(record, **changes),
        host="here",
        known_epoch=known,
        unconfirmed=doubt,
    )


CLAIMS = {
    Standing.OWNED: claim(ACTIVE, 3),
    Standing.UNCONFIRMED: claim(ACTIVE, 3, BETA),
    Standing.SUPERSEDED: claim(ACTIVE, 4, BETA),
    Standing.FOREIGN: claim(ACTIVE, owner="there"),
    Standing.FROZEN: claim(FROZEN),
    Standing.DOUBTED: claim(FROZEN, 0, BETA),
    Standing.INCOMING: claim(Ownership.INCOMING, owner="there"),
    Standing.PREPARED: claim(Ownership.PREPARED, owner="there"),
    Standing.MOVED: claim(Ownership.MOVED, owner="there"),
    Standing.STANDBY: claim(Ownership.STANDBY, owner="there"),
    Standing.CLAIMED: claim(Ownership.CLAIMED, owner="there"),
    Standing.FENCED: claim(Ownership.FENCED, owner="there"),
    Standing.DELETING: claim(Ownership.DELETING),
}


def test_what_may_be_done_is_what_the_table_says() -> None:
    assert {standing: found.standing for standing, found in CLAIMS.items()} == {each: each for each in Standing}
    for standing, found in CLAIMS.items():
        allowed = {intent.value for intent in Intent if refusal(intent, found) is None}
        assert (standing, allowed) == (standing, {"read", *MAY[standing].split(", ")} - {""})


def test_every_intent_is_decided() -> None:
    assert set(ALLOWED) == set(Intent)


@pytest.mark.parametrize(("known", "standing"), [(0, Standing.OWNED), (3, Standing.OWNED), (4, Standing.SUPERSEDED)])
def test_a_jail_of_which_a_higher_epoch_was_seen_is_an_old_copy(known: int, standing: Standing) -> None:
    assert standing_of(claim(ACTIVE).record, "here", known) is standing


@pytest.mark.parametrize(
    ("standing", "reason"),
    [
        (Standing.UNCONFIRMED, "STANDBYS_UNCONFIRMED"),
        (Standing.SUPERSEDED, "JAIL_SUPERSEDED"),
        (Standing.FOREIGN, "JAIL_NOT_OWNED"),
        (Standing.FROZEN, "JAIL_MIGRATING"),
        (Standing.DOUBTED, "STANDBYS_UNCONFIRMED"),
        (Standing.INCOMING, "JAIL_INCOMING"),
        (Standing.PREPARED, "JAIL_INCOMING"),
        (Standing.MOVED, "JAIL_MOVED"),
        (Standing.STANDBY, "JAIL_STANDBY"),
        (Standing.CLAIMED, "JAIL_STANDBY"),
        (Standing.FENCED, "JAIL_FENCED"),
        (Standing.DELETING, "JAIL_DELETING"),
    ],
)
def test_a_jail_that_is_not_this_hosts_to_change_says_why(standing: Standing, reason: str) -> None:
    with pytest.raises(FailedPreconditionError) as caught:
        require(Intent.CHANGE, CLAIMS[standing])
    assert (caught.value.reason, caught.value.resource) == (reason, "jails/web")
    assert caught.value.hint


def test_who_cannot_be_promoted_or_adopted_is_told_what_can() -> None:
    for intent, reason in ((Intent.PROMOTE, "JAIL_NOT_STANDBY"), (Intent.ADOPT, "NOT_ADOPTABLE")):
        found = refusal(intent, CLAIMS[Standing.OWNED])
        assert found is not None
        assert found.reason == reason
        assert "active" in found.message


def test_what_lets_an_unconfirmed_jail_go_on_is_said_word_by_word() -> None:
    found = unconfirmed(claim(ACTIVE, 0, frozenset({"gamma", "beta"}), desired=Desired.RUNNING))
    sentence = "beta has not taken over web, gamma has not taken over web"
    assert found.detail["confirm"] == sentence
    assert f'jailctl jail force-start web --confirm "{sentence}"' in found.hint
    assert "starts by itself" in found.hint
    assert "starts by itself" not in unconfirmed(claim(ACTIVE, 0, BETA, desired=Desired.STOPPED)).hint


@pytest.mark.parametrize("intent", list(Intent))
def test_a_jail_whose_change_waits_to_be_confirmed_is_neither_changed_nor_migrated(intent: Intent) -> None:
    waiting = claim(ACTIVE, 3, confirm=ConfirmWithin(back_to=1, until=0.0, kind="deploy"))
    found, settled = refusal(intent, waiting), refusal(intent, CLAIMS[Standing.OWNED])
    if intent in {Intent.CHANGE, Intent.MIGRATE}:
        assert found is not None
        assert (found.reason, settled) == ("CHANGE_UNCONFIRMED", None)
    else:
        assert found == settled


@pytest.mark.parametrize(
    "standing", [Standing.FOREIGN, Standing.MOVED, Standing.STANDBY, Standing.FENCED, Standing.INCOMING]
)
def test_whoever_is_refused_for_another_hosts_jail_is_told_which_host_to_ask(standing: Standing) -> None:
    named = refusal(Intent.START, replace(CLAIMS[standing], owner_name="beta", owner_address="10.0.0.2:8443"))
    assert named is not None
    assert named.detail == {"owner": "beta", "address": "10.0.0.2:8443"}
    assert (named.detail["owner"], "beta" in named.message, "--context beta" in named.hint) == ("beta", True, True)
    unnamed = refusal(Intent.START, CLAIMS[standing])
    assert unnamed is not None
    assert ("another host" in unnamed.message, unnamed.detail) == (True, {})
