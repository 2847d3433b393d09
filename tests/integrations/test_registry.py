"""Bases and releases through a real registry (Debian's docker-registry) by a real skopeo."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jaild.model.errors import (
    CancelledError,
    DataLossError,
    FailedPreconditionError,
    InvalidArgumentError,
    JaildError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
)
from jaild.model.layers.registry import MANIFEST
from jaild.model.layout import TREE
from jaild.v1 import apps_pb2, bases_pb2
from tests.conftest import LINUX_HOST, require
from tests.e2e import trees
from tests.e2e.client import Client, metadata, refused, response
from tests.e2e.conftest import furnish
from tests.e2e.node import Node, hosted
from tests.integrations.registry_line import Line, line
from tests.integrations.servers import eventually, free_port, listens, server
from tests.ocilayouts import Layout
from tests.patience import patient
from tests.tars import file, folder, picture

pytestmark = pytest.mark.real("skopeo", "docker-registry", *LINUX_HOST)

# htpasswd(1) -nbB team secret
_USERS = "team:$2b$12$zGNJFtYxczP.w1NFql30n.mBzm/v8qZbsjZzM/VvV2/zxznun8J5e\n"
SILENT = f"127.0.0.1:{free_port()}"  # where nobody listens


@dataclass(frozen=True)
class Registry:
    """One that runs."""

    address: str
    blobs: Path

    def image(self, name: str) -> str:
        return f"docker://{self.address}/{name}"


def registry(made: Path, *, users: bool = False) -> Any:
    port = free_port()
    config: dict[str, Any] = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(made / "data")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    made.mkdir()
    if users:
        (made / "users").write_text(_USERS)
        config["auth"] = {"htpasswd": {"realm": "tests", "path": str(made / "users")}}
    (made / "config.json").write_text(json.dumps(config))  # which is YAML
    return port, server(["docker-registry", "serve", made / "config.json"], made / "log")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registries")


@pytest.fixture(scope="module")
def openly(place: Path) -> Iterator[Registry]:
    """One that lets in anybody."""
    require(("docker-registry",))
    port, running = registry(place / "open")
    with running:
        eventually(lambda: listens(port), "the registry listens")
        yield Registry(f"127.0.0.1:{port}", place / "open/data/docker/registry/v2/blobs/sha256")


@pytest.fixture(scope="module")
def locked(place: Path) -> Iterator[Registry]:
    """One that asks for a name and a password."""
    port, running = registry(place / "locked", users=True)
    with running:
        eventually(lambda: listens(port), "the registry listens")
        yield Registry(f"127.0.0.1:{port}", place / "locked/data")


@pytest.fixture(scope="module")
def between(openly: Registry) -> Iterator[Line]:
    """A line to the open one."""
    with line(openly.address) as made:
        yield made


@pytest.fixture(scope="module")
def node(place: Path, openly: Registry, locked: Registry, between: Line) -> Iterator[Node]:
    """A host with tiny-1 and web/1 that may use the registries, of the locked one `team` as somebody whom it knows."""
    require(LINUX_HOST)
    known = base64.b64encode(b"team:secret").decode()
    authfile = place / "auth.json"
    authfile.write_text(json.dumps({"auths": {locked.address: {"auth": known}}}))
    registries = {
        openly.address: {"push": True},
        f"{openly.address}/read": {},
        locked.address: {"push": True},
        f"{locked.address}/team": {"push": True, "authfile": str(authfile)},
        SILENT: {},
        between.address: {},
    }
    with hosted(Node("alpha", config={"registries": registries})) as made:
        furnish(made.api, place)
        yield made
        assert made.busy() == []
        assert list((made.folder / "state/staging").iterdir()) == []
        assert not [words for words in made.programs() if "secret" in str(words)]


def publish_base(api: Client, name: str, image: str, **more: Any) -> Any:
    asked = bases_pb2.PublishBaseRequest(name=f"bases/{name}", image=image, **more)
    return api.done(api.call(api.bases.PublishBase, asked))


def publish_release(api: Client, name: str, image: str) -> Any:
    asked = apps_pb2.PublishReleaseRequest(name=f"apps/{name.replace('/', '/releases/')}", image=image)
    return api.done(api.call(api.apps.PublishRelease, asked))


def pull_base(api: Client, name: str, image: str, **more: Any) -> Any:
    header = bases_pb2.ImportBaseHeader(base_id=name, registry_image=image, **more)
    return api.done(api.call(api.bases.ImportBase, iter([bases_pb2.ImportBaseRequest(header=header)])))


def pull_release(api: Client, name: str, image: str, **more: Any) -> Any:
    app, version = name.split("/")
    header = apps_pb2.PushReleaseHeader(parent=f"apps/{app}", release_id=version, registry_image=image, **more)
    return api.done(api.call(api.apps.PushRelease, iter([apps_pb2.PushReleaseRequest(header=header)])))


def skopeo(*words: str) -> None:
    subprocess.run(["skopeo", "--insecure-policy", *words], check=True, capture_output=True)


def tree(node: Node, layer: str) -> dict[str, tuple[object, ...]]:
    """All that is in a layer, but for what the kernel counts."""
    found = picture(node.seen(f"{layer}/{TREE}"))
    assert found
    return found


def as_a_team_would(made: Path, image: str, **manifest: Any) -> str:
    """Push a release of two layers with skopeo alone; return its digest."""
    layout = Layout(made)
    first = layout.layer(folder("bin"), file("bin/old", b"1"), file("version", b"version 1\n"))
    serve = file("serve", trees.SERVE.encode(), 0o755)
    second = layout.layer(file("bin/.wh.old"), file("version", b"version ci\n"), serve, file("healthy"))
    described = layout.image(first, second)
    if manifest:
        content = json.loads((made / "blobs/sha256" / described["digest"].removeprefix("sha256:")).read_bytes())
        described = layout.document({**content, **manifest}, described["mediaType"])
    layout.finish(described)
    skopeo("copy", "--dest-tls-verify=false", f"oci:{made}", image)
    return str(described["digest"])


def test_a_base_goes_to_a_registry_and_comes_back_the_same_under_another_name_by_its_tag_and_by_its_digest(
    node: Node, openly: Registry
) -> None:
    api = node.api
    pushed = metadata(publish_base(api, "tiny-1", openly.image("base/tiny:1"))).facts["image"]
    image, digest = pushed.rsplit("@", 1)
    assert image == openly.image("base/tiny:1")
    planned = metadata(pull_base(api, "by-tag", image, validate_only=True)).plan
    assert pushed in planned.steps[0]
    by_tag = response(pull_base(api, "by-tag", image), bases_pb2.Base())
    assert (by_tag.image, f"sha256:{by_tag.sha256}") == (pushed, digest)
    response(pull_base(api, "by-digest", openly.image(f"base/tiny@{digest}")), bases_pb2.Base())
    assert tree(node, "bases/by-tag") == tree(node, "bases/tiny-1")
    assert tree(node, "bases/by-digest") == tree(node, "bases/tiny-1")
    api.create("edge-1", trees.spec("by-digest", "web/1"))
    assert api.sh("edge-1", "cat /etc/motd") == "tiny 1\n"
    api.delete("edge-1")
    again = metadata(publish_base(api, "tiny-1", openly.image("base/tiny:again"))).facts["image"]
    assert again.endswith(digest)  # the same bytes: the registry has them once


def test_a_plan_of_a_push_tells_what_the_tag_names_and_pushes_nothing(node: Node, openly: Registry) -> None:
    image = openly.image("base/planned:1")
    plan = publish_base(node.api, "tiny-1", image, validate_only=True)
    assert "not there yet" in metadata(plan).plan.steps[-1]
    pushed = metadata(publish_base(node.api, "tiny-1", image)).facts["image"]
    plan = publish_base(node.api, "tiny-1", image, validate_only=True)
    assert pushed.rsplit("@", 1)[1] in metadata(plan).plan.steps[-1]


def test_a_release_goes_to_a_registry_and_comes_back_with_its_manifest(node: Node, openly: Registry) -> None:
    publish_release(node.api, "web/1", openly.image("team/web:1"))
    pulled = response(pull_release(node.api, "copy/1", openly.image("team/web:1")), apps_pb2.Release())
    assert pulled.manifest.command == list(trees.COMMAND)
    assert tree(node, "apps/copy/1") == tree(node, "apps/web/1")


@pytest.mark.parametrize("where", ["annotation", "given"])
def test_what_a_team_s_ci_pushed_by_skopeo_alone_is_a_release(
    node: Node, openly: Registry, tmp_path: Path, where: str
) -> None:
    image = openly.image(f"team/ci-{where}:1")
    manifest = {"command": list(trees.COMMAND)}
    brought = {"annotations": {MANIFEST: json.dumps(manifest)}} if where == "annotation" else {}
    digest = as_a_team_would(tmp_path / "layout", image, **brought)
    given = {} if brought else {"manifest": apps_pb2.Manifest(command=trees.COMMAND)}
    if given:
        with refused(FailedPreconditionError, "IMAGE_WITHOUT_MANIFEST"):
            pull_release(node.api, f"ci-{where}/1", image, validate_only=True)
    pulled = response(pull_release(node.api, f"ci-{where}/1", image, **given), apps_pb2.Release())
    assert pulled.image == f"{image}@{digest}"
    assert {"bin", "version"} <= tree(node, f"apps/ci-{where}/1").keys()
    assert "bin/old" not in tree(node, f"apps/ci-{where}/1")
    node.api.create("edge-2", trees.spec("tiny-1", f"ci-{where}/1"))
    assert node.api.sh("edge-2", "cat /usr/local/version") == "version ci\n"
    node.api.delete("edge-2")


def test_an_image_upon_an_earlier_release_shares_what_is_the_same(node: Node, openly: Registry, tmp_path: Path) -> None:
    image = openly.image("team/upon:1")
    as_a_team_would(tmp_path / "layout", image)
    earlier = {"from": "apps/web/releases/1", "manifest": apps_pb2.Manifest(command=trees.COMMAND)}
    pulled = response(pull_release(node.api, "web/ci", image, **earlier), apps_pb2.Release())
    assert 0 < pulled.added_bytes < pulled.size_bytes
    assert node.seen(f"apps/web/ci/{TREE}/version").read_text() == "version ci\n"


def test_an_artifact_is_a_release_and_no_base(node: Node, openly: Registry, tmp_path: Path) -> None:
    """As `oras push` makes them: of no platform, with a configuration that is none of an image."""
    layout = Layout(tmp_path / "layout")
    empty = layout.blob(b"{}", "application/vnd.oci.empty.v1+json")
    layer = layout.layer(file("version", b"version oras\n"))
    content = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.example.release",
        "config": empty,
        "layers": [layer],
        "annotations": {MANIFEST: "command: [/bin/true]"},
    }
    layout.finish(layout.document(content, content["mediaType"]))  # type: ignore[arg-type]
    image = openly.image("team/artifact:1")
    skopeo("copy", "--dest-tls-verify=false", f"oci:{layout.folder}", image)
    pulled = response(pull_release(node.api, "artifact/1", image), apps_pb2.Release())
    assert pulled.manifest.command == ["/bin/true"]
    with refused(FailedPreconditionError, "OCI_PLATFORM"):
        pull_base(node.api, "artifact", image)


def test_who_is_known_may_and_who_is_not_is_told_so(node: Node, locked: Registry) -> None:
    publish_base(node.api, "tiny-1", locked.image("team/tiny:1"))
    pull_base(node.api, "known", locked.image("team/tiny:1"))
    with refused(PermissionDeniedError, "REGISTRY_UNAUTHORIZED"):
        publish_base(node.api, "tiny-1", locked.image("base/tiny:1"))
    with refused(PermissionDeniedError, "REGISTRY_UNAUTHORIZED"):
        pull_base(node.api, "unknown", locked.image("other/tiny:1"))


def test_what_is_wrong_is_refused_in_words(node: Node, openly: Registry) -> None:
    api, zeros = node.api, f"@sha256:{'0' * 64}"
    publish_base(api, "tiny-1", openly.image("base/wrong:1"))
    for plan in (True, False):
        with refused(NotFoundError, "IMAGE_NOT_FOUND"):
            pull_base(api, "wrong", openly.image("base/wrong:none"), validate_only=plan)
        with refused(NotFoundError, "IMAGE_NOT_FOUND"):
            pull_base(api, "wrong", openly.image(f"base/wrong{zeros}"), validate_only=plan)
        with refused(InvalidArgumentError, "DIGEST_MISMATCH"):
            pull_base(api, "wrong", openly.image("base/wrong:1"), sha256="0" * 64, validate_only=plan)
        with refused(UnavailableError, "REGISTRY_UNREACHABLE"):
            pull_base(api, "wrong", f"docker://{SILENT}/base:1", validate_only=plan)
        with refused(PermissionDeniedError, "REGISTRY_NOT_ALLOWED"):
            pull_base(api, "wrong", "docker://registry.example.org/base:1", validate_only=plan)
        with refused(InvalidArgumentError, "INVALID_IMAGE"):
            pull_base(api, "wrong", openly.image("base/wrong"), validate_only=plan)
    with refused(PermissionDeniedError, "REGISTRY_NOT_ALLOWED"):
        publish_base(api, "tiny-1", openly.image("read/tiny:1"))
    with refused(InvalidArgumentError, "INVALID_IMAGE"):
        publish_base(api, "tiny-1", openly.image(f"base/tiny{zeros}"))
    assert "wrong" not in api.names_of_bases()


def test_a_blob_that_is_not_what_its_digest_says_is_not_unpacked(node: Node, openly: Registry) -> None:
    pushed = metadata(publish_base(node.api, "tiny-1", openly.image("base/damaged:1"))).facts["image"]
    digest = pushed.rsplit(":", 1)[1]
    manifest = json.loads((openly.blobs / digest[:2] / digest / "data").read_bytes())
    layer = manifest["layers"][0]["digest"].removeprefix("sha256:")
    path = openly.blobs / layer[:2] / layer / "data"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        with refused(DataLossError, "DIGEST_MISMATCH"):
            pull_base(node.api, "damaged", openly.image("base/damaged:1"))
    finally:
        path.write_bytes(whole)
    assert "damaged" not in node.api.names_of_bases()


def incompressible(made: Path, image: str, **more: Any) -> list[str]:
    """Push a base whose second layer is large; return the layers' digests."""
    layout = Layout(made)
    small = layout.layer(*trees.base_items())
    layers = [small, layout.layer(folder("srv"), file("srv/large", os.urandom(3 << 20)))]
    layout.finish(layout.image(*layers))
    skopeo("copy", "--dest-tls-verify=false", *more.get("words", ()), f"oci:{made}", image)
    return [layer["digest"].removeprefix("sha256:") for layer in layers]


