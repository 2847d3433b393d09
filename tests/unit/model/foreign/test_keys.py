"""Every key of a tool's configuration is mapped, or named as not supported; the docs have the same table."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jaild.model.foreign import bastille, ezjail, iocage, pot
from jaild.model.foreign.jail import ForeignJail, Tool
from jaild.model.foreign.keys import Key
from jaild.model.foreign.tools import READERS
from tests.unit.model.foreign import configurations as written

PAGE = Path(__file__).parents[4] / "docs" / "migrating-to-jaild.md"


_QUIET = dict.fromkeys(("sysvmsg", "sysvsem", "sysvshm"), "disable") | {"boot": 0, "vnet": 0, "ip4_addr": None}


def _iocage(key: str, value: str) -> Iterator[ForeignJail]:
    for more in ({}, _QUIET, {"defaultrouter": None}):
        yield iocage.read("web", "/iocage", written.iocage(**(more | ({key: value} if key else {}))))


def _bastille(key: str, value: str) -> Iterator[ForeignJail]:
    setting = f'\n{key}="{value}"\n' if key in bastille.SETTINGS else ""
    more = f"{key} = '{value}';" if key and value and not setting else f"{key};" if key and not setting else ""
    for network in (written.BASTILLE_SHARED, "ip4.addr = 10.0.0.9/24;", "", written.BASTILLE_VNET):
        yield bastille.read("web", "/b", written.bastille(network, more, settings=f'boot="off"\n{setting}', rc=""))


def _pot(key: str, value: str) -> Iterator[ForeignJail]:
    more = f"{key}={value}\n" if key else ""
    for network in (written.POT_PUBLIC, "network_type=alias\n", "network_type=private-bridge\nip=10.192.0.9\n"):
        yield pot.read("web", "/opt/pot", written.pot(network, more))


def _ezjail(key: str, value: str) -> Iterator[ForeignJail]:
    more = f'export jail_web_example_{key}="{value}"\n' if key else ""
    yield ezjail.read("web.example", "/e", written.ezjail(more))


READ: dict[Tool, Callable[[str, str], Iterator[ForeignJail]]] = {
    Tool.IOCAGE: _iocage,
    Tool.BASTILLE: _bastille,
    Tool.POT: _pot,
    Tool.EZJAIL: _ezjail,
}


def of(jail: ForeignJail, field: str) -> Any:
    """Return a field of the spec; `base` is chosen by what the tool says of the release."""
    value: Any = jail.spec
    if field == "base":
        return jail.release
    for name in field.split("."):
        value = getattr(value, name)
    return value


KEYS = [(tool, name, key) for tool, reader in READERS.items() for name, key in reader.keys.items()]


@pytest.mark.parametrize(("tool", "name", "key"), [each for each in KEYS if each[2].to])
def test_a_key_that_is_mapped_sets_its_field(tool: Tool, name: str, key: Key) -> None:
    plain, changed = READ[tool]("", ""), READ[tool](name, key.sample)
    assert any(of(one, key.to) != of(other, key.to) for one, other in zip(plain, changed, strict=True))


@pytest.mark.parametrize(("tool", "name", "key"), [each for each in KEYS if not each[2].to])
def test_a_key_that_is_not_mapped_is_told_when_it_asks_for_something(tool: Tool, name: str, key: Key) -> None:
    assert key.why
    told = [left.key for jail in READ[tool](name, "something") for left in jail.left]
    assert (name in told) is ("*" not in key.quiet)


@pytest.mark.parametrize("tool", list(Tool))
def test_a_key_that_nobody_knows_is_told(tool: Tool) -> None:
    assert all("allow.what" in [left.key for left in jail.left] for jail in READ[tool]("allow.what", "1"))


def rows(tool: Tool) -> list[str]:
    """Return the table of a tool's keys as the page has it: what is alike in one row."""
    becomes: dict[str, list[str]] = {}
    for name, key in READERS[tool].keys.items():
        text = f"`{key.to}`" if key.to else f"not taken along: {key.why}" if "*" not in key.quiet else f"—: {key.why}"
        becomes.setdefault(text, []).append(f"`{name}`")
    lines = [f"| {', '.join(names)} | {text} |" for text, names in becomes.items()]
    return ["| key | becomes |", "|---|---|", *lines]


@pytest.mark.parametrize("tool", list(Tool))
def test_the_page_has_every_key(tool: Tool) -> None:
    mark = re.compile(rf"(<!-- keys: {tool} -->\n)(.*?)(<!-- /keys -->)", re.DOTALL)
    text = PAGE.read_text()
    found = mark.search(text)
    assert found is not None, f"the page has no table of {tool}"
    table = "\n".join(rows(tool)) + "\n"
    if os.environ.get("JAILD_UPDATE_DOCS"):
        PAGE.write_text(mark.sub(lambda match: match[1] + table + match[3], text))
        return
    assert found[2] == table, "JAILD_UPDATE_DOCS=1 writes it anew"
