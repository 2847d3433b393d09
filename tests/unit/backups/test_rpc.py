"""Snapshots and restores through the API."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from jaild.backups.restores import Wanted
from jaild.v1 import snapshots_pb2
from tests.fakes.use_cases import stubs
from tests.fakes.use_cases.every import Fakes


async def test_snapshots_are_told_with_who_took_them_and_what_for(fakes: Fakes, local: grpc.aio.Channel) -> None:
    del fakes
    request = snapshots_pb2.ListJailSnapshotsRequest(parent="jails/web")
    other, mine = (await stubs.snapshots(local).ListJailSnapshots(request)).snapshots
    assert (other.name, other.purpose, other.atomic, other.holds) == ("jails/web/snapshots/autosnap", "", False, 1)
    assert (mine.purpose, mine.actor, list(mine.parts), mine.used_bytes) == ("manual", "alice", [".", "data"], 7)
    assert mine.create_time.seconds == 5


async def test_what_is_asked_for_is_handed_on(fakes: Fakes, local: grpc.aio.Channel) -> None:
    api = stubs.snapshots(local)
    await api.TakeJailSnapshot(
        snapshots_pb2.TakeJailSnapshotRequest(parent="jails/web", snapshot_id="mine", validate_only=True)
    )
    await api.DeleteJailSnapshot(
        snapshots_pb2.DeleteJailSnapshotRequest(name="jails/web/snapshots/mine", request_id="r")
    )
    at = Timestamp(seconds=7, nanos=500_000_000)
    await api.RestoreJail(snapshots_pb2.RestoreJailRequest(name="jails/web", time=at, path="/var/x"))
    await api.RestoreJail(snapshots_pb2.RestoreJailRequest(name="jails/web", snapshot="mine", validate_only=True))
    (take, remove), (by_time, by_name) = fakes.snapshots.calls, fakes.restores.calls
    assert (take[1], take[2]["validate_only"]) == (("web", "mine"), True)
    assert (remove[1], remove[2]["caller"].request_id) == (("web", "mine"), "r")
    assert (by_time[1], by_name[1]) == (("web", Wanted(7.5, "/var/x")), ("web", Wanted("mine")))
    assert [call[2]["validate_only"] for call in (by_time, by_name)] == [False, True]


async def test_a_time_that_is_none_is_refused(fakes: Fakes, local: grpc.aio.Channel) -> None:
    at = Timestamp(seconds=2**62)
    with pytest.raises(grpc.aio.AioRpcError, match="no point in time"):
        await stubs.snapshots(local).RestoreJail(snapshots_pb2.RestoreJailRequest(name="jails/web", time=at))
    assert fakes.restores.calls == []


async def test_a_restore_from_nothing_is_refused(fakes: Fakes, local: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="from which snapshot"):
        await stubs.snapshots(local).RestoreJail(snapshots_pb2.RestoreJailRequest(name="jails/web"))
    assert fakes.restores.calls == []
