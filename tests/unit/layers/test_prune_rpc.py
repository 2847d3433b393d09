"""Prunes through the API: what the use case is given, and who may ask."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf import duration_pb2

from jaild.v1 import apps_pb2, bases_pb2
from tests.fakes.use_cases import stubs
from tests.fakes.use_cases.every import Fakes
from tests.fakes.use_cases.server import Dial


@pytest.mark.parametrize(
    ("asked", "age"), [(None, 86400.0), (duration_pb2.Duration(), 0.0), (duration_pb2.Duration(seconds=60), 60.0)]
)
async def test_a_day_is_the_least_age_unless_another_is_said(
    fakes: Fakes, local: grpc.aio.Channel, asked: duration_pb2.Duration | None, age: float
) -> None:
    await stubs.bases(local).PruneBases(bases_pb2.PruneBasesRequest(min_age=asked, validate_only=True))
    await stubs.apps(local).PruneReleases(apps_pb2.PruneReleasesRequest(parent="apps/web", min_age=asked))
    bases, releases = fakes.bases.calls[0], fakes.releases.calls[0]
    assert (bases[2]["min_age"], bases[2]["validate_only"]) == (age, True)
    assert (releases[1], releases[2]["min_age"], releases[2]["validate_only"]) == (("web",), age, False)


async def test_all_apps_are_written_as_a_dash(fakes: Fakes, local: grpc.aio.Channel) -> None:
    await stubs.apps(local).PruneReleases(apps_pb2.PruneReleasesRequest(parent="apps/-"))
    assert fakes.releases.calls[0][1] == (None,)


async def test_a_request_that_is_wrong_in_itself_starts_nothing(fakes: Fakes, local: grpc.aio.Channel) -> None:
    with stubs.refused("INVALID_DURATION"):
        await stubs.bases(local).PruneBases(bases_pb2.PruneBasesRequest(min_age=duration_pb2.Duration(seconds=-1)))
    with stubs.refused("INVALID_NAME"):
        await stubs.apps(local).PruneReleases(apps_pb2.PruneReleasesRequest(parent="web"))
    assert fakes.bases.calls == fakes.releases.calls == []


async def test_bases_are_the_source_teams_and_an_app_is_its_teams(fakes: Fakes, dial: Dial) -> None:
    with stubs.refused("ROLE_REQUIRED"):
        await stubs.bases(dial("web-team")).PruneBases(bases_pb2.PruneBasesRequest())
    with stubs.refused("APP_REQUIRED"):
        await stubs.apps(dial("web-team")).PruneReleases(apps_pb2.PruneReleasesRequest(parent="apps/db"))
    assert fakes.bases.calls == fakes.releases.calls == []
