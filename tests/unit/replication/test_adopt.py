"""Taking over what a host that is gone for good left: an interrupted migration's copy, a jail on an imported pool."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from jaild.model import layout
from jaild.model.errors import FailedPreconditionError
from jaild.model.jails.spec import Volume
from jaild.model.layers.records import JailRecord, Ownership, encode
from jaild.model.replication.policy import LEAP
from jaild.model.views import JailState
from tests.fakes.host import ROOT, FakeHost
from tests.hosts import invariants
from tests.hosts.adopting import DOWN, adopt, interrupted
from tests.hosts.asking import reason_of, serves
from tests.hosts.migrating import MARK, SPEC, last_words, migrate, two_hosts, writes_at_its_end
from tests.hosts.standbys import booted, happened, record, stop, written


async def refused(host: FakeHost, confirm: str = "") -> FailedPreconditionError:
    with pytest.raises(FailedPreconditionError) as error:
        await adopt(host, confirm)
    return error.value


@pytest.mark.parametrize("before", ["alpha>beta prepare", "alpha>beta activate"])
async def test_what_an_interrupted_migration_left_is_adopted_on_the_operators_word(tmp_path: Path, before: str) -> None:
    alpha, beta = await interrupted(tmp_path, before)
    asked = await refused(beta, "yes")
    assert asked.reason == "CONFIRMATION_NEEDED"
    assert asked.detail["confirm"] == DOWN
    assert f'jailctl adopt web --force --confirm "{DOWN}"' in asked.hint
    planned = await adopt(beta, plan=True)
    assert planned.plan is not None
    assert any("lose what was written after" in step for step in planned.plan.steps)
    done = await adopt(beta, DOWN)
    assert reason_of(done) == ""
    assert serves(beta, 1)
    assert written(beta) == MARK
    mine = await record(beta)
    assert mine.epoch > LEAP
    assert mine.migration == ""
    await beta.restart(reboot=True)
    await booted(beta)
    assert invariants.running([beta], "web") == ["beta:web.1"]
    await stop((alpha, beta))


async def test_a_source_that_comes_back_after_an_adoption_does_not_start_the_jail(tmp_path: Path) -> None:
    alpha, beta = await interrupted(tmp_path, "alpha>beta prepare")
    assert reason_of(await adopt(beta, DOWN)) == ""
    alpha.runtime.calls.clear()
    await alpha.restart(reboot=True)
    await alpha.quiet()
    await beta.quiet()
    assert alpha.core.use_cases.jails.get("web").state is JailState.FENCED
    assert [call for call in alpha.runtime.calls if call[0] == "start"] == []
    assert await invariants.unsafe((alpha, beta), "web") == []
    await stop((alpha, beta))


async def test_what_was_prepared_is_adopted_with_all_that_came_although_not_all_parts_had_something_to_send(
    tmp_path: Path,
) -> None:
    parted = msgspec.structs.replace(SPEC, volumes={"idle": Volume(path="/var/idle")})
    alpha, beta = await interrupted(tmp_path, "alpha>beta activate", writes_at_its_end, parted)
    assert reason_of(await adopt(beta, DOWN)) == ""
    assert (last_words(beta).read_text(), serves(beta, 1)) == ("end 0", True)
    await stop((alpha, beta))


async def test_a_source_that_still_answers_keeps_its_jail(tmp_path: Path) -> None:
    alpha, beta = await interrupted(tmp_path, "alpha>beta prepare")
    alpha.network.sever()
    await alpha.restart()  # it cannot tell that it has taken the jail back
    alpha.network.heal()
    if (await invariants.records(beta)).get("web"):
        assert (await refused(beta, DOWN)).reason == "OWNER_ANSWERS"
    await alpha.quiet()
    assert serves(alpha, 1)
    await stop((alpha, beta))


async def test_a_copy_of_which_no_round_came_whole_is_not_adopted(tmp_path: Path) -> None:
    alpha, beta = await interrupted(tmp_path, "alpha>beta receive data")
    assert (await refused(beta, DOWN)).reason == "NOTHING_WHOLE"
    assert (await record(beta)).state is Ownership.INCOMING
    await stop((alpha, beta))


async def test_a_jail_of_another_host_on_an_imported_pool_is_adopted_with_the_same_words(tmp_path: Path) -> None:
    alpha, beta = await two_hosts(tmp_path, back=False)
    await alpha.stop()
    mine = (await invariants.records(alpha))["web"]
    await _belongs_to(alpha, mine, "0123-of-another-chassis")
    await alpha.start()
    await alpha.quiet()
    assert invariants.running([alpha], "web") == []
    assert "another host's" in alpha.core.use_cases.jails.get("web").message
    words = (await refused(alpha)).detail["confirm"]
    assert words == "0123-of-another-chassis is down"
    done = await adopt(alpha, words)
    assert reason_of(done) == ""
    assert serves(alpha, 1)
    assert written(alpha) == MARK
    assert (await record(alpha)).epoch > LEAP
    await stop((alpha, beta))


async def test_a_former_owner_whose_name_nobody_knows_and_which_is_back_is_told_and_both_say_so(tmp_path: Path) -> None:
    alpha, beta = await two_hosts(tmp_path, back=False)
    assert reason_of(await alpha.end_of(await migrate(alpha, beta))) == ""
    betas = await record(beta)
    await alpha.stop()
    await alpha.zfs.set(f"{ROOT}/jails/web", {layout.JAIL_PROPERTY: encode(betas)})  # it came by hand
    alpha.network.sever()
    await alpha.start()
    await booted(alpha)
    words = (await refused(alpha)).detail["confirm"]
    assert words == f"{betas.owner} is down, beta has not taken over web"
    assert reason_of(await adopt(alpha, words)) == ""
    alpha.network.heal()
    assert "jails/web" in await happened(beta, "peer.refused")  # a host that is no party: an operator has to look
    assert (await record(alpha)).failover is not None
    await stop((alpha, beta))


async def test_what_is_this_hosts_or_a_standby_is_not_adopted(tmp_path: Path) -> None:
    alpha, beta = await two_hosts(tmp_path, back=False)
    assert (await refused(alpha)).reason == "NOT_ADOPTABLE"
    await stop((alpha, beta))


async def _belongs_to(host: FakeHost, mine: JailRecord, owner: str) -> None:
    other = msgspec.structs.replace(mine, owner=owner)
    await host.zfs.set(f"{ROOT}/jails/web", {layout.JAIL_PROPERTY: encode(other)})