def begun(api: Client, name: str, image: str) -> Any:
    header = bases_pb2.ImportBaseHeader(base_id=name, registry_image=image)
    return api.call(api.bases.ImportBase, iter([bases_pb2.ImportBaseRequest(header=header)]))


def staged(node: Node) -> list[str]:
    return [path.name for path in (node.folder / "state/staging").iterdir()]


def copying(between: Line) -> bool:
    """Whether a skopeo fetches by this line."""
    for words in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if between.address.encode() in words.read_bytes():
                return True
    return False


def test_a_line_that_is_cut_in_the_middle_of_a_layer_ends_nothing(
    node: Node, openly: Registry, between: Line, tmp_path: Path
) -> None:
    incompressible(tmp_path / "layout", openly.image("base/cut:1"))
    between.cuts = 1
    pull_base(node.api, "cut-once", f"docker://{between.address}/base/cut:1")
    assert between.cuts == 0


def test_layers_that_came_before_the_line_broke_do_not_come_again(
    node: Node, openly: Registry, between: Line, tmp_path: Path
) -> None:
    small, large = incompressible(tmp_path / "layout", openly.image("base/broken:1"))
    image = f"docker://{between.address}/base/broken:1"
    between.asked.clear()
    between.cuts = 1000
    try:
        with refused(UnavailableError, "REGISTRY_UNREACHABLE"):
            pull_base(node.api, "broken", image)
    finally:
        between.cuts = 0
    assert len(staged(node)) == 1
    before = between.asked.copy()
    pull_base(node.api, "broken", image)
    assert before[small] == between.asked[small] == 1
    assert between.asked[large] == before[large] + 1
    assert staged(node) == []


