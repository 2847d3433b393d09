"""Only a party to a jail may speak about it; and everybody who is one by right is heard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from jaild.adapters.peers import GrpcPeer
from jaild.model.errors import JaildError, PermissionDeniedError
from jaild.model.layers.records import Ownership
from jaild.model.migration.party import Introduction, Ties
from jaild.model.migration.protocol import Offer, ReceiveHeader, SoFar
from jaild.model.problems import errors
from jaild.model.replication.protocol import ReplicaOffer, RollBack, Supersession, WholeRound
from jaild.transfer.preflight import offer_of
from tests.fakes.host import FakeHost, caller
from tests.fakes.network import LinkedPeers
from tests.hosts import invariants
from tests.hosts.adopting import adopt, interrupted
from tests.hosts.asking import ended, reason_of, serves
from tests.hosts.migrating import migrate, two_hosts
from tests.hosts.standbys import events, happened, hosts_with, promote, record, rounds, stop, view

DOWN = "alpha is down"


async def another(hosts: tuple[FakeHost, ...], name: str = "delta") -> FakeHost:
    """Return one more host on the same network, which has nothing to do with the jail."""
    host = FakeHost(hosts[0].folder.parent / name, name, hosts[0].network)
    host.folder.mkdir(exist_ok=True)
    await host.start()
    return host


def line(source: FakeHost, target: FakeHost) -> GrpcPeer:
    return LinkedPeers(source.network, source).get(target.name)


async def reason(asked: Awaitable[object]) -> str:
    with pytest.raises(JaildError) as refused:
        await asked
    return refused.value.reason


async def offered_by(stranger: FakeHost, owner: FakeHost, epoch: int) -> Offer:
    """Return the offer of the jail with all that a viewer can read of it, as if it were the stranger's."""
    index, entry = owner.core.inventory, owner.core.inventory.jails["web"]
    assert entry.record is not None
    assert entry.generation is not None
    jail = await offer_of(index, owner.zfs, entry, entry.record, entry.generation)
    jail = msgspec.structs.replace(jail, epoch=epoch)
    return Offer(migration="stolen", source_id=stranger.core.inventory.host_id, source_name=stranger.name, jail=jail)


def took_over(host: FakeHost, uid: str, epoch: int = 9000) -> Supersession:
    return Supersession(jail="web", uid=uid, epoch=epoch, owner=host.core.inventory.host_id, owner_name=host.name)


async def nothing() -> AsyncIterator[bytes]:
    for chunk in list[bytes]():
        yield chunk


# -- strangers


async def test_a_stranger_does_not_get_the_jail_by_asking_for_it(tmp_path: Path) -> None:
    hosts = await hosts_with(tmp_path, "beta")
    alpha, delta = hosts[0], await another(hosts)
    uid = (await record(alpha)).uid
    asked = line(delta, alpha).standby.hand_over("web", uid, "delta", "r")
    assert await reason(asked) == "NOT_A_PARTY"
    assert await reason(line(delta, alpha).standby.hand_over("web", uid, "beta", "r")) == "PEER_MISMATCH"
    assert serves(alpha, 1)
    await stop((*hosts, delta))


async def test_a_strangers_word_stops_no_jail_and_is_told(tmp_path: Path) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    delta = await another(hosts)
    before = await record(alpha)
    assert await reason(line(delta, alpha).standby.supersede(took_over(delta, before.uid))) == "NOT_A_PARTY"
    assert await reason(line(delta, alpha).standby.supersede(took_over(beta, before.uid))) == "PEER_MISMATCH"
    assert await record(alpha) == before
    assert serves(alpha, 1)
    (told,) = await events(alpha, "peer.refused")
    assert told.startswith("peer.refused delta has nothing to do with jails/web, as far as alpha knows")
    await stop((*hosts, delta))


