"""Images of registries: pulled by the daemon, which is only told their names, and pushed by it."""

from __future__ import annotations

from pathlib import Path

from jaild.cli.output.exits import Exit
from jaild.v1 import apps_pb2, bases_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.daemon import Daemon, operation

IMAGE = "docker://registry.example.net/team/redis:7.2"


def test_a_base_of_a_registry_is_asked_for_by_its_name_and_by_nothing_else(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation(bases_pb2.Base(name="bases/b"))]
    assert jailctl("base", "import", "b", IMAGE, "--sha256", "ab").exit_code == Exit.OK
    (request,) = daemon.uploads
    assert (request.header.base_id, request.header.registry_image, request.header.sha256) == ("b", IMAGE, "ab")
    for words in (("--on-host",), ("--image", "v1"), ("--from", "beta")):
        assert jailctl("base", "import", "b", IMAGE, *words).exit_code == Exit.USAGE
    assert len(daemon.uploads) == 1


def test_an_image_may_bring_its_manifest_and_an_archive_does_not(jailctl: Run, daemon: Daemon, tmp_path: Path) -> None:
    manifest = tmp_path / "redis.yaml"
    manifest.write_text("command: [redis-server]\n")
    daemon.answers = [operation(apps_pb2.Release()), operation(apps_pb2.Release())]
    assert jailctl("app", "push", "redis/7.2", IMAGE, "--plan").exit_code == Exit.OK
    assert jailctl("app", "push", "redis/7.2", IMAGE, "--manifest", str(manifest), "--from", "7.0").exit_code == Exit.OK
    bare, given = (part.header for part in daemon.uploads)
    assert (bare.registry_image, bare.WhichOneof("manifest_source"), bare.validate_only) == (IMAGE, None, True)
    assert (given.registry_image, given.manifest_yaml) == (IMAGE, manifest.read_text())
    assert getattr(given, "from") == "apps/redis/releases/7.0"
    archive = tmp_path / "redis.tar"
    archive.write_bytes(b"tar")
    result = jailctl("app", "push", "redis/7.2", str(archive))
    assert result.exit_code == Exit.USAGE
    assert "--manifest" in result.output


def test_what_is_published_is_named_with_where_it_goes(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation(bases_pb2.Base(name="bases/b")), operation(apps_pb2.Release())]
    assert jailctl("base", "publish", "b", IMAGE, "--plan").exit_code == Exit.OK
    assert jailctl("app", "publish", "redis/7.2", IMAGE).exit_code == Exit.OK
    (base,) = daemon.asked(bases_pb2.PublishBaseRequest)
    assert (base.name, base.image, base.validate_only) == ("bases/b", IMAGE, True)
    (release,) = daemon.asked(apps_pb2.PublishReleaseRequest)
    assert (release.name, release.image) == ("apps/redis/releases/7.2", IMAGE)
