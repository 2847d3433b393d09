"""Channels over the wire."""

from __future__ import annotations

import grpc
import pytest

from jaild.v1 import channels_pb2, jails_pb2
from tests.fakes.use_cases import stubs
from tests.fakes.use_cases.every import Fakes


async def test_a_channel_is_told_with_who_moved_it_and_who_follows_it(local: grpc.aio.Channel, fakes: Fakes) -> None:
    request = channels_pb2.SetChannelRequest(name="channels/stable", base="bases/b")
    found = await stubs.channels(local).SetChannel(request)
    assert fakes.channels.calls[-1][:2] == ("set", ("stable", "b"))
    assert (found.name, found.base) == ("channels/stable", "bases/b")
    assert [(move.base, move.previous_base, move.actor) for move in found.moves] == [
        ("bases/b", "bases/a", "bob"),
        ("bases/a", "", "ada"),
    ]
    assert (list(found.followers), list(found.behind)) == (["jails/db", "jails/web"], ["jails/web"])
    (listed,) = (await stubs.channels(local).ListChannels(channels_pb2.ListChannelsRequest())).channels
    got = await stubs.channels(local).GetChannel(channels_pb2.GetChannelRequest(name="channels/stable"))
    assert listed == got == found


async def test_a_channel_is_removed_by_its_name(local: grpc.aio.Channel, fakes: Fakes) -> None:
    await stubs.channels(local).DeleteChannel(channels_pb2.DeleteChannelRequest(name="channels/stable"))
    assert fakes.channels.calls[-1][:2] == ("delete", ("stable",))


async def test_an_upgrade_is_to_a_base_or_to_a_channel(local: grpc.aio.Channel, fakes: Fakes) -> None:
    api = stubs.jails(local)
    await api.UpgradeBase(jails_pb2.UpgradeBaseRequest(name="jails/web", channel="channels/stable"))
    assert fakes.jails.calls[-1][:2] == ("upgrade", ("web", "", "stable"))
    for base, channel in (("", ""), ("bases/b", "channels/stable")):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await api.UpgradeBase(jails_pb2.UpgradeBaseRequest(name="jails/web", base=base, channel=channel))
        assert stubs.error_in(caught.value).reason == "BASE_OR_CHANNEL"
