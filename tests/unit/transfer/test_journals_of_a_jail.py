"""Journals are looked up by their jail: hosts with many jails have many of them."""

from __future__ import annotations

import pytest

from jaild.model.migration.journal import Journal, Phase
from jaild.model.migration.protocol import JailOffer, Offer
from jaild.transfer.journal import Journals
from tests.fakes.clock import FakeClock
from tests.fakes.store import MemoryStore


def journal(number: int, *, outgoing: bool = True, phase: Phase = Phase.SENDING) -> Journal:
    jail = f"j{number % 10}"
    offered = JailOffer(name=jail, uid=f"uid of {jail}", epoch=1, generation=1, generation_json="{}")
    offer = Offer(migration=f"m{number}", source_id="s", source_name="alpha", jail=offered)
    return Journal(id=f"m{number}", jail=jail, outgoing=outgoing, peer=f"h{number}", phase=phase, offer=offer, epoch=2)


async def test_who_may_have_a_jail_is_looked_for_in_its_own_migrations_only(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Journals(MemoryStore(), FakeClock())
    for number in range(30):
        await known.put(journal(number, outgoing=number < 20))
    looks: list[str] = []

    def counted(found: Journal, _: int = 0) -> bool:
        looks.append(found.id)
        return True

    monkeypatch.setattr("jaild.transfer.journal.may_have_taken", counted)
    monkeypatch.setattr("jaild.transfer.journal.is_target", counted)
    assert known.possible_owners("uid of j3", 1) == known.targets("uid of j3") == {"h3", "h13"}
    assert looks == ["m3", "m13"] * 2
    assert [found.id for found in known.coming("j3")] == ["m23"]
    assert known.coming("other") == []
    assert known.targets("other") == frozenset()


async def test_a_migration_that_went_on_counts_as_it_is_now() -> None:
    known = Journals(MemoryStore(), FakeClock())
    await known.put(journal(3))
    await known.put(journal(3, phase=Phase.FINALIZED))
    assert known.targets("uid of j3") == frozenset()
    await known.put(journal(4, outgoing=False, phase=Phase.RECEIVING))
    assert [found.phase for found in known.coming("j4")] == [Phase.RECEIVING]
