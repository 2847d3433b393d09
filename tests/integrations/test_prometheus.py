"""Prometheus's own programs on what jaild brings for it: rules and their stories, and a server that scrapes by TLS."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from jaild.adapters.certificates import CertificateAuthority
from jaild.adapters.system.process import ProcessRunner
from jaild.metrics.listener import Listener
from jaild.model.access import Grant, Role
from jaild.rpc.tls import TlsFiles
from tests.fakes.host import FakeHost
from tests.hosts.asking import create
from tests.hosts.fixtures import furnished
from tests.hosts.scraping import metrics_of

pytestmark = pytest.mark.real("promtool", "prometheus", "openssl")

BROUGHT = Path(__file__).parents[2] / "templates/monitoring/prometheus"
_COMES = 60.0  # seconds in which Prometheus has scraped, busy machines included


def promtool(*words: str | Path) -> str:
    done = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


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
    told = yaml.safe_load((BROUGHT / "prometheus.yml").read_text())
    told["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    told["rule_files"] = [str(BROUGHT / "jaild.rules.yml")]
    (job,) = told["scrape_configs"]
    job["static_configs"] = [{"targets": [address]}]
    job["tls_config"] = {"ca_file": str(tls.authority), "cert_file": str(tls.certificate), "key_file": str(tls.key)}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(told))
    promtool("check", "config", folder / "prometheus.yml")
    argv = [
        *("prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb"),
        "--web.listen-address=127.0.0.1:0",
    ]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            line = next(line for line in server.stderr if "Listening on" in line)
            found = re.search(r"address=([\d.:]+)", line)
            assert found is not None, line
            _ask(f"http://{found[1]}")
        finally:
            server.terminate()


def _ask(server: str) -> None:
    query = urllib.parse.quote(
        'jaild_jail_info{job="jaild"} and on (instance) (up == 1) and on (instance) jaild_ready_seconds'
    )
    (found,) = next(filter(None, (_get(f"{server}/api/v1/query?query={query}")["result"] for _ in _each_moment())))
    assert found["metric"].items() >= {"jail": "web", "base": "deb-1", "app": "web", "release": "1"}.items()
    answers = (_get(f"{server}/api/v1/rules")["groups"][0]["rules"] for _ in _each_moment())
    rules = next(rules for rules in answers if all(rule["health"] != "unknown" for rule in rules))
    assert {rule["name"]: rule.get("lastError", "") for rule in rules if rule["health"] != "ok"} == {}
    assert len(rules) > 30


def _each_moment() -> Any:
    """Iterate for as long as an answer may be awaited: Prometheus tells nobody that it has scraped."""
    clock = asyncio.new_event_loop()
    try:
        end = clock.time() + _COMES
        while clock.time() < end:
            yield
            clock.run_until_complete(asyncio.sleep(0.25))
    finally:
        clock.close()


def _get(url: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 -- its own server
            found: dict[str, Any] = json.load(answer)["data"]
            return found
    except urllib.error.URLError:  # it listens, and is not ready yet
        return {"result": [], "groups": [{"rules": [{"health": "unknown"}]}]}
