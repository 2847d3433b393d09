"""Channels: names for bases. To set one changes no jail, and what it names cannot be removed."""

from __future__ import annotations

import msgspec
import pytest

from jaild.model.errors import FailedPreconditionError, InternalError, InvalidArgumentError, JaildError, NotFoundError
from jaild.model.jails.spec import JailSpec
from jaild.model.layers.channels import KEPT, Channel, moved
from tests.fakes.host import FakeHost, caller
from tests.hosts.asking import active, configure, create, deploy, ended, reason_of, serves, touched

FOLLOWING = JailSpec(channel="stable", app="web/1")


async def set_to(host: FakeHost, base: str, channel: str = "stable") -> None:
    await host.core.use_cases.channels.set(channel, base, caller=caller())


async def follow(host: FakeHost, channel: str = "stable") -> None:
    jails = host.core.use_cases.jails
    asked = jails.upgrade("web", "", channel, etag="", validate_only=False, caller=caller())
    assert reason_of(await ended(host, asked)) == ""


def behind(host: FakeHost) -> str:
    return host.core.use_cases.jails.get("web").behind


async def test_a_jail_that_follows_a_channel_is_made_on_the_base_that_it_names(host: FakeHost) -> None:
    await set_to(host, "deb-1")
    assert reason_of(await create(host, FOLLOWING)) == ""
    assert (active(host).base, active(host).spec.channel, active(host).spec.base) == ("deb-1", "stable", "")
    assert behind(host) == ""


async def test_to_set_a_channel_changes_no_jail_but_those_that_follow_it_are_behind_until_they_are_upgraded(
    host: FakeHost,
) -> None:
    await set_to(host, "deb-1")
    await create(host, FOLLOWING)
    touched(host)
    await set_to(host, "deb-2")
    assert touched(host) == []
    assert serves(host, 1)
    assert behind(host) == "deb-2"
    view = host.core.use_cases.channels.get("stable")
    assert (view.followers, view.behind) == (("web",), ("web",))
    assert host.store is not None
    event = (await host.store.events(0, "channels/stable", 100))[-1]
    assert (event.kind, event.message) == ("channel.set", "deb-1 -> deb-2; followed by 1 jail, 1 of them behind")

    await follow(host)
    assert (active(host).base, behind(host)) == ("deb-2", "")


async def test_other_changes_leave_a_jail_that_is_behind_on_its_base(host: FakeHost) -> None:
    await set_to(host, "deb-1")
    await create(host, FOLLOWING)
    await set_to(host, "deb-2")
    assert reason_of(await deploy(host, "web/2")) == ""
    other = msgspec.structs.replace(active(host).spec, environment={"A": "1"})
    assert reason_of(await configure(host, other)) == ""
    assert (active(host).number, active(host).base, behind(host)) == (3, "deb-1", "deb-2")


async def test_a_channel_names_only_a_base_that_is_here(host: FakeHost) -> None:
    with pytest.raises(NotFoundError) as caught:
        await set_to(host, "deb-9")
    assert caught.value.reason == "BASE_NOT_FOUND"
    with pytest.raises(InvalidArgumentError):
        await set_to(host, "deb-1", "No Name")
    assert host.core.use_cases.channels.list() == []


async def test_a_base_that_a_channel_names_is_not_removed_and_the_error_says_why(host: FakeHost) -> None:
    await set_to(host, "deb-2")
    with pytest.raises(FailedPreconditionError) as caught:
        await host.core.use_cases.bases.delete("deb-2", validate_only=False, caller=caller())
    assert caught.value.reason == "BASE_IN_USE"
    assert "channels/stable" in caught.value.message
    assert host.core.use_cases.bases.get("deb-2").used_by == ("channels/stable",)

    await set_to(host, "deb-1")
    asked = host.core.use_cases.bases.delete("deb-2", validate_only=False, caller=caller())
    assert reason_of(await ended(host, asked)) == ""


async def test_a_channel_goes_when_no_jail_follows_it(host: FakeHost) -> None:
    await set_to(host, "deb-1")
    await create(host, FOLLOWING)
    with pytest.raises(FailedPreconditionError) as caught:
        await host.core.use_cases.channels.delete("stable", caller=caller())
    assert caught.value.reason == "CHANNEL_IN_USE"
    assert "web" in caught.value.message

    jails = host.core.use_cases.jails
    await ended(host, jails.upgrade("web", "deb-1", etag="", validate_only=False, caller=caller()))
    await host.core.use_cases.channels.delete("stable", caller=caller())
    await host.restart()
    assert host.core.use_cases.channels.list() == []


async def test_who_moved_a_channel_when_from_what_to_what_outlives_the_daemon(host: FakeHost) -> None:
    await set_to(host, "deb-1")
    await set_to(host, "deb-2")
    await set_to(host, "deb-2")  # no change
    await host.restart()
    channel = host.core.use_cases.channels.get("stable").channel
    assert [(move.previous, move.base) for move in channel.moves] == [("", "deb-1"), ("deb-1", "deb-2")]
    assert all(move.actor == caller().actor and move.time for move in channel.moves)


async def test_a_channel_that_cannot_be_written_down_is_not_set(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    await set_to(host, "deb-1")
    assert host.store is not None

    async def fail(_: object) -> None:
        raise InternalError("STORE_FAILED", "no", hint="")

    monkeypatch.setattr(host.store, "put_channel", fail)
    monkeypatch.setattr(host.store, "delete_channel", fail)
    for act in (
        host.core.use_cases.channels.set("stable", "deb-2", caller=caller()),
        host.core.use_cases.channels.set("new", "deb-2", caller=caller()),
        host.core.use_cases.channels.delete("stable", caller=caller()),
    ):
        with pytest.raises(JaildError):
            await act
    assert [(v.channel.name, v.channel.base) for v in host.core.use_cases.channels.list()] == [("stable", "deb-1")]


@pytest.mark.parametrize(
    "spec", [JailSpec(app="web/1"), JailSpec(base="deb-1", channel="stable"), JailSpec(channel="No Name")]
)
async def test_a_spec_says_either_a_base_or_a_channel(host: FakeHost, spec: JailSpec) -> None:
    await set_to(host, "deb-1")
    with pytest.raises(InvalidArgumentError) as caught:
        await create(host, spec)
    assert caught.value.reason == "INVALID_SPEC"


async def test_a_spec_of_a_channel_that_is_not_here_is_refused(host: FakeHost) -> None:
    with pytest.raises(NotFoundError) as caught:
        await create(host, FOLLOWING)
    assert caught.value.reason == "CHANNEL_NOT_FOUND"


def test_the_history_of_a_channel_is_bounded() -> None:
    channel: Channel | None = None
    for number in range(KEPT + 5):
        channel = moved(channel, "stable", f"deb-{number}", time=float(number), actor="ada")
    assert channel is not None
    assert (len(channel.moves), channel.moves[0].base, channel.moves[-1].base) == (KEPT, "deb-5", f"deb-{KEPT + 4}")