async def test_a_stranger_does_not_make_a_replica_its_own(tmp_path: Path) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    delta = await another(hosts)
    before = await record(beta)
    offer = await offered_by(delta, alpha, 9000)
    replica = ReplicaOffer(source_id=offer.source_id, source_name="delta", jail=offer.jail, interval=60.0)
    there, uid = line(delta, beta), before.uid
    assert await reason(there.standby.offer(replica)) == "NOT_A_PARTY"
    assert await reason(there.preflight(offer)) == "NOT_A_PARTY"
    assert await reason(there.begin(offer)) == "NOT_A_PARTY"
    assert await reason(there.standby.supersede(took_over(delta, uid))) == "NOT_A_PARTY"
    for call in (
        there.standby.receive(ReceiveHeader(migration="web", tag="standby-1-1", guid=1), nothing()),
        there.standby.roll_back(RollBack(jail="web", uid=uid, epoch=9000, guid=1)),
        there.standby.complete(WholeRound(jail="web", uid=uid, epoch=9000, round="r", taken=1.0, guids={})),
        there.standby.withdraw("web", uid, 9000),
    ):
        assert await reason(call) == "PEER_MISMATCH"
    assert await record(beta) == before
    await rounds(alpha)
    assert view(alpha, "beta").message == ""
    await stop((*hosts, delta))


async def test_a_stranger_does_not_bring_on_the_copy_that_a_move_has_left(tmp_path: Path) -> None:
    beta, alpha = hosts = await two_hosts(tmp_path, back=True)
    delta = await another(hosts)
    before = await record(alpha)
    assert await reason(line(delta, alpha).begin(await offered_by(delta, beta, 9000))) == "NOT_A_PARTY"
    assert await record(alpha) == before
    await stop((*hosts, delta))


@pytest.mark.parametrize("what", ["abort", "prepare", "activate", "boot_clone", "receive", "files", "report", "begin"])
async def test_a_migration_is_its_sources_and_nobody_elses(tmp_path: Path, what: str) -> None:
    alpha, beta = hosts = await two_hosts(tmp_path, back=False)
    delta = await another(hosts)
    offer = msgspec.structs.replace(await offered_by(alpha, alpha, 1), migration="m", attempt=1)
    await line(alpha, beta).begin(offer)
    there, header = line(delta, beta), ReceiveHeader(migration="m", tag="mig-m-1", guid=1, attempt=1)
    asked: dict[str, Callable[[], Awaitable[object]]] = {
        "abort": lambda: there.abort("m"),
        "prepare": lambda: there.prepare("m", 2, {}),
        "activate": lambda: there.activate("m", 2, SoFar()),
        "boot_clone": lambda: there.boot_clone("m", keep_copy=False),
        "receive": lambda: there.receive(header, nothing()),
        "files": lambda: there.salvage.receive(header, nothing()),
        "report": lambda: there.salvage.finish("m", "{}"),
        "begin": lambda: there.begin(msgspec.structs.replace(offer, source_name="delta", attempt=2)),
    }
    assert await reason(asked[what]()) == "NOT_A_PARTY"
    journal = beta.core.journals.find("m", outgoing=False)
    assert journal is not None
    assert (journal.phase.value, journal.offer.attempt) == ("receiving", 1)
    await stop((*hosts, delta))


async def test_nobody_but_the_target_asks_how_a_migration_ended(tmp_path: Path) -> None:
    beta, alpha = hosts = await two_hosts(tmp_path, back=True)
    delta = await another(hosts)
    (journal,) = beta.core.journals.incoming() or alpha.core.journals.outgoing()
    source, target = (alpha, beta) if journal.peer == "alpha" else (beta, alpha)
    assert await reason(line(delta, source).resolve(journal.id)) == "NOT_A_PARTY"
    assert (await line(target, source).resolve(journal.id)).outcome == "committed"
    await stop((*hosts, delta))


# -- those who are parties by right


