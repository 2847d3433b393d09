"""Builds through the API: what the use case is given, and who may ask."""

from __future__ import annotations

import grpc
import pytest

from jaild.model.errors import JaildError
from jaild.v1 import apps_pb2, base_making_pb2, builds_pb2
from tests.fakes.use_cases import made, stubs
from tests.fakes.use_cases.every import Fakes
from tests.fakes.use_cases.server import Dial

RECIPE = "base: b\nmanifest: {command: [x]}\nsteps: [{run: [make]}]\n"


def header(**fields: object) -> builds_pb2.BuildReleaseRequest:
    known = {"parent": "apps/web", "release_id": "2", "recipe_yaml": RECIPE, **fields}
    return builds_pb2.BuildReleaseRequest(header=builds_pb2.BuildReleaseHeader(**known))  # type: ignore[arg-type]


async def test_a_build_hands_on_the_recipe_the_files_and_what_the_header_says(
    fakes: Fakes, local: grpc.aio.Channel
) -> None:
    chunk = builds_pb2.BuildReleaseRequest(chunk=b"files")
    await stubs.builds(local).BuildRelease(stubs.stream(header(sha256="ab", size_bytes=5, request_id="r"), chunk))
    ((method, args, kwargs),) = fakes.builds.calls
    assert (method, args, fakes.builds.taken) == ("build", ("web", "2"), b"files")
    assert (kwargs["sha256"], kwargs["size"], kwargs["validate_only"]) == ("ab", 5, False)
    assert (kwargs["recipe"].base, kwargs["caller"].request_id) == ("b", "r")


async def test_the_header_may_name_another_base_and_an_earlier_release(fakes: Fakes, local: grpc.aio.Channel) -> None:
    await stubs.builds(local).BuildRelease(
        stubs.stream(header(base="bases/c", validate_only=True, **{"from": "apps/web/releases/1"}))
    )
    recipe = fakes.builds.calls[0][2]["recipe"]
    assert (recipe.base, recipe.parent) == ("c", "1")
    assert fakes.builds.calls[0][2]["validate_only"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"recipe_yaml": "base: b\n"}, "INVALID_SPEC"),
        ({"from": "apps/db/releases/1"}, "PARENT_OF_OTHER_APP"),
        ({"parent": "web"}, "INVALID_NAME"),
        ({"release_id": "a/b"}, "INVALID_NAME"),
        ({"size_bytes": -1}, "INVALID_SIZE"),
    ],
)
async def test_a_request_that_is_wrong_in_itself_starts_nothing(
    fakes: Fakes, local: grpc.aio.Channel, fields: dict[str, object], reason: str
) -> None:
    with stubs.refused(reason):
        await stubs.builds(local).BuildRelease(stubs.stream(header(**fields)))
    assert fakes.builds.calls == []


async def test_a_recipes_mistake_names_its_file_and_line(local: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stubs.builds(local).BuildRelease(
            stubs.stream(header(recipe_yaml=RECIPE.replace("run", "rnu"), recipe_source="web.yaml"))
        )
    error: JaildError = stubs.error_in(caught.value)
    assert error.message.startswith("web.yaml, line 3: $.steps[0].rnu")


async def test_a_product_builds_its_own_apps_releases_only(fakes: Fakes, dial: Dial) -> None:
    await stubs.builds(dial("web-team")).BuildRelease(stubs.stream(header()))
    with stubs.refused("APP_REQUIRED"):
        await stubs.builds(dial("web-team")).BuildRelease(stubs.stream(header(parent="apps/db")))
    for name in ("os-team", "watcher"):
        with stubs.refused("ROLE_REQUIRED"):
            await stubs.builds(dial(name)).BuildRelease(stubs.stream(header()))
    assert len(fakes.builds.calls) == 1
    assert fakes.audit.kept[0].target == "apps/web/releases/2"


async def test_a_builds_log_comes_as_it_is(fakes: Fakes, dial: Dial) -> None:
    request = builds_pb2.TailBuildRequest(name="operations/op-1", follow=True)
    text = b"".join([piece.data async for piece in stubs.builds(dial("watcher")).TailBuild(request)])
    assert text == b"== step 1 of 1: run make\nmade\n"
    assert fakes.builds.calls == [("log", ("op-1",), {"follow": True})]


async def test_one_release_is_told_with_its_packages_and_a_pushed_one_without_an_origin(
    fakes: Fakes, local: grpc.aio.Channel
) -> None:
    fakes.releases.releases = (made.release("web", "1"), made.built("web", "2"))
    apps = stubs.apps(local)
    pushed = await apps.GetRelease(apps_pb2.GetReleaseRequest(name="apps/web/releases/1"))
    assert not pushed.HasField("built")
    built = (await apps.GetRelease(apps_pb2.GetReleaseRequest(name="apps/web/releases/2"))).built
    assert (built.base, built.osversion, list(built.packages)) == ("bases/14.1", 1401000, ["web-2"])


async def test_bases_are_installed_and_patched_by_the_source_team(fakes: Fakes, dial: Dial) -> None:
    making = stubs.base_making(dial("os-team"))
    await making.InstallBase(
        base_making_pb2.InstallBaseRequest(
            base_id="15.0", repository="base", packages=["FreeBSD-runtime"], abi="FreeBSD:15:amd64", osversion=1500068
        )
    )
    await making.PatchBase(base_making_pb2.PatchBaseRequest(base_id="14.3-p2", parent="bases/14.3"))
    assert [call[:2] for call in fakes.base_making.calls] == [
        ("install", ("15.0", "base", ("FreeBSD-runtime",), "FreeBSD:15:amd64", 1500068)),
        ("patch", ("14.3-p2", "14.3")),
    ]
    assert [entry.target for entry in fakes.audit.kept] == ["bases/15.0", "bases/14.3-p2"]
    with stubs.refused("INVALID_NAME"):
        await making.PatchBase(base_making_pb2.PatchBaseRequest(base_id="x", parent="14.3"))
    with stubs.refused("ROLE_REQUIRED"):
        await stubs.base_making(dial("web-team")).PatchBase(
            base_making_pb2.PatchBaseRequest(base_id="x", parent="bases/14.3")
        )
