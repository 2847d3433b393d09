"""What all of them watch: a real daemon with a jail that runs, its metrics by mutual TLS."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from jaild.adapters.certificates import CertificateAuthority
from jaild.adapters.system.process import ProcessRunner
from jaild.rpc.tls import TlsFiles
from tests.conftest import LINUX_HOST, require
from tests.e2e import trees
from tests.e2e.conftest import furnish
from tests.e2e.node import Node, hosted
from tests.integrations.servers import free_port

JAIL = "web"
WATCHER = "watcher"  # the certificate with the role metrics


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A host that is watched."""

    node: Node
    address: str  # of its metrics
    tls: TlsFiles  # a watcher's


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """One host, with a jail of tiny-1 and web/1 that runs; what changes often is looked at each second."""
    require(("openssl", *LINUX_HOST))
    folder = tmp_path_factory.mktemp("watched")
    own, watcher = asyncio.run(_certificates(folder / "tls"))
    address = f"127.0.0.1:{free_port()}"
    tls = {"certificate": str(own.certificate), "key": str(own.key), "authority": str(own.authority)}
    metrics = {"metrics": {"address": address, "tls": tls, "every": 1}, "grants": {WATCHER: {"roles": ["metrics"]}}}
    with hosted(Node("alpha", config=metrics)) as node:
        furnish(node.api, folder)
        network = f"{{mode: vnet, addresses: [{node.addresses[1]}]}}"
        node.api.create(JAIL, trees.spec("tiny-1", "web/1", network=network))
        yield Watched(node=node, address=address, tls=watcher)
        node.api.delete(JAIL)


async def _certificates(folder: Path) -> tuple[TlsFiles, TlsFiles]:
    authority = CertificateAuthority(ProcessRunner(), folder)
    return await authority.issue("alpha", ["127.0.0.1"]), await authority.issue(WATCHER)