async def test_a_jail_that_went_on_to_a_third_host_comes_back_by_the_word_of_the_one_it_was_handed_to(
    tmp_path: Path,
) -> None:
    beta, alpha = hosts = await two_hosts(tmp_path, back=True)
    gamma = await another(hosts, "gamma")
    assert reason_of(await beta.end_of(await migrate(beta, gamma))) == ""
    assert (await record(alpha)).peer == "beta"
    offer = await offered_by(gamma, gamma, 3)
    beta.reachable = False
    assert await reason(line(gamma, alpha).preflight(offer)) == "NOT_A_PARTY"
    (told,) = await events(alpha, "peer.refused")
    assert "one of beta says so; if none of them comes back: remove the copy here (jailctl jail rm web" in told
    beta.reachable = True
    assert errors((await line(gamma, alpha).preflight(offer)).problems) == ()
    await line(gamma, alpha).begin(offer)
    assert (await record(alpha)).state is Ownership.INCOMING
    await stop((*hosts, gamma))


async def test_the_standbys_of_a_jail_that_moved_to_a_host_they_do_not_know_are_told_by_its_former_owner(
    tmp_path: Path,
) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    gamma = await another(hosts, "gamma")
    assert reason_of(await alpha.end_of(await migrate(alpha, gamma))) == ""
    await alpha.quiet()
    assert (await record(beta)).peer == "gamma"
    alpha.reachable = False  # it was emptied to be switched off
    await rounds(gamma)
    assert "NOT_A_PARTY" not in view(gamma, "beta").message
    kept = await record(beta)
    assert (kept.state, kept.peer, kept.epoch) == (Ownership.STANDBY, "gamma", 2)
    await stop((*hosts, gamma))


async def test_a_standby_that_was_not_told_asks_the_former_owner(tmp_path: Path) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    gamma = await another(hosts, "gamma")
    beta.reachable = False
    await ended(
        alpha, alpha.core.use_cases.promotions.force_start("web", "beta has not taken over web", caller=caller())
    )
    assert reason_of(await alpha.end_of(await migrate(alpha, gamma))) == ""
    await alpha.quiet()
    beta.reachable = True
    alpha.reachable = False
    await rounds(gamma)
    assert "NOT_A_PARTY" in view(gamma, "beta").message
    assert (await record(beta)).peer == "alpha"
    alpha.reachable = True
    await rounds(gamma)
    assert "NOT_A_PARTY" not in view(gamma, "beta").message
    assert (await record(beta)).peer == "gamma"
    await stop((*hosts, gamma))


async def test_an_owner_hears_of_a_second_failover_from_a_host_that_it_never_named(tmp_path: Path) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    gamma = await another(hosts, "gamma")
    alpha.reachable = False
    assert reason_of(await promote(beta, down=True, confirm=DOWN)) == ""
    assert reason_of(await beta.end_of(await migrate(beta, gamma))) == ""
    alpha.reachable = True
    theirs = await record(gamma)
    told = took_over(gamma, theirs.uid, theirs.epoch)
    assert await line(gamma, alpha).standby.supersede(told) == theirs.epoch
    assert (await record(alpha)).state is Ownership.FENCED
    assert (await record(alpha)).peer == "gamma"
    assert invariants.running((*hosts, gamma), "web") == ["gamma:web.1"]
    await stop((*hosts, gamma))


async def test_one_of_the_other_standbys_that_took_over_is_believed_by_its_fellow(tmp_path: Path) -> None:
    alpha, beta, gamma = hosts = await hosts_with(tmp_path, "beta", "gamma")
    alpha.reachable = False
    assert reason_of(await promote(gamma, down=True, confirm=DOWN)) == ""
    await rounds(gamma)
    assert (await record(beta)).peer == "gamma"
    assert view(gamma, "beta").message == ""
    await stop(hosts)


async def test_a_target_that_adopted_what_came_is_still_a_party_when_its_source_has_said_that_it_was_aborted(
    tmp_path: Path,
) -> None:
    alpha, beta = await interrupted(tmp_path, "alpha>beta prepare")
    assert reason_of(await adopt(beta, DOWN)) == ""
    beta.reachable = False
    await alpha.restart()  # its jail ran on: it is taken back at once
    beta.reachable = True
    await happened(alpha, "migration.two_owners")
    mine = await record(beta)
    await line(beta, alpha).standby.supersede(took_over(beta, mine.uid, mine.epoch))
    assert (await record(alpha)).state is Ownership.FENCED
    await stop((alpha, beta))


