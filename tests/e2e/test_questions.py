"""Questions on a real daemon: a jail's history, what differs, who has what, bills of materials."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jaild.model import layout
from jaild.v1 import contents_pb2, histories_pb2
from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.client import Client, until
from tests.e2e.node import Node
from tests.tars import file, folder, pack

pytestmark = pytest.mark.real(*LINUX_HOST)
STATUS = "Package: libssl3\nStatus: install ok installed\nSource: openssl\nVersion: {}\n"


@pytest.fixture(scope="module")
def bases(node: Node, workshop: Path) -> None:
    """Bases as dpkg left them, one with a package that has a hole."""
    for name, version in (("holed", "3.0.11-1~deb12u2"), ("closed", "3.0.15-1~deb12u1")):
        status = STATUS.format(version).encode()
        database = [folder("var/lib/dpkg"), file("var/lib/dpkg/status", status)]
        archive = workshop / f"{name}.tgz"
        pack(archive, *trees.base_items(etc={"motd": f"{name}\n"}), *database)
        node.api.import_base(name, archive)


@pytest.fixture
def upgraded(node: Node, bases: None) -> Iterator[str]:  # noqa: ARG001
    """A jail that went from the one to the other."""
    node.api.create("asked", trees.spec("holed", "web/1"))
    node.api.upgrade("asked", "closed")
    yield "asked"
    node.api.delete("asked")


def found(api: Client, **asked: str) -> list[Any]:
    return list(api.contents.FindContents(contents_pb2.FindContentsRequest(**asked)))


def history(api: Client, jail: str) -> list[Any]:
    request = histories_pb2.ListJailHistoryRequest(parent=f"jails/{jail}")
    return list(api.call(api.histories.ListJailHistory, request).entries)


def test_who_has_a_package_with_a_hole_is_found_and_what_an_upgrade_changed(node: Node, upgraded: str) -> None:
    api = node.api
    (layer,) = found(api, package="openssl<3.0.15")
    assert (layer.layer, [match.version for match in layer.matches]) == ("bases/holed", ["3.0.11-1~deb12u2"])
    assert [(use.jail, use.generation, use.active) for use in layer.uses] == [(f"jails/{upgraded}", 1, False)]
    differs = api.call(
        api.contents.CompareGenerations, contents_pb2.CompareGenerationsRequest(name=f"jails/{upgraded}")
    )
    assert [(each.name, each.after) for each in differs.packages] == [("libssl3", "3.0.15-1~deb12u1")]
    assert "-holed\n+closed\n" in {each.path: each.diff for each in differs.configuration}["/etc/motd"]
    (served,) = found(api, file="/usr/local/serve")[:1]
    assert served.layer == "apps/web/releases/1"
    bill = json.loads(api.call(api.contents.GetSbom, contents_pb2.GetSbomRequest(name="bases/holed")).document)
    assert [each["purl"] for each in bill["components"]] == ["pkg:deb/tiny/libssl3@3.0.11-1~deb12u2?distro=tiny-1"]


def test_a_history_survives_a_daemon_that_is_killed(node: Node, upgraded: str) -> None:
    before = history(node.api, upgraded)
    assert [
        (entry.kind, entry.outcome, entry.to_generation) for entry in before[:2]
    ] == [  # below, that of earlier ones
        ("upgrade", "done", 2),
        ("create", "done", 1),
    ]
    assert before[0].HasField("downtime")
    node.kill()
    node.start()
    assert history(node.api, upgraded) == before


def test_a_layer_that_an_older_jaild_sealed_gets_its_index_when_the_daemon_starts(node: Node, bases: None) -> None:  # noqa: ARG001
    dataset = f"{node.pool}/jaild/bases/holed"
    node.zfs("set", "readonly=off", dataset)
    for part in (layout.CONTENTS, layout.FILES):
        (node.seen("bases/holed") / part).unlink()
    node.zfs("set", "readonly=on", dataset)
    node.terminate()
    node.start()

    def looked_at() -> bool:
        return not any(each.not_indexed for each in found(node.api, package="openssl"))

    until(looked_at)
    assert [each.layer for each in found(node.api, package="openssl<3.0.15")] == ["bases/holed"]
    assert len(list((node.folder / "state" / "contents").iterdir())) == 2
