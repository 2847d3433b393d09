"""A real Zabbix takes what jaild has for it, by its API: template, host, values that arrive, a trigger that fires."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jaild.cli.zabbix.template import template
from jaild.cli.zabbix.watched import TEMPLATE
from tests.e2e.node import CHECKOUT
from tests.integrations.conftest import JAIL, Watched
from tests.integrations.servers import eventually
from tests.integrations.zabbix_server import ZabbixServer, zabbix

pytestmark = pytest.mark.real("zabbix_server", "php", "pg_ctlcluster", "setpriv", "openssl")
HOST = "alpha"


@pytest.fixture(scope="module")
def server(watched: Watched, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZabbixServer]:
    # As docs/monitoring.md has it: the certificate and its key by the names that the template has.
    folder = tmp_path_factory.mktemp("certificates")
    shutil.copy(watched.tls.certificate, folder / "jaild.pem")
    shutil.copy(watched.tls.key, folder / "jaild.key")
    shutil.copy(watched.tls.authority, folder / "authority.pem")
    subprocess.run(["openssl", "rehash", folder], check=True)
    with zabbix(folder) as made:
        yield made


@pytest.fixture(scope="module")
def token(server: ZabbixServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("token") / "zabbix.token"
    file.write_text(f"{server.token}\n")
    return file


@pytest.fixture(autouse=True)
def _nothing_pushed(server: ZabbixServer) -> Iterator[None]:
    """Leave Zabbix as it was."""
    yield
    for what, key, names in (
        ("host", "host", [HOST]),
        ("template", "host", [TEMPLATE]),
        ("hostgroup", "name", ["jaild"]),
    ):
        ids = [
            each[f"{what.removeprefix('host') or 'host'}id"] for each in server.call(f"{what}.get", filter={key: names})
        ]
        if ids:
            server.call(f"{what}.delete", *ids)


def push(watched: Watched, server: ZabbixServer, token: Path, *more: str) -> list[str]:
    """Push this host; return the words of the lines that are printed."""
    argv = [sys.executable, "-c", "from jaild.cli.main import main; main()", "zabbix", "push", "--no-headers"]
    done = subprocess.run(
        [*argv, "--url", server.url, "--token-file", str(token), *more],
        env={**os.environ, "JAILCTL_ADDRESS": f"unix://{watched.node.folder}/jaild.sock"},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return [line.split()[-1] for line in done.stdout.splitlines()]


def test_zabbix_watches_a_host_that_was_pushed(watched: Watched, server: ZabbixServer, token: Path) -> None:
    assert push(watched, server, token, "--plan") == ["made"] * 3
    assert push(watched, server, token) == ["made"] * 3  # so the plan had touched nothing
    assert push(watched, server, token) == ["unchanged"] * 3
    (host,) = server.call("host.get", filter={"host": [HOST]}, output=["hostid"])
    for macro, value in (("{$JAILD.INTERVAL}", "1s"), ("{$JAILD.JAIL.DOWN}", "3s")):
        server.call("usermacro.create", hostid=host["hostid"], macro=macro, value=value)
    state = f"jaild.jail.state[{JAIL}]"
    values = eventually(lambda: _where(server, state, "running"), f"{state} is running")
    assert float(values["jaild.jails.running"]) == 1
    eventually(lambda: _full(server), "every item of the host has a value, or says that there is none")
    assert server.unsupported(HOST) == {}
    values = server.values(HOST)
    assert values[f"jaild.jail.release[{JAIL}]"] == "1"
    assert float(values[f"jaild.jail.memory[{JAIL}]"]) > 0
    assert float(values["jaild.certificate.ends[metrics.tls]"]) > 1e9
    eventually(lambda: _judged(server), "every trigger can be judged, but for that of a scrub that never was")
    graphs = {graph["name"] for graph in server.call("graph.get", hostids=[host["hostid"]], output=["name"])}
    assert {"jaild: Space", f"jail {JAIL}: Memory"} <= graphs

    (pid, *_) = watched.node.jail_processes(JAIL)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: "JaildJailDown" in server.problems(HOST), "the trigger fires")
    watched.node.api.start(JAIL)
    eventually(lambda: "JaildJailDown" not in server.problems(HOST), "the trigger is over")


def _where(server: ZabbixServer, key: str, value: str) -> dict[str, str] | None:
    values = server.values(HOST)
    return values if values.get(key) == value else None


def _full(server: ZabbixServer) -> bool:
    """Say whether each item of the template has a value; those of replicas and of what never was have none."""
    items = template()["zabbix_export"]["templates"][0]["items"]
    missing = {item["key"] for item in items} - server.values(HOST).keys()
    return missing == {"jaild.metrics", "jaild.pool.scrubbed"}


def _judged(server: ZabbixServer) -> bool:
    triggers = server.call("trigger.get", host=HOST, filter={"state": 1}, output=["description"])
    return [trigger["description"] for trigger in triggers] == ["the pool was not scrubbed for five weeks"]


def test_a_host_that_zabbix_knows_keeps_what_it_has(watched: Watched, server: ZabbixServer, token: Path) -> None:
    groups = server.call("hostgroup.get", filter={"name": ["Linux servers"]}, output=["groupid"])
    interface = {"type": 1, "main": 1, "useip": 1, "ip": "192.0.2.1", "dns": "", "port": "10050"}
    macros = [{"macro": "{$MINE}", "value": "1"}, {"macro": "{$JAILD.URL}", "value": "https://old.example/metrics"}]
    server.call("host.create", host=HOST, groups=groups, interfaces=[interface], macros=macros)
    assert push(watched, server, token) == ["made", "made", "changed"]
    assert push(watched, server, token) == ["unchanged"] * 3
    (host,) = server.call(
        *("host.get",),
        filter={"host": [HOST]},
        selectMacros="extend",
        selectGroups="extend",
        selectInterfaces="extend",
        selectParentTemplates="extend",
    )
    assert [group["name"] for group in host["groups"]] == ["Linux servers"]
    assert [each["ip"] for each in host["interfaces"]] == ["192.0.2.1"]
    told = {macro["macro"]: macro["value"] for macro in host["macros"]}
    assert told == {"{$MINE}": "1", "{$JAILD.URL}": f"https://{watched.address}/metrics"}
    assert [each["host"] for each in host["parentTemplates"]] == ["jaild by HTTP"]


def test_a_proxy_asks_the_host_that_is_made(watched: Watched, server: ZabbixServer, token: Path) -> None:
    active = 5  # a proxy that calls its server: https://www.zabbix.com/documentation/6.0/en/manual/api/reference/proxy/object
    (proxy,) = server.call("proxy.create", host="north", status=active)["proxyids"]
    try:
        assert push(watched, server, token, "--proxy", "north") == ["made"] * 3
        (host,) = server.call("host.get", filter={"host": [HOST]}, output=["hostid", "proxy_hostid"])
        assert host["proxy_hostid"] == proxy
        server.call("host.delete", host["hostid"])
    finally:
        server.call("proxy.delete", proxy)
