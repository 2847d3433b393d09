"""Self-service as templates/salt/master.d has it: what a team may do, and in which words everything else is refused."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from jaild.adapters.certificates import CertificateAuthority
from jaild.adapters.system.process import ProcessRunner
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.conftest import MANIFEST, furnish
from tests.e2e.node import Node, hosted
from tests.salt.bench import SECONDS, Bench, running
from tests.salt.conftest import minion
from tests.salt.reacting import configured

pytestmark = pytest.mark.real(*LINUX_HOST)

HOST, CI, TEAM = "edge-7.example.org", "ci-redis", "redis-team"
SPEC = {"network": "{mode: none}"}


@dataclass(frozen=True)
class Desk:
    """A host with jails of two teams; its minion, and that of one team's CI."""

    bench: Bench
    node: Node

    def salt(self, *words: str) -> str:
        """What the command salt says to somebody of the team."""
        program = Path(sys.executable).with_name("salt")
        known = ["--config-dir", str(self.bench.master.folder), "--out=yaml", "--timeout=30"]
        as_team = ["-a", "file", "--username", TEAM, "--password", "secret"]
        done = subprocess.run(
            [program, *known, *as_team, HOST, *words], capture_output=True, text=True, check=False, timeout=SECONDS
        )
        return done.stdout + done.stderr

    def publish(self, function: str, *words: str) -> Any:
        """What a job of the team's CI gets."""
        return self.bench.ask(CI, "publish.publish", HOST, function, f"[{', '.join(words)}]", "timeout=30")[CI]

    def release(self, jail: str) -> str:
        return self.node.api.all_jails()[jail].release


@pytest.fixture(scope="module")
def desk(workshop: Path) -> Iterator[Desk]:
    (workshop / "tls").mkdir()

    async def issued() -> Any:
        authority = CertificateAuthority(ProcessRunner(), workshop / "tls")
        return [await authority.issue(who, ["127.0.0.1"]) for who in ("host", TEAM)]

    own, its = asyncio.run(issued())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    node = Node("desk")
    tls = {"certificate": str(own.certificate), "key": str(own.key), "authority": str(own.authority)}
    node.config["listen"] = {"address": address, "tls": tls}
    node.config["grants"] = {TEAM: {"roles": ["product"], "apps": ["redis"]}}
    context = {"address": address, "ca": str(its.authority), "cert": str(its.certificate), "key": str(its.key)}
    master = configured("jaild-self-service.conf")
    passwords = workshop / "passwords"
    passwords.write_text(f"{TEAM}:secret\n")
    master["external_auth"] = {"file": {"^filename": str(passwords), **master["external_auth"]["pam"]}}
    with hosted(node):
        furnish(node.api, workshop)
        node.api.push("redis/7.0", trees.release(workshop / "redis-7.tgz", "7.0"), manifest=MANIFEST)
        node.api.create("cache", trees.spec("tiny-1", "redis/7.0", **SPEC))
        node.api.create("shop", trees.spec("tiny-1", "web/1", **SPEC))
        config = minion(node)
        config["jaild"]["contexts"] = {TEAM: context}
        with running({HOST: config, CI: {}}, master) as bench:
            files = bench.states / "redis"
            files.mkdir()
            for version in ("7.1", "7.2"):
                trees.release(files / f"{version}.tgz", version)
            (files / "release.yaml").write_text(yaml.safe_dump({"command": list(trees.COMMAND)}))
            yield Desk(bench, node)


def pushed(version: str) -> list[str]:
    return [TEAM, f"redis/{version}", f"salt://redis/{version}.tgz", "salt://redis/release.yaml"]


def test_a_team_pushes_and_deploys_its_own_app_by_hand(desk: Desk) -> None:
    assert "apps/redis/releases/7.1" in desk.salt("jaild_team.push", *pushed("7.1"))
    assert "to_generation" in desk.salt("jaild_team.plan", TEAM, "cache", "redis/7.1")
    assert "redis/releases/7.1" in desk.salt("jaild_team.deploy", TEAM, "cache", "redis/7.1")
    assert desk.release("cache") == "apps/redis/releases/7.1"
    assert "cache: running" in desk.salt("jaild_team.jails", TEAM)


def test_a_team_s_ci_does_the_same(desk: Desk) -> None:
    assert "apps/redis/releases/7.2" in str(desk.publish("jaild_team.push", *pushed("7.2")))
    desk.publish("jaild_team.deploy", TEAM, "cache", "redis/7.2")
    assert desk.release("cache") == "apps/redis/releases/7.2"


@pytest.mark.parametrize(
    "words",
    [
        ("jaild_team.deploy", TEAM, "shop", "web/2"),  # another team's app
        ("jaild_team.deploy", "", "shop", "redis/7.0"),  # as an operator
        ("jaild_team.deploy", "web-team", "shop", "redis/7.0"),  # as another team
        ("jaild_team.push", TEAM, "redis/7.9", "/etc/passwd", "salt://redis/release.yaml"),  # a file of the host's own
        ("jaild_team.push", TEAM, "redis/7.9", "salt://redis/../shop/1.tgz", "salt://redis/release.yaml"),
        ("jaild_team.push", TEAM, "redis/7.9", "salt://redis/7.1.tgz?saltenv=shop", "salt://redis/release.yaml"),
        ("jaild.deploy_release", "shop", "web/2"),
        ("cmd.run", "id"),
    ],
)
def test_what_the_list_does_not_name_salt_refuses(desk: Desk, words: tuple[str, ...]) -> None:
    assert "Authorization error occurred" in desk.salt(*words)
    assert desk.publish(words[0], *(word or "''" for word in words[1:])) == {}  # no word of why is all that there is
    assert desk.release("shop") == "apps/web/releases/1"


@pytest.mark.parametrize(
    "file", ["salt://redis/../shop/1.tgz", "salt://redis/7.1.tgz?saltenv=shop", "salt://redis//7.1.tgz", "/etc/passwd"]
)
def test_a_file_is_where_it_says_that_it_is_however_wide_the_list(desk: Desk, file: str) -> None:
    told = str(desk.bench.ask(HOST, "jaild_team.push", TEAM, "redis/7.9", file, "salt://redis/release.yaml"))
    assert "no plain path" in told or "no file of the master's" in told


@pytest.mark.parametrize("more", ["context=", "team=", "validate_only=True"])
def test_no_argument_can_be_added_by_name(desk: Desk, more: str) -> None:
    before = desk.release("cache")
    for told in (
        desk.salt("jaild_team.deploy", TEAM, "cache", "redis/7.0", more),
        str(desk.publish("jaild_team.deploy", TEAM, "cache", "redis/7.0", f'"{more}"')),
    ):
        assert "not valid" in told
    assert desk.release("cache") == before


def test_another_team_s_jail_jaild_refuses(desk: Desk) -> None:
    for told in (
        desk.salt("jaild_team.deploy", TEAM, "shop", "redis/7.0"),
        str(desk.publish("jaild_team.deploy", TEAM, "shop", "redis/7.0")),
    ):
        assert "(APP_REQUIRED)" in told
    assert desk.release("shop") == "apps/web/releases/1"