def test_a_pull_that_is_cancelled_leaves_nothing(node: Node, openly: Registry, between: Line, tmp_path: Path) -> None:
    incompressible(tmp_path / "layout", openly.image("base/cancelled:1"))
    with between.holding():
        operation = begun(node.api, "cancelled", f"docker://{between.address}/base/cancelled:1")
        assert between.held.wait(patient(30))
        assert copying(between)
        node.api.cancel(operation)
        with pytest.raises(CancelledError):
            node.api.done(operation)
        assert not copying(between)
    assert staged(node) == []
    assert "cancelled" not in node.api.names_of_bases()


def test_a_daemon_that_is_killed_while_an_image_comes_leaves_nothing(
    node: Node, openly: Registry, between: Line, tmp_path: Path
) -> None:
    incompressible(tmp_path / "layout", openly.image("base/killed:1"))
    with between.holding():
        operation = begun(node.api, "killed", f"docker://{between.address}/base/killed:1")
        assert between.held.wait(patient(30))
        node.kill()
        node.start()
        assert staged(node) == []
    with pytest.raises(JaildError) as caught:
        node.api.done(operation)
    assert caught.value.reason == "DAEMON_STOPPED"
    eventually(lambda: not copying(between), "the last daemon's skopeo ends when it has nobody to tell")
    assert staged(node) == []
    assert "killed" not in node.api.names_of_bases()
    pull_base(node.api, "killed", f"docker://{between.address}/base/killed:1")


def test_an_image_of_docker_s_own_kind_is_taken_by_its_own_digest(node: Node, openly: Registry, tmp_path: Path) -> None:
    incompressible(tmp_path / "layout", openly.image("base/docker:2"), words=("--format", "v2s2"))
    pulled = response(pull_base(node.api, "docker-2", openly.image("base/docker:2")), bases_pb2.Base())
    manifest = openly.blobs / pulled.sha256[:2] / pulled.sha256 / "data"
    assert "vnd.docker.distribution.manifest.v2" in manifest.read_text()
