"""A registry with a certificate of its own authority: trusted by the folder that the configuration names, only so."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from jaild.adapters.archives.skopeo import SkopeoRegistries
from jaild.adapters.certificates import CertificateAuthority
from jaild.adapters.files.room import Room
from jaild.adapters.system.process import ProcessRunner
from jaild.model.errors import FailedPreconditionError, NotFoundError
from jaild.model.layers import registry
from jaild.model.layers.registry import Registry
from tests.integrations.servers import eventually, free_port, listens, server
from tests.ocilayouts import Layout
from tests.tars import file

pytestmark = pytest.mark.real("skopeo", "docker-registry", "openssl")


@dataclass(frozen=True)
class Trusted:
    """One that runs, and the folder by which it is trusted."""

    address: str
    certificates: Path


@pytest.fixture
async def trusted(tmp_path: Path) -> AsyncIterator[Trusted]:
    own = await CertificateAuthority(ProcessRunner(), tmp_path / "tls").issue("registry", ["127.0.0.1"])
    certificates = tmp_path / "registry.d"
    certificates.mkdir()
    shutil.copy(own.authority, certificates / "ca.crt")
    port = free_port()
    config = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "data")}},
        "http": {"addr": f"127.0.0.1:{port}", "tls": {"certificate": str(own.certificate), "key": str(own.key)}},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    with server(["docker-registry", "serve", tmp_path / "config.json"], tmp_path / "log"):
        eventually(lambda: listens(port), "the registry listens")
        yield Trusted(f"127.0.0.1:{port}", certificates)


def skopeo(place: Path, address: str, setting: Registry) -> SkopeoRegistries:
    return SkopeoRegistries(ProcessRunner(), {address: setting}, room=Room(place))


async def test_an_authority_of_its_own_is_trusted_where_it_is_named(tmp_path: Path, trusted: Trusted) -> None:
    image = registry.parse(f"docker://{trusted.address}/base:1")
    layout = Layout(tmp_path / "layout")
    described = layout.image(layout.layer(file("a", b"a")))
    layout.finish(described)
    known = skopeo(tmp_path, trusted.address, Registry(push=True, certificates=trusted.certificates))
    with pytest.raises(NotFoundError):
        await known.manifest(image)
    await known.push(layout.folder, image)
    assert registry.digest_of(await known.manifest(image)) == described["digest"]


async def test_an_authority_that_is_not_named_is_not_trusted(tmp_path: Path, trusted: Trusted) -> None:
    image = registry.parse(f"docker://{trusted.address}/base:1")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(FailedPreconditionError) as caught:
        await skopeo(tmp_path, trusted.address, Registry(certificates=empty)).manifest(image)
    assert caught.value.reason == "REGISTRY_UNTRUSTED"