# -- names and ids


async def introduced(here: FakeHost, speaker: str, host_id: str, name: str = "") -> str:
    try:
        await here.core.use_cases.parties.require_party(speaker, Introduction(host_id, name or speaker))
    except PermissionDeniedError as refused:
        return refused.reason
    return ""


async def test_a_host_says_which_id_it_has_itself_and_of_no_other(tmp_path: Path) -> None:
    alpha, beta = hosts = await two_hosts(tmp_path, back=False)
    names, theirs = alpha.core.inventory.host_names, beta.core.inventory.host_id
    assert await introduced(alpha, "gamma", "1234", "beta") == "PEER_MISMATCH"
    assert await introduced(alpha, "beta", theirs) == ""
    assert names[theirs] == "beta"
    delta = await another(hosts)
    assert await introduced(alpha, "delta", theirs) == "HOST_ID_TAKEN"
    assert await introduced(alpha, "delta", alpha.core.inventory.host_id) == "HOST_ID_TAKEN"
    assert names[theirs] == "beta"
    assert names[alpha.core.inventory.host_id] == "alpha"
    await stop((*hosts, delta))


async def test_a_restart_does_not_make_a_host_forget_whose_id_it_is(tmp_path: Path) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    delta = await another(hosts)
    await beta.restart()
    assert await introduced(beta, "delta", alpha.core.inventory.host_id) == "HOST_ID_TAKEN"
    await stop((*hosts, delta))


async def test_a_host_that_was_installed_anew_is_known_by_its_name_and_that_is_told(tmp_path: Path) -> None:
    alpha, beta = hosts = await two_hosts(tmp_path, back=False)
    assert await introduced(alpha, "beta", beta.core.inventory.host_id) == ""
    assert await events(alpha, "peer.replaced") == []
    assert await introduced(alpha, "beta", "5678") == ""
    assert await introduced(alpha, "beta", "5678") == ""
    (told,) = await events(alpha, "peer.replaced")
    assert "beta has another host id than before" in told
    await stop(hosts)


async def test_a_host_whose_old_name_nobody_has_any_more_may_have_a_new_one(tmp_path: Path) -> None:
    hosts = await two_hosts(tmp_path, back=False)
    alpha = hosts[0]
    assert await introduced(alpha, "old-beta", "5678") == ""
    assert await introduced(alpha, "beta", "5678") == ""
    assert await events(alpha, "peer.renamed") == ["peer.renamed old-beta is called beta now"]
    await stop(hosts)


async def test_a_target_with_the_id_of_another_peer_is_not_migrated_to(tmp_path: Path) -> None:
    alpha, beta = hosts = await two_hosts(tmp_path, back=False)
    delta = await another(hosts)
    assert await introduced(alpha, "beta", beta.core.inventory.host_id) == ""
    delta.core.inventory.host_id = beta.core.inventory.host_id
    refused = await alpha.end_of(await migrate(alpha, delta))
    assert reason_of(refused) == "PLAN_REFUSED"
    assert [problem.code for problem in (refused.plan.problems if refused.plan else ())] == ["HOST_ID_TAKEN"]
    assert serves(alpha, 1)
    await stop((*hosts, delta))


def test_whoever_asks_for_a_jail_gets_it_from_its_owner_only_and_only_as_a_standby() -> None:
    ties = Ties(owner="", standbys=frozenset({"beta"}), targets=frozenset({"gamma"}))
    assert [ties.may_ask_for_it(name) for name in ("beta", "gamma", "delta")] == [True, False, False]
    assert not Ties(owner="beta", standbys=frozenset({"beta"}), targets=frozenset()).may_ask_for_it("beta")
