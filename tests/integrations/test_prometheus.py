"""Prometheus's own programs on what jaild brings for it: rules and their stories, and a server that scrapes by TLS."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from jaild.adapters.certificates import CertificateAuthority
from jaild.adapters.system.process import ProcessRunner
from jaild.metrics.listener import Listener
from jaild.model.access import Grant, Role
from jaild.rpc.tls import TlsFiles
from tests.fakes.host import FakeHost
from tests.hosts.asking import create
from tests.hosts.fixtures import furnished
from tests.hosts.scraping import metrics_of
from tests.integrations.prometheus_server import BROUGHT, PrometheusServer, prometheus, promtool
from tests.integrations.servers import eventually

pytestmark = pytest.mark.real("promtool", "prometheus", "openssl")


def test_the_rules_are_valid_and_each_tells_its_story() -> None:
    promtool("check", "rules", BROUGHT / "jaild.rules.yml")
    promtool("test", "rules", Path(__file__).with_name("stories.yml"))


async def test_a_server_with_our_configuration_scrapes_by_tls_and_can_evaluate_every_rule(tmp_path: Path) -> None:
    authority = CertificateAuthority(ProcessRunner(), tmp_path / "tls")
    files = {name: await authority.issue(name, ["127.0.0.1"]) for name in ("alpha", "prometheus")}
    host = await furnished(FakeHost(tmp_path / "alpha"))
    listener = Listener(address="127.0.0.1:0", tls=files["alpha"])
    metrics = metrics_of(host, listener, {"prometheus": Grant(roles=(Role.METRICS,))})
    await create(host)
    for sample in metrics.samples.all.values():
        await sample.look()
    metrics.endpoint.start()
    try:
        address = f"127.0.0.1:{metrics.endpoint.port}"
        await asyncio.to_thread(_scraped, tmp_path, address, files["prometheus"])
    finally:
        await metrics.endpoint.stop()
        await host.stop()


def _scraped(folder: Path, address: str, tls: TlsFiles) -> None:
    with prometheus(folder, address, tls) as server:
        query = 'jaild_jail_info{job="jaild"} and on (instance) (up == 1) and on (instance) jaild_ready_seconds'
        (found,) = eventually(lambda: server.query(query), "it has scraped")
        assert found["metric"].items() >= {"jail": "web", "base": "deb-1", "app": "web", "release": "1"}.items()
        rules = eventually(lambda: _evaluated(server), "every rule was evaluated")
        assert {rule["name"]: rule.get("lastError", "") for rule in rules if rule["health"] != "ok"} == {}
        assert len(rules) > 30


def _evaluated(server: PrometheusServer) -> list[dict[str, Any]] | None:
    rules = server.rules()
    return rules if all(rule["health"] != "unknown" for rule in rules) else None
