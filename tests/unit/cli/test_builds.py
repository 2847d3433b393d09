"""`jailctl app build`: what is sent, what is shown."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import empty_pb2

from jaild.cli.output.exits import Exit
from jaild.v1 import apps_pb2, base_making_pb2, bases_pb2, builds_pb2, common_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.daemon import Daemon, operation

RECIPE = """release: web/2
base: b
manifest: {command: [x]}
steps:
  - copy: {from: dist, to: /usr/local}
  - run: [make]
  - copy: {from: app.conf, to: /usr/local/etc}
"""
DONE = apps_pb2.Release(name="apps/web/releases/2")


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "dist/bin").mkdir(parents=True)
    (tmp_path / "dist/bin/app").write_text("app")
    (tmp_path / "dist/bin/app").chmod(0o755)
    (tmp_path / "app.conf").write_text("conf")
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path / "recipe.yaml"


def sent(daemon: Daemon) -> tuple[Any, bytes]:
    first, *chunks = daemon.uploads
    return first.header, b"".join(request.chunk for request in chunks)


def test_the_recipe_is_sent_with_the_files_of_its_copy_steps(jailctl: Run, daemon: Daemon, recipe: Path) -> None:
    daemon.answers = [operation(DONE, kind="build", target="apps/web/releases/2")]
    result = jailctl("app", "build", "-f", str(recipe))
    assert result.exit_code == 0, result.stderr
    header, archive = sent(daemon)
    assert (header.parent, header.release_id, header.recipe_source) == ("apps/web", "2", "recipe.yaml")
    assert header.recipe_yaml == RECIPE
    assert (header.sha256, header.size_bytes) == (sha256(archive).hexdigest(), len(archive))
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        members = {member.name: member for member in packed.getmembers()}
    assert sorted(members) == ["1/bin", "1/bin/app", "3/app.conf"]
    assert members["1/bin/app"].mode == 0o755
    assert {(member.uid, member.uname) for member in members.values()} == {(0, "")}


def test_release_base_and_origin_can_be_said_on_the_command_line(jailctl: Run, daemon: Daemon, recipe: Path) -> None:
    daemon.answers = [operation(DONE)]
    jailctl("app", "build", "-f", str(recipe), "web/3", "--from", "2", "--base", "c")
    header, _ = sent(daemon)
    told = (header.release_id, getattr(header, "from"), header.base)
    assert told == ("3", "apps/web/releases/2", "bases/c")


def test_a_plan_sends_no_files(jailctl: Run, daemon: Daemon, recipe: Path) -> None:
    daemon.answers = [operation(common_pb2.Plan(kind="build", target="apps/web/releases/2", steps=["run make"]))]
    result = jailctl("app", "build", "-f", str(recipe), "--plan")
    header, archive = sent(daemon)
    assert (header.validate_only, archive) == (True, b"")
    assert " 1. run make" in result.stdout


def test_what_the_steps_write_is_shown_while_it_is_built(jailctl: Run, daemon: Daemon, recipe: Path) -> None:
    daemon.answers = [operation(phase="build")]

    def watch(_context: Any) -> Iterator[Any]:
        yield operation(DONE, phase="done", kind="build", target="apps/web/releases/2")

    daemon.watches = [watch, watch]
    result = jailctl("app", "build", "-f", str(recipe))
    assert "== step 1 of 1: run make\nmade\n" in result.stderr
    assert result.stdout == "build apps/web/releases/2: done\n"
    assert daemon.asked(builds_pb2.TailBuildRequest)[0].follow


def test_the_log_of_a_build_is_printed(jailctl: Run, daemon: Daemon) -> None:
    result = jailctl("app", "build-log", "op-1")
    assert result.stdout == "== step 1 of 1: run make\nmade\n"
    assert daemon.asked(builds_pb2.TailBuildRequest)[0].name == "operations/op-1"


@pytest.mark.parametrize(
    ("before", "after", "code", "told"),
    [
        ("run: [make]", "rnu: [make]", 5, "recipe.yaml, line 6: $.steps[1].rnu"),
        ("from: dist", "from: dits", 2, "cannot read"),
        ("release: web/2\n", "", 2, "names no release"),
    ],
)
def test_a_mistake_is_told_before_anything_is_sent(
    jailctl: Run, daemon: Daemon, recipe: Path, before: str, after: str, code: int, told: str
) -> None:
    recipe.write_text(RECIPE.replace(before, after))
    result = jailctl("app", "build", "-f", str(recipe))
    assert (result.exit_code, daemon.uploads) == (code, [])
    assert told in result.stderr


def test_a_base_is_installed_or_patched_by_name(jailctl: Run, daemon: Daemon) -> None:
    base = bases_pb2.Base(name="bases/15.0")
    daemon.answers = [operation(base, kind="install", target="bases/15.0"), operation(base)]
    options = ("--repository", "FreeBSD-base", "--abi", "FreeBSD:15:amd64")
    result = jailctl("base", "install", "15.0", "FreeBSD-set-minimal-jail", *options)
    assert result.stdout == "install bases/15.0: done\n"
    jailctl("base", "patch", "14.3", "14.3-p2")
    (install,) = daemon.asked(base_making_pb2.InstallBaseRequest)
    assert (install.base_id, list(install.packages)) == ("15.0", ["FreeBSD-set-minimal-jail"])
    assert (install.repository, install.abi) == ("FreeBSD-base", "FreeBSD:15:amd64")
    (patch,) = daemon.asked(base_making_pb2.PatchBaseRequest)
    assert (patch.parent, patch.base_id) == ("bases/14.3", "14.3-p2")


def test_an_image_of_a_layout_is_named(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation(bases_pb2.Base(name="bases/b"))]
    jailctl("base", "import", "b", "/srv/layout", "--on-host", "--image", "v1")
    assert (daemon.uploads[0].header.path, daemon.uploads[0].header.image) == ("/srv/layout", "v1")


def test_a_base_is_fetched_from_a_peer_and_from_nowhere_else(jailctl: Run, daemon: Daemon) -> None:
    daemon.answers = [operation(bases_pb2.Base(name="bases/b"))]
    assert jailctl("base", "import", "b", "--from", "beta").exit_code == Exit.OK
    (request,) = daemon.uploads
    assert (request.header.base_id, request.header.peer) == ("b", "beta")
    both = ("--from", "beta")
    for words in ((), ("b.tar", *both), (*both, "--on-host"), (*both, "--image", "v1")):
        assert jailctl("base", "import", "b", *words).exit_code == Exit.USAGE
    assert len(daemon.uploads) == 1


def test_a_prune_asks_for_what_is_old_enough_and_its_plan_says_what_it_frees(jailctl: Run, daemon: Daemon) -> None:
    kept = common_pb2.Problem(severity=common_pb2.SEVERITY_NOTE, code="LAYER_KEPT", subject="bases/b", message="young")
    answer = common_pb2.Plan(
        kind="prune", target="bases", steps=["delete bases/a"], frees_bytes=3 << 20, problems=[kept]
    )
    daemon.answers = [operation(answer), operation(empty_pb2.Empty(), kind="prune", target="apps/web")]

    planned = jailctl("base", "prune", "--plan")
    done = jailctl("app", "prune", "web", "--older-than", "2h")

    assert planned.stdout.splitlines()[:3] == ["plan: prune bases", "   1. delete bases/a", "  frees       about 3M"]
    assert "note LAYER_KEPT bases/b: young" in planned.stdout
    assert done.stdout == "prune apps/web: done\n"
    (bases,), (releases,) = daemon.asked(bases_pb2.PruneBasesRequest), daemon.asked(apps_pb2.PruneReleasesRequest)
    assert (bases.validate_only, bases.HasField("min_age")) == (True, False)
    assert (releases.parent, releases.min_age.seconds) == ("apps/web", 7200)
