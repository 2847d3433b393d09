"""Who is asked before a jail is started at boot, and what counts when the answers and the operator's word cross."""

from __future__ import annotations

import asyncio
from pathlib import Path

from jaild.model.replication.protocol import Known
from tests.fakes.host import FakeHost, caller
from tests.hosts.asking import reason_of, serves
from tests.hosts.standbys import hosts_with, stop

VOUCHED = "beta has not taken over web, gamma has not taken over web"


class SlowAnswer:
    """Makes a host think about the first question who owns a jail: `asked` is set by it, `answer` lets it go on."""

    def __init__(self, host: FakeHost) -> None:
        self.asked, self.answer = asyncio.Event(), asyncio.Event()
        self._ownership = host.core.replica_store.ownership
        host.core.replica_store.ownership = self._late  # type: ignore[method-assign]

    async def _late(self, jail: str, uid: str) -> Known:
        self.asked.set()
        await self.answer.wait()
        return await self._ownership(jail, uid)


async def test_the_operators_word_holds_although_a_question_was_under_way_when_it_came(tmp_path: Path) -> None:
    alpha, beta, gamma = await hosts_with(tmp_path, "beta", "gamma")
    await beta.stop()
    slow = SlowAnswer(gamma)
    await alpha.restart(reboot=True)
    await slow.asked.wait()
    confirmed = await alpha.core.use_cases.promotions.force_start("web", VOUCHED, caller=caller())
    slow.answer.set()  # beta is silent still
    assert reason_of(await alpha.end_of(confirmed)) == ""
    await alpha.quiet()
    again = await alpha.end_of(await alpha.core.use_cases.jails.restart("web", caller=caller()))
    assert reason_of(again) == ""
    assert serves(alpha, 1)
    await stop((alpha, gamma))
