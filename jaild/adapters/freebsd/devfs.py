"""The devfs(5) ruleset of a jail's /dev, by its name in devfs.rules(5)."""

from __future__ import annotations

import re
from pathlib import Path

from jaild.adapters.runtime.refusals import FIELD
from jaild.model.errors import FailedPreconditionError
from jaild.ports.process import Processes

DEFAULT = 4  # devfsrules_jail of /etc/defaults/devfs.rules
_FILES = ("defaults/devfs.rules", "devfs.rules")  # the later one has the last word, as in rc.d/devfs
_HEAD = re.compile(r"\[\s*(\w+)\s*=\s*([0-9]+)\s*\]\s*(#.*)?")
_DEPTH = 8  # of rulesets that include each other


def parse(text: str) -> dict[str, int]:
    """Return the rulesets' names and numbers out of a devfs.rules(5)."""
    heads = (_HEAD.fullmatch(line.strip()) for line in text.splitlines())
    return {head[1]: int(head[2]) for head in heads if head}


class Rulesets:
    """The host's rulesets: their names are in `etc`, their rules in the kernel."""

    def __init__(self, processes: Processes, etc: Path) -> None:
        self._processes = processes
        self._etc = etc

    async def number(self, name: str | None) -> int:
        """Return the number of a ruleset that is fit for a jail; of devfsrules_jail if none is named.

        `FailedPreconditionError`: DEVFS_RULESET_UNKNOWN; DEVFS_RULESET_MISSING if it has no rules, which devfs(5) takes
        without a word to show every device of the host; DEVFS_RULESET_OPEN if it does not begin by hiding them all.
        """
        number = DEFAULT if name is None else self._named(name)
        called = f"devfs ruleset {number}" + (f" ({name})" if name else "")
        rules = await self._rules(number)
        if not rules:
            raise FailedPreconditionError(
                "DEVFS_RULESET_MISSING",
                f"{called} has no rules: a jail would see all of the host's devices",
                hint="`sysrc devfs_load_rulesets=YES` and `service devfs restart`, then try again",
                resource=called,
                detail={FIELD: "$.devfs_ruleset"},
            )
        if name is not None and not await self._hide_all(rules, _DEPTH):
            raise FailedPreconditionError(
                "DEVFS_RULESET_OPEN",
                f"{called} does not begin with `hide`, or with a ruleset that does: a jail would see the host's disks",
                hint="let it begin with `add include $devfsrules_hide_all`, as devfsrules_jail does",
                resource=called,
                detail={FIELD: "$.devfs_ruleset"},
            )
        return number

    def _named(self, name: str) -> int:
        known: dict[str, int] = {}
        for file in _FILES:
            if (path := self._etc / file).exists():
                known |= parse(path.read_text("utf-8", "replace"))
        if name not in known:
            raise FailedPreconditionError(
                "DEVFS_RULESET_UNKNOWN",
                f"this host has no devfs ruleset {name}",
                hint=f"this host has {', '.join(known) or 'none'}; others go into /etc/devfs.rules",
                resource=name,
                detail={FIELD: "$.devfs_ruleset"},
            )
        return known[name]

    async def _rules(self, number: int) -> list[str]:
        shown = await self._processes.run(("devfs", "rule", "-s", str(number), "show"), check=False)
        return shown.text.splitlines()

    async def _hide_all(self, rules: list[str], depth: int) -> bool:
        first = rules[0].split()[1:] if rules else []  # `100 include 1`, `100 hide`
        if first[:1] == ["include"] and depth:
            return await self._hide_all(await self._rules(int(first[1])), depth - 1)
        return first == ["hide"]
