"""A real Prometheus with the configuration that jaild brings, and rules and addresses of the test's own."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from jaild.rpc.tls import TlsFiles
from tests.integrations.servers import eventually, server

BROUGHT = Path(__file__).parents[2] / "templates/monitoring/prometheus"


def promtool(*words: str | Path) -> str:
    """Run promtool; fails with what it says."""
    done = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True)
class PrometheusServer:
    """One that runs."""

    url: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What an expression has now; raises if Prometheus does not understand it."""
        told = urllib.parse.urlencode({"query": expression})
        found: list[dict[str, Any]] = self._get(f"query?{told}")["result"]
        return found

    def rules(self) -> list[dict[str, Any]]:
        """All rules, with their health."""
        groups = self._get("rules")["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def _get(self, what: str) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{what}", timeout=10) as answer:  # noqa: S310 -- its own
                found: dict[str, Any] = json.load(answer)["data"]
                return found
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{what}: {error.read().decode()}") from error


@contextlib.contextmanager
def prometheus(folder: Path, address: str, tls: TlsFiles) -> Iterator[PrometheusServer]:
    """Run one in this folder that scrapes this address each second."""
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
    log = folder / "prometheus.log"
    with server(argv, log):
        found = eventually(lambda: re.search(r"Listening on.*address=([\d.:]+)", log.read_text()), "it listens")
        eventually(lambda: "Server is ready" in log.read_text(), "it is ready")
        yield PrometheusServer(f"http://{found[1]}")
