"""All stories, and how one is played."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.transcripts import migrating, monitoring, operators, product_teams, source_team
from tests.transcripts.pages import Block
from tests.transcripts.stage import Acts, Stage, Story, played

_ID = re.compile(r"\b(?:[0-9a-f]{32}|[0-9a-f]{8})\b")
STORIES: dict[str, Story] = {
    "push": product_teams.push,
    "prune": product_teams.prune,
    "build": product_teams.build,
    "typo": product_teams.typo,
    "redacted": product_teams.redacted,
    "symbols": product_teams.symbols,
    "accounts": product_teams.accounts,
    "policy": product_teams.policy,
    "template": product_teams.template,
    "deploy": product_teams.deploy,
    "log-times": product_teams.log_times,
    "restore": product_teams.restore,
    "confirm": product_teams.confirm,
    "staged": product_teams.staged,
    "unhealthy": product_teams.unhealthy,
    "crash-loop": product_teams.crash_loop,
    "import": source_team.imports,
    "upgrade": source_team.upgrade,
    "rollout": source_team.rollout,
    "find": source_team.find,
    "role": operators.role,
    "migrate": operators.migrate,
    "base-rm": operators.base_rm,
    "copies": operators.copies,
    "volume": operators.volume,
    "history": operators.history,
    "budget": operators.budget,
    "test-migration": operators.test_migration,
    "evacuate": operators.evacuate,
    "events": operators.events,
    "standby": operators.standby,
    "top": operators.top,
    "salvage": operators.salvage,
    "adopt-iocage": migrating.iocage,
    "adopt-bastille": migrating.bastille,
    "zabbix": monitoring.zabbix,
    "feeds": monitoring.feeds,
}


class _Ids:
    """The ids that the page had, which its commands may name, and what they are now."""

    def __init__(self) -> None:
        self._now: dict[str, str] = {}

    def learn(self, old: str, new: str) -> None:
        """Compare what a command printed when the page was written with what it prints now."""
        self._now |= dict(zip(_ID.findall(old), _ID.findall(new), strict=False))

    def renewed(self, text: str) -> str:
        """Return a command with the ids of now."""
        return _ID.sub(lambda found: self._now.get(found[0], found[0]), text)


async def play(story: Story, blocks: Sequence[Block]) -> list[str]:
    """Return the blocks' bodies, with what their commands print now. `ValueError` if the story has not as many."""
    ids = _Ids()
    with tempfile.TemporaryDirectory(prefix="jt-") as folder:  # a socket's path must be short
        async with played(Path(folder)) as stage:
            parts, bodies = story(stage), []
            for block in blocks:
                acts = await anext(parts, None)
                if acts is None:
                    raise ValueError(f"{block}: its story has ended before")
                bodies.append(await _body(stage, block, acts, ids))
            if await anext(parts, None) is not None:
                raise ValueError(f"{blocks[-1]}: its story goes on after it")
    return bodies


async def _body(stage: Stage, block: Block, acts: Acts, ids: _Ids) -> str:
    body = ""
    for command in block.commands:
        for begins, act in acts.items():
            if command.text.startswith(begins):
                await act()
        line = replace(command, text=ids.renewed(command.text))
        told = await stage.typed(line)
        ids.learn(command.output, told)
        body += f"{line.prompt}{line.text}\n{told}"
    return body
