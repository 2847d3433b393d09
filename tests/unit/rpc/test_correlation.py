"""The ids that lines of the log have in common, and what of them a peer is told and believed."""

from __future__ import annotations

import asyncio
from contextvars import Context

import pytest
from structlog.contextvars import get_contextvars

from jaild.rpc import correlation


def alone(say: str) -> dict[str, str]:
    """What a task has that nobody has told anything, after a call with that header."""

    def adopt() -> dict[str, str]:
        correlation.adopt((("other", "x"), ("baggage", say)))
        return dict(get_contextvars())

    return Context().run(adopt)


def test_a_peer_is_told_the_ids_and_nothing_else_and_has_them_as_they_were() -> None:
    def said() -> correlation.Metadata:
        assert correlation.metadata() == ()
        correlation.begin(
            operation="4f1c", request='r=1, "ü"; 100%', actor="ops", jail="web", sink="pager", migration=""
        )
        return correlation.metadata()

    ((name, value),) = Context().run(said)
    assert name == "baggage"
    assert value.isascii()
    assert alone(value) == {"operation": "4f1c", "request": 'r=1, "ü"; 100%', "actor": "ops", "jail": "web"}


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("", {}),
        (",,=,;", {}),
        ("jaild.operation", {}),
        ("jaild.level=error,event=x,jaild.event=x", {}),
        ("operation=other, jaild.operation = 1", {}),
        ("vendor=1, jaild.operation=1;ttl=9 , jaild.actor=a", {"operation": "1", "actor": "a"}),
        ("jaild.operation=a%0Ab,jaild.actor=%1b[2J,jaild.jail=web", {"jail": "web"}),
        ("jaild.actor=%ff", {"actor": "\ufffd"}),
        (f"jaild.actor={'x' * 9000}", {"actor": "x" * 256}),
        (",".join(["a=1"] * 64) + ",jaild.actor=a", {}),
    ],
)
def test_what_is_no_id_is_not_believed(said: str, found: dict[str, str]) -> None:
    assert alone(said) == found


async def test_what_is_begun_anew_has_no_ids_of_whoever_began_it() -> None:
    correlation.bind(operation="first", actor="ada")

    async def second() -> dict[str, str]:
        correlation.begin(operation="second")
        return dict(get_contextvars())

    assert await asyncio.create_task(second()) == {"operation": "second"}
    assert get_contextvars()["actor"] == "ada"
