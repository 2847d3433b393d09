"""Releases built by recipes on a real daemon: real jails, real ZFS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jaild.model.errors import (
    CancelledError,
    DeadlineExceededError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
)
from jaild.v1 import apps_pb2, common_pb2
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.client import Client, codes, metadata, refused, response
from tests.e2e.node import Node
from tests.tars import file, folder, pack

pytestmark = pytest.mark.real(*LINUX_HOST)
HEAD = "base: tiny-1\nmanifest: {command: [/bin/sh, /usr/local/serve]}\n"
SH = "- run: [/bin/sh, -c, '{}']\n"


def recipe(*steps: str, head: str = HEAD) -> str:
    return f"{head}steps:\n{''.join(f'  {step}' for step in steps)}"


def sh(script: str) -> str:
    return SH.format(script.replace("'", "''"))


@pytest.fixture(autouse=True)
def nothing_is_left_of_a_build(node: Node) -> Iterator[None]:
    before = node.traces()
    yield
    for release in node.api.call(node.api.apps.ListReleases, apps_pb2.ListReleasesRequest(parent="apps/web")).releases:
        if release.HasField("built"):
            node.api.done(node.api.call(node.api.apps.DeleteRelease, apps_pb2.DeleteReleaseRequest(name=release.name)))
    assert node.traces() == before
    assert node.jail_processes() == []


def release(api: Client, version: str) -> apps_pb2.Release:
    found: apps_pb2.Release = api.call(
        api.apps.GetRelease, apps_pb2.GetReleaseRequest(name=f"apps/web/releases/{version}")
    )
    return found


def test_a_recipe_makes_a_release_that_a_jail_runs(api: Client, tmp_path: Path) -> None:
    files = pack(tmp_path / "files.tar", folder("1"), file("1/serve", trees.SERVE.encode(), 0o755), file("1/healthy"))
    copy = "- copy: {from: dist, to: /usr/local}\n"
    done = api.build("web/built", recipe(copy, sh("echo version built > /usr/local/version")), files)
    made = response(done, apps_pb2.Release())
    assert (made.name, made.built.base, made.built.abi) == ("apps/web/releases/built", "bases/tiny-1", "tiny:1:amd64")
    assert made.manifest.abi == "tiny:1:amd64"
    assert made.files == 3
    api.create("edge-b", trees.spec("tiny-1", "web/built"))
    assert api.sh("edge-b", "cat /usr/local/version") == "version built\n"
    api.delete("edge-b")


def test_what_the_steps_write_is_kept_line_by_line(api: Client) -> None:
    done = api.build("web/told", recipe(sh("echo one; echo two >&2; touch /usr/local/x"), sh("echo three")))
    log = api.build_log(done)
    assert log.startswith("== step 1 of 2: run /bin/sh -c echo one; echo two >&2; touch /usr/local/x\n")
    assert "one\n" in log
    assert "two\n" in log
    assert log.endswith("== step 2 of 2: run /bin/sh -c echo three\nthree\n")


def test_a_log_is_followed_to_the_end_of_its_build(api: Client) -> None:
    operation = api.build_begin("web/slow", recipe(sh("echo begun; sleep 1; echo ended; touch /usr/local/x")))
    assert api.build_log(operation, follow=True).endswith("begun\nended\n")
    api.done(operation)


def test_a_failed_step_shows_its_command_its_status_and_the_end_of_its_output(api: Client) -> None:
    script = "echo compiling; echo main.c: no such thing >&2; exit 3"
    operation = api.end(api.build_begin("web/broken", recipe(sh("true"), sh(script), sh("echo never"))))
    with refused(InternalError, "BUILD_STEP_FAILED") as refusal:
        api.done(operation)
    detail = refusal.value.detail
    assert (detail["command"], detail["status"]) == (f"/bin/sh -c {script}", "3")
    assert sorted(detail["output"].splitlines()) == ["compiling", "main.c: no such thing"]
    assert "never" not in api.build_log(operation)
    with refused(NotFoundError, "RELEASE_NOT_FOUND"):
        release(api, "broken")


def test_a_build_sees_no_network_unless_it_asks_for_one(api: Client) -> None:
    script = "cat /proc/net/dev > /usr/local/devices"
    look = sh(script)
    api.build(
        "web/alone",
        recipe(look, sh("grep -c : /usr/local/devices > /usr/local/count; test 1 = $(cat /usr/local/count)")),
    )
    with_host = HEAD + "network: host\n"
    api.build("web/linked", recipe(look, sh("test -s /etc/resolv.conf"), head=with_host))


def test_only_the_release_can_be_written_and_what_else_was_made_is_told(api: Client) -> None:
    made = "mkdir /var/lib/app /root/notes; touch /usr/local/x /tmp/gone"
    done = api.build("web/told", recipe(sh(made), sh("touch /bin/x 2>&1 | grep -q Read-only")))
    assert metadata(done).facts["not_kept"] == "/var/lib/app, /root/notes"


def test_accounts_that_a_step_makes_become_the_manifests(api: Client) -> None:
    adds = "echo app:x:900:901:An app:/var/lib/app:/bin/sh >> /etc/passwd; echo app:x:901:app >> /etc/group"
    done = api.build("web/users", recipe(sh(adds), sh("touch /usr/local/x")))
    made = response(done, apps_pb2.Release()).manifest
    (user,), (group,) = made.users, made.groups
    assert (user.name, user.uid, user.gid, user.home) == ("app", 900, 901, "/var/lib/app")
    assert (group.name, group.gid, list(group.members)) == ("app", 901, ["app"])
    assert metadata(done).facts["accounts"] == "app (900)"


def test_a_build_on_an_earlier_release_shares_what_comes_out_the_same(api: Client) -> None:
    big = "dd if=/dev/zero bs=1024 count=1024 2>/dev/null | tr x y > /usr/local/big; "
    api.build("web/first", recipe(sh(f"{big} echo 1 > /usr/local/version; touch /usr/local/old")))
    rebuilt = sh(f"rm /usr/local/old; {big} echo 2 > /usr/local/version")
    done = api.build("web/second", recipe(rebuilt, head=f"{HEAD}from: first\n"))
    facts = metadata(done).facts
    assert (facts["added_bytes"], facts["shared_bytes"], facts["files_removed"]) == ("2", str(1 << 20), "1")
    assert release(api, "second").__getattribute__("from") == "apps/web/releases/first"
    api.done(api.call(api.apps.DeleteRelease, apps_pb2.DeleteReleaseRequest(name="apps/web/releases/second")))


def test_a_plan_says_the_steps_and_makes_nothing(api: Client, node: Node) -> None:
    before = node.traces()
    operation = api.build_begin("web/planned", recipe(sh("true")), validate_only=True)
    plan = response(operation, common_pb2.Plan())
    assert (plan.kind, plan.base, plan.release) == ("build", "bases/tiny-1", "apps/web/releases/planned")
    assert plan.steps[1] == "run /bin/sh -c true"
    assert node.traces() == before


def test_packages_on_a_linux_base_are_refused_before_anything_is_done(api: Client, node: Node) -> None:
    before = node.traces()
    repository = "network: host\nrepository: {url: 'https://pkg.example.net', unsigned: true}\n"
    with refused(FailedPreconditionError, "PLAN_REFUSED") as refusal:
        api.build_begin("web/pkg", recipe("- pkg: [nginx]\n", head=HEAD + repository))
    assert codes(refusal.value) == ["PKG_NEEDS_FREEBSD"]
    assert node.traces() == before


def test_a_recipes_mistake_is_told_with_its_line(api: Client) -> None:
    with refused(InvalidArgumentError, "INVALID_SPEC") as refusal:
        api.build_begin("web/typo", recipe("- rnu: [make]\n"), recipe_source="recipe.yaml")
    assert refusal.value.message == "recipe.yaml, line 4: $.steps[0].rnu: there is no 'rnu' here"
    assert refusal.value.hint == "did you mean 'run'?"


def test_files_that_were_not_sent_fail_their_step(api: Client, tmp_path: Path) -> None:
    files = pack(tmp_path / "files.tar", folder("2"), file("2/x"))
    with refused(FailedPreconditionError, "BUILD_FILES_MISSING"):
        api.build("web/unsent", recipe("- copy: {from: dist, to: /usr/local/share}\n"), files)


def test_a_link_that_a_step_left_is_not_followed_out_of_the_jail(api: Client, tmp_path: Path) -> None:
    files = pack(tmp_path / "files.tar", folder("2"), file("2/passwd", b"evil"))
    steps = (sh("ln -s /etc /usr/local/way"), "- copy: {from: dist, to: /usr/local/way}\n")
    with refused(FailedPreconditionError, "NOT_A_FOLDER"):
        api.build("web/evil", recipe(*steps), files)


def test_a_cancelled_build_ends_at_once_with_what_it_started(api: Client) -> None:
    operation = api.build_begin("web/cancelled", recipe(sh("echo asleep; sleep 1000")))
    _until_message(api, operation, "asleep")
    api.cancel(operation)
    with refused(CancelledError, "OPERATION_CANCELLED"):
        api.done(operation)


def test_a_step_that_takes_too_long_is_ended(api: Client) -> None:
    with refused(DeadlineExceededError, "BUILD_STEP_TIMEOUT") as refusal:
        api.build("web/late", recipe(sh("echo waiting; sleep 1000"), head=f"{HEAD}timeout: 1\n"))
    assert refusal.value.detail["output"] == "waiting"


def test_what_a_daemon_that_dies_leaves_of_a_build_is_gone_at_its_next_start(node: Node) -> None:
    operation = node.api.build_begin("web/crashed", recipe(sh("echo asleep; sleep 1000")))
    _until_message(node.api, operation, "asleep")
    node.kill()
    api = node.start()
    with refused(UnavailableError, "DAEMON_STOPPED"):
        api.done(operation)
    told = " ".join(api.info().repairs)
    assert "left of an operation" in told
    assert "/apps/web/crashed, left of an import" in told


def _until_message(api: Client, operation: Any, text: str) -> None:
    for message, data in api.watch(operation):
        assert not message.done, message
        if text in data.message and data.message.endswith(text):
            return
