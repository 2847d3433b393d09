"""The small formats that tools write: shell assignments, fstab(5), devfs.rules(5)."""

from __future__ import annotations

import re
import shlex

from jaild.model.foreign.jail import ForeignMount

_OCTAL = re.compile(r"\\([0-7]{3})")
_RULESET = re.compile(r"^\[(\w+)=(\d+)\]", re.MULTILINE)
_COLUMNS = 4  # source, target, kind, options; fsck(8) and dump(8) want two more


def assignments(text: str) -> list[tuple[str, str]]:
    """Return what lines such as `export a="b"`, `a=b` and `pot.cmd=sh /etc/rc` assign, in their order.

    Nothing is expanded. A value that is not quoted as sh(1) has it is taken as it stands.
    """
    found = []
    for line in text.splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if not equals or name.startswith("#") or not name.strip():
            continue
        found.append((name.strip(), _unquoted(value.strip())))
    return found


def _unquoted(value: str) -> str:
    try:
        return " ".join(shlex.split(value, comments=True))
    except ValueError:
        return value


def mounts(text: str, root: str) -> list[ForeignMount]:
    """Return the lines of an fstab(5) whose targets are below `root`, the jail's own; others are of no jail."""
    found = []
    for line in text.splitlines():
        columns = [_OCTAL.sub(lambda m: chr(int(m[1], 8)), column) for column in line.partition("#")[0].split()]
        if len(columns) < _COLUMNS:
            continue
        source, target, kind, options = columns[:_COLUMNS]
        if target == root or target.startswith(f"{root}/"):
            inside = target.removeprefix(root) or "/"
            readonly = "ro" in options.split(",")
            found.append(ForeignMount(source=source, target=inside, kind=kind, readonly=readonly))
    return found


def rulesets(text: str) -> dict[str, str]:
    """Return the names of a devfs.rules(5)'s rulesets by their numbers."""
    return {"4": "devfsrules_jail", "5": "devfsrules_jail_vnet"} | {n: name for name, n in _RULESET.findall(text)}
