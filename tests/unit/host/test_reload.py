"""The configuration, read again: what counts at once, what after a restart, and that a bad file changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from jaild import config
from jaild.adapters.certificates import CertificateAuthority
from jaild.adapters.peers import GrpcPeers
from jaild.adapters.sinks.making import SinkAdapters
from jaild.adapters.system.process import ProcessRunner
from jaild.model.errors import JaildError, NotFoundError
from jaild.model.sinks.settings import SinkSettings
from jaild.reloading import FileConfiguration
from jaild.rpc.tls import TlsFiles
from jaild.server import ApiServer
from jaild.v1 import host_pb2
from tests.fakes.use_cases import stubs
from tests.fakes.use_cases.every import Fakes


class Bench:
    """A server whose configuration is a file."""

    def __init__(self, folder: Path, certificates: dict[str, TlsFiles]) -> None:
        self.path = folder / "jaild.yaml"
        self.folder = folder
        self.certificates = certificates
        self.own = tuple(folder / f"own.{part}" for part in ("certificate", "key", "authority"))
        self.show(certificates["server"])
        names = zip(("certificate", "key", "authority"), map(str, self.own), strict=True)
        tls = dict(names)
        self.told: dict[str, Any] = {
            "listen": {"address": "127.0.0.1:0", "tls": tls},
            "grants": {"boss": {"roles": ["operator"]}},
            "peers": {"beta": {"address": "127.0.0.1:1", "tls": tls}},
        }
        self.write()
        load = partial(config.load, self.path, {})
        self.peers = GrpcPeers(load().peers)
        self.configuration = FileConfiguration(load, load(), self.peers)
        self.server = ApiServer(
            Fakes().services(), Fakes().audit, socket=folder / "s", grants=load().grants_here, tcp=load().listen
        )

    def show(self, tls: TlsFiles) -> None:
        for place, source in zip(self.own, (tls.certificate, tls.key, tls.authority), strict=True):
            place.write_bytes(source.read_bytes())

    def write(self, **changed: Any) -> None:
        self.told |= changed
        self.path.write_text(yaml.safe_dump(self.told))

    async def reload(self, *, validate_only: bool = False) -> tuple[tuple[str, ...], tuple[str, ...]]:
        done = await self.configuration.reload(validate_only=validate_only)
        return done.applied, done.needs_restart

    async def answers(self, name: str, authority: TlsFiles | None = None) -> str:
        """What the server says to `name`: the status of a call."""
        tls = self.certificates[name]
        credentials = grpc.ssl_channel_credentials(
            (authority or tls).authority.read_bytes(), tls.key.read_bytes(), tls.certificate.read_bytes()
        )
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.secure_channel(f"127.0.0.1:{self.server.port}", credentials, options=options) as channel:
            try:
                await stubs.host(channel).GetHost(host_pb2.GetHostRequest(), timeout=5)
            except grpc.aio.AioRpcError as error:
                return str(error.code().name)
            return "OK"


async def test_grants_peers_and_certificates_count_at_once_and_all_else_is_told(
    tmp_path: Path, certificates: dict[str, TlsFiles]
) -> None:
    bench = Bench(tmp_path, certificates)
    await bench.server.start()
    bench.configuration.serves(bench.server)
    assert await bench.reload() == ((), ())
    assert [await bench.answers(name) for name in ("boss", "watcher")] == ["OK", "UNAUTHENTICATED"]
    bench.write(grants={"watcher": {"roles": ["viewer"]}}, name="other", network={"bridge": "x"})
    told = ("grants.boss", "grants.watcher"), ("name", "network.bridge")
    assert await bench.reload(validate_only=True) == told
    assert await bench.answers("boss") == "OK"
    assert await bench.reload() == told
    assert [await bench.answers(name) for name in ("boss", "watcher")] == ["UNAUTHENTICATED", "OK"]
    assert await bench.reload() == ((), told[1])  # until it is restarted

    before = bench.peers.get("beta")
    tls = bench.told["listen"]["tls"]
    bench.write(peers={"beta": {"address": "127.0.0.1:2", "tls": tls}, "gamma": {"address": "g:1", "tls": tls}})
    assert await bench.reload() == (("peers.beta", "peers.gamma", "peers.gamma.tls"), told[1])
    assert bench.peers.names() == ("beta", "gamma")
    assert bench.peers.get("beta") is before  # who has it goes on with the new address
    bench.write(peers={})
    await bench.reload()
    with pytest.raises(NotFoundError, match="PEER_UNKNOWN"):
        bench.peers.get("beta")

    other = CertificateAuthority(ProcessRunner(), tmp_path / "other")
    bench.certificates = {**certificates, "watcher": await other.issue("watcher")}
    bench.show(await other.issue("server", ["127.0.0.1"]))
    assert await bench.answers("watcher") == "UNAVAILABLE"
    assert await bench.reload() == (("listen.tls",), told[1])
    assert await bench.answers("watcher") == "OK"
    await bench.server.stop(0)


@pytest.mark.parametrize("wrong", ["yaml", "field", "bytes", "missing", "key"])
async def test_a_file_that_is_wrong_is_refused_whole(
    tmp_path: Path, certificates: dict[str, TlsFiles], wrong: str
) -> None:
    bench = Bench(tmp_path, certificates)
    bench.configuration.serves(bench.server)
    text = yaml.safe_dump({**bench.told, "grants": {}, **({"nonsense": 1} if wrong == "field" else {})})
    bench.path.write_bytes({"yaml": b"grants: [", "bytes": b"\xff"}.get(wrong, text.encode()))
    if wrong == "missing":
        bench.own[2].unlink()
    elif wrong == "key":
        bench.own[1].write_bytes(certificates["boss"].key.read_bytes())
    with pytest.raises(JaildError) as refused:
        await bench.reload()
    assert refused.value.reason == {"missing": "TLS_FILE_UNREADABLE", "key": "TLS_FILE_UNUSABLE"}.get(
        wrong, "INVALID_CONFIG"
    )
    assert refused.value.hint
    bench.show(certificates["server"])
    bench.write()
    assert await bench.reload() == ((), ())  # the old one is in force


class Sinks:
    """Remembers what it is to send by."""

    def __init__(self) -> None:
        self.replaced: list[Mapping[str, SinkSettings]] = []

    def check(self, settings: Mapping[str, SinkSettings], /) -> None:
        for each in settings.values():
            SinkAdapters(ProcessRunner()).make(each)

    async def replace(self, settings: Mapping[str, SinkSettings], /) -> None:
        self.replaced.append(settings)


async def test_event_sinks_count_at_once_and_a_new_secret_is_a_change_of_its_sink(
    tmp_path: Path, certificates: dict[str, TlsFiles]
) -> None:
    bench, sinks, secret = Bench(tmp_path, certificates), Sinks(), tmp_path / "secret"
    bench.configuration.serves(bench.server, sinks=sinks)
    secret.write_bytes(b"s" * 32)
    hook = {"webhook": {"url": "https://pager.example/", "secret": str(secret)}}
    bench.write(event_sinks={"pager": hook, "log": {"syslog": {}}})
    both = ("event_sinks.log", "event_sinks.pager"), ()
    assert await bench.reload(validate_only=True) == both
    assert sinks.replaced == []
    assert await bench.reload() == both
    assert await bench.reload() == ((), ())
    secret.write_bytes(b"t" * 32)
    assert await bench.reload() == (("event_sinks.pager",), ())
    bench.write(grants={})
    assert await bench.reload() == (("grants.boss",), ())
    secret.unlink()
    bench.write(event_sinks={"pager": hook})
    with pytest.raises(JaildError, match="No such file"):
        await bench.reload()
    assert [set(each) for each in sinks.replaced] == [{"pager", "log"}] * 2
