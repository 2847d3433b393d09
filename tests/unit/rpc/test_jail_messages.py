"""Messages of jails that are kept."""

from __future__ import annotations

import msgspec

from jaild.jails.rpc import JailMessages
from jaild.model.access import Role
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.records import Generation
from jaild.model.views import Caller, JailState, JailView
from jaild.rpc.messages.jails import jail_message

GENERATION = Generation(number=1, spec=JailSpec(base="debian-12"), base="debian-12")
BOSS = Caller(actor="boss", roles=frozenset({Role.OPERATOR}))
VIEW = JailView(name="web", state=JailState.STOPPED, generation=GENERATION)


def test_a_jail_that_did_not_change_is_the_same_message() -> None:
    messages = JailMessages()
    first = messages.of(VIEW, BOSS)
    assert first == jail_message(VIEW, BOSS)
    assert messages.of(msgspec.structs.replace(VIEW), BOSS) is first


def test_a_jail_that_changed_in_anything_is_a_new_message() -> None:
    spec = msgspec.structs.replace(GENERATION.spec, labels={"team": "edge"})
    for changed in (
        msgspec.structs.replace(VIEW, state=JailState.RUNNING),
        msgspec.structs.replace(VIEW, used=1),
        msgspec.structs.replace(VIEW, operation="operations/1"),
        msgspec.structs.replace(VIEW, generation=msgspec.structs.replace(GENERATION, spec=spec)),
    ):
        messages = JailMessages()
        messages.of(VIEW, BOSS)
        assert messages.of(changed, BOSS) == jail_message(changed, BOSS)


def test_a_jail_that_is_gone_is_forgotten() -> None:
    messages = JailMessages()
    first, kept = messages.of(VIEW, BOSS), messages.of(msgspec.structs.replace(VIEW, name="other"), BOSS)
    other = msgspec.structs.replace(VIEW, name="other")
    messages.forget_others([other])
    assert messages.of(other, BOSS) is kept
    assert messages.of(VIEW, BOSS) is not first
