"""Whom an operator vouches for before a failover by force: each silent host that may have become the owner."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from jaild.model import layout
from jaild.model.errors import FailedPreconditionError
from jaild.model.jails.spec import Standby
from jaild.model.layers.records import JailRecord, Ownership, encode
from jaild.model.replication.policy import Orphaned, claimable
from jaild.model.replication.protocol import Known
from tests.fakes.host import ROOT, FakeHost
from tests.fakes.network import Fault
from tests.hosts import invariants
from tests.hosts.adopting import adopt
from tests.hosts.asking import configure, reason_of
from tests.hosts.cutoff import back, cut, joined
from tests.hosts.migrating import migrate
from tests.hosts.standbys import hosts_with, promote, record, rounds, stop

ALONE = "alpha is down"
WORDS = "alpha is down, beta has not taken over web"


async def interrupted(folder: Path, before: str) -> tuple[FakeHost, FakeHost, FakeHost]:
    """Return alpha, dead in the middle of a migration to gamma; beta, its jail's standby; and gamma."""
    alpha, beta = await hosts_with(folder, "beta")
    gamma = await joined(alpha)
    network = alpha.network
    network.at, network.fault, network.counting = (f"alpha>gamma {before}", 0), Fault.CALLER_DIES, True
    await alpha.end_of(await migrate(alpha, gamma))
    network.counting = False
    assert alpha.life.dead
    return alpha, beta, gamma


async def refusal_of_adoption(host: FakeHost, confirm: str = "") -> FailedPreconditionError:
    with pytest.raises(FailedPreconditionError) as error:
        await adopt(host, confirm)
    return error.value


@pytest.mark.parametrize(("before", "state"), [("prepare", Ownership.INCOMING), ("activate", Ownership.PREPARED)])
async def test_a_copy_that_was_coming_is_not_adopted_beside_a_standby_that_may_have_been_promoted(
    tmp_path: Path, before: str, state: Ownership
) -> None:
    _, beta, gamma = await interrupted(tmp_path, before)
    assert (await record(gamma)).state is state
    assert reason_of(await promote(beta, down=True, confirm=ALONE)) == ""
    cut(gamma.network, beta, gamma)
    refused = await refusal_of_adoption(gamma, ALONE)
    assert (refused.reason, refused.detail["confirm"]) == ("CONFIRMATION_NEEDED", WORDS)
    assert invariants.running([beta, gamma], "web") == ["beta:web.1"]
    await stop((beta, gamma))


async def test_a_host_that_adopts_names_the_standbys_that_it_was_vouched_for_and_tells_them(tmp_path: Path) -> None:
    _, beta, gamma = await interrupted(tmp_path, "prepare")
    cut(gamma.network, beta, gamma)
    assert reason_of(await adopt(gamma, WORDS)) == ""
    mine = await record(gamma)
    assert mine.failover is not None
    assert (mine.standbys, mine.failover.untold) == (("beta",), ("alpha", "beta"))
    await stop((beta, gamma))


async def test_a_standby_is_not_promoted_beside_a_host_that_the_jail_has_moved_to_unnoticed(tmp_path: Path) -> None:
    alpha, beta = await hosts_with(tmp_path, "beta")
    gamma = await joined(alpha)
    network = alpha.network
    network.at, network.fault, network.counting = ("alpha>gamma activate", 0), Fault.CALLER_DIES_AFTER, True
    await alpha.end_of(await migrate(alpha, gamma))
    network.counting = False
    cut(network, beta, gamma)
    with pytest.raises(FailedPreconditionError) as refused:
        await promote(beta, down=True, confirm=ALONE)
    assert refused.value.detail["confirm"] == "alpha is down, gamma has not taken over web"
    assert invariants.running([beta, gamma], "web") == ["gamma:web.1"]
    await stop((beta, gamma))


async def test_a_host_that_falls_silent_after_the_word_was_given_ends_the_failover(tmp_path: Path) -> None:
    alpha, beta, gamma = await hosts_with(tmp_path, "beta", "gamma")
    await alpha.stop()
    network = beta.network
    network.at, network.fault, network.counting = ("beta>gamma ownership", 1), Fault.CUT, True
    assert reason_of(await promote(beta, down=True, confirm=ALONE)) == "CONFIRMATION_NEEDED"
    assert network.hit
    network.counting = False
    network.heal()
    assert (await record(beta)).state is Ownership.STANDBY
    assert reason_of(await promote(beta, down=True, confirm=ALONE)) == ""
    await stop((beta, gamma))


async def test_a_jail_on_an_imported_pool_is_not_adopted_before_its_standbys_have_been_vouched_for(
    tmp_path: Path,
) -> None:
    alpha, beta = await hosts_with(tmp_path, "beta")
    await alpha.stop()
    mine = msgspec.structs.replace((await invariants.records(alpha))["web"], owner="0123-of-another-chassis")
    await alpha.zfs.set(f"{ROOT}/jails/web", {layout.JAIL_PROPERTY: encode(mine)})
    await beta.stop()
    await alpha.start()
    await alpha.quiet()
    refused = await refusal_of_adoption(alpha)
    assert refused.detail["confirm"] == "0123-of-another-chassis is down, beta has not taken over web"
    await alpha.stop()


@pytest.mark.parametrize("state", [Ownership.STANDBY, Ownership.INCOMING, Ownership.PREPARED, Ownership.ACTIVE])
def test_each_silent_host_is_in_the_words_whatever_the_state_of_the_copy(state: Ownership) -> None:
    copy = JailRecord(uid="u", owner="a" * 8, epoch=3, state=state, generation=1, peer="alpha")
    answers = {"alpha": None, "gamma": Known(), "delta": None, "beta": None}
    words = "alpha is down, beta has not taken over web, delta has not taken over web"
    assert claimable("web", copy, answers) == Orphaned(words, 3)


def test_words_cover_what_is_found_later_if_they_have_all_of_it() -> None:
    said = "alpha is down, beta has not taken over web"
    assert Orphaned("alpha is down", 3).is_said_in(said)
    assert Orphaned("beta has not taken over web, alpha is down", 3).is_said_in(said)
    assert not Orphaned("alpha is down, gamma has not taken over web", 3).is_said_in(said)


async def test_who_gets_a_jail_knows_at_once_who_has_replicas_of_it_also_if_the_spec_names_them_no_more(
    tmp_path: Path,
) -> None:
    alpha, beta, gamma = await hosts_with(tmp_path, "beta", "gamma")
    assert reason_of(await promote(gamma)) == ""
    generation = gamma.core.inventory.jails["web"].generation
    assert generation is not None
    alone = msgspec.structs.replace(generation.spec, standby=Standby(peers=("gamma",), interval=60.0))
    assert reason_of(await configure(gamma, alone)) == ""  # before it has looked after a replica once
    assert (await record(gamma)).standbys == ("beta",)
    await beta.stop()
    await back(gamma)
    assert gamma.core.inventory.jails["web"].unconfirmed == {"beta"}
    await stop((alpha, gamma))


async def test_a_standby_knows_of_a_replica_that_could_not_be_withdrawn_yet(tmp_path: Path) -> None:
    alpha, beta, gamma = await hosts_with(tmp_path, "beta", "gamma")
    await gamma.stop()
    generation = alpha.core.inventory.jails["web"].generation
    assert generation is not None
    less = msgspec.structs.replace(generation.spec, standby=Standby(peers=("beta",), interval=60.0))
    assert reason_of(await configure(alpha, less)) == ""
    await rounds(alpha)
    replica = (await record(beta)).replica
    assert replica is not None
    assert replica.others == ("gamma",)
    await stop((alpha, beta))
