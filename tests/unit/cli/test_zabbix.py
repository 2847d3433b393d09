"""The template for Zabbix stands on what is exposed; a push asks for no more than is to be done."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from jaild.cli.output.exits import Exit
from jaild.cli.output.failures import Failure
from jaild.cli.zabbix.push import reachable
from jaild.cli.zabbix.template import template
from jaild.v1 import host_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.daemon import Daemon
from tests.unit.cli.zabbix_stub import ZabbixStub

ROOT = Path(__file__).parents[3]
SERIES = ROOT / "tests/golden/metrics.txt"
METRICS = "https://192.0.2.11:9464/metrics"
_PATTERN = re.compile(r"(\w+)(?:\{(.*)\})?")


@pytest.fixture(params=["6.0.14", "7.0.3"])
def stub(request: pytest.FixtureRequest) -> Iterator[ZabbixStub]:
    made = ZabbixStub(request.param)
    yield made
    made.stop()


@pytest.fixture
def push(jailctl: Run, daemon: Daemon, stub: ZabbixStub, tmp_path: Path) -> Run:
    """Push the daemon's host, whose metrics are at METRICS."""
    token = tmp_path / "token"
    token.write_text("secret\n")
    daemon.metrics_url = METRICS

    def run(*words: str, **options: Any) -> Any:
        return jailctl("zabbix", "push", "--url", stub.url, "--token-file", str(token), *words, **options)

    return run


def nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object of the template."""
    if isinstance(tree, dict):
        yield tree
        tree = list(tree.values())
    for each in tree if isinstance(tree, list) else ():
        yield from nodes(each)


def test_every_item_is_of_a_series_that_there_is_with_the_labels_that_it_has() -> None:
    text = SERIES.read_text()
    exposed = set(re.findall(r"(?m)^# TYPE (\w+)", text))
    labels = {name: set(re.findall(r"(\w+)=", told)) for name, told in re.findall(r"(?m)^(\w+)\{(.*)\}$", text)}
    steps = [step for node in nodes(template()) for step in node.get("preprocessing", ())]
    patterns = [step["parameters"] for step in steps if step["type"].startswith("PROMETHEUS")]
    assert len(patterns) > 50
    for pattern, *output in patterns:
        found = _PATTERN.fullmatch(pattern)
        assert found is not None, pattern
        name, told = found[1], found[2] or ""
        if name.startswith("process_"):
            continue
        assert {name, re.sub(r"_(bucket|sum|count)$", "", name)} & exposed, pattern
        asked = set(re.findall(r"(\w+)=", told)) | ({output[1]} if output and output[0] == "label" else set())
        assert asked <= labels.get(name, asked), pattern


def test_every_alert_of_prometheus_has_its_trigger_as_urgent_with_its_page() -> None:
    (group,) = yaml.safe_load((ROOT / "templates/monitoring/prometheus/jaild.rules.yml").read_text())["groups"]
    rules = {rule["alert"]: (rule["labels"]["severity"], rule["annotations"]["runbook"]) for rule in group["rules"]}
    told = {"HIGH": "page", "WARNING": "ticket"}
    triggers = {
        tag["value"]: (told[node["priority"]], node["description"])
        for node in nodes(template())
        if "expression" in node
        for tag in node["tags"]
        if tag["tag"] == "alert"
    }
    assert triggers == rules


def test_every_object_has_a_uuid_of_its_own_in_the_form_that_zabbix_takes() -> None:
    found = [node["uuid"] for node in nodes(template()) if "uuid" in node]
    assert len(found) == len(set(found)) > 90
    assert {uuid.UUID(hex=each).version for each in found} == {4}


def test_the_template_is_printed_whole(jailctl: Run) -> None:
    assert yaml.safe_load(jailctl("zabbix", "template").stdout) == template()


def test_a_second_push_changes_nothing_and_a_plan_neither(push: Run, stub: ZabbixStub) -> None:
    planned = json.loads(push("--plan", "-o", "json").stdout)
    assert [thing["done"] for thing in planned["things"]] == ["made"] * 3
    assert stub.changes() == []
    assert push().exit_code == Exit.OK
    assert stub.changes() == ["configuration.import", "hostgroup.create", "host.create"]
    first = stub.changes()
    again = push("--no-headers").stdout
    assert [line.split()[-1] for line in again.splitlines()] == ["unchanged"] * 3
    assert stub.changes() == first


def test_the_token_stands_where_this_zabbix_takes_it_and_never_in_the_question_for_its_version(
    push: Run, stub: ZabbixStub
) -> None:
    push()
    where = {"auth secret"} if stub.version.startswith("6.0") else {"Bearer secret"}
    assert {told for method, _, told in stub.asked if method != "apiinfo.version"} == where
    assert {told for method, _, told in stub.asked if method == "apiinfo.version"} == {""}


def test_a_template_that_differs_in_its_order_alone_is_left_and_one_that_differs_is_imported(
    push: Run, stub: ZabbixStub
) -> None:
    push()
    before = len(stub.changes())
    same = {"uuid": "1"}
    stub.differs = {"templates": {"updated": [{"before": same, "after": same, "items": {"updated": []}}]}}
    assert push().exit_code == Exit.OK
    assert stub.changes()[before:] == []
    inner = {"updated": [{"before": same, "after": {"uuid": "2"}}]}
    stub.differs = {"templates": {"updated": [{"before": same, "after": same, "items": inner}]}}
    assert "changed" in push().stdout
    assert stub.changes()[before:] == ["configuration.import"]


def test_a_host_whose_metrics_moved_is_changed(push: Run, stub: ZabbixStub, daemon: Daemon) -> None:
    push()
    daemon.metrics_url = METRICS.replace("9464", "9465")
    assert "changed" in push().stdout
    assert stub.changes()[-1] == "usermacro.update"


def test_a_proxy_asks_the_hosts_that_are_made_and_one_that_there_is_not_is_told(push: Run, stub: ZabbixStub) -> None:
    refused = push("--proxy", "south")
    assert (refused.exit_code, "Zabbix has no proxy south" in refused.stderr) == (Exit.NOT_FOUND, True)
    assert push("--proxy", "north").exit_code == Exit.OK
    made = next(parameters for method, parameters, _ in stub.asked if method == "host.create")
    named = {key: made[key] for key in ("proxyid", "proxy_hostid", "monitored_by") if key in made}
    assert named == ({"proxy_hostid": "7"} if stub.version.startswith("6.0") else {"monitored_by": 1, "proxyid": "7"})


def test_of_all_contexts_those_that_answer_are_pushed_and_the_others_told(
    push: Run, jailctl: Run, daemon: Daemon, stub: ZabbixStub
) -> None:
    for name, address in (("alpha", daemon.address), ("beta", "unix:///nowhere")):
        jailctl("context", "add", name, "--address", address)
    result = push("-A")
    assert result.exit_code == Exit.UNAVAILABLE
    assert "beta: cannot reach jaild" in result.stderr
    assert list(stub.hosts) == ["alpha"]


def test_what_zabbix_refuses_and_what_is_no_zabbix_are_told(
    push: Run, jailctl: Run, stub: ZabbixStub, tmp_path: Path
) -> None:
    stub.refusal = {"message": "Not authorized.", "data": "API token expired."}
    result = push()
    assert (result.exit_code, "Not authorized. API token expired." in result.stderr) == (Exit.REFUSED, True)
    token = tmp_path / "other"
    token.write_text("x")
    words = ("zabbix", "push", "--token-file", str(token), "--url")
    for url, told in ((f"{stub.url}/elsewhere/x", ""), ("http://127.0.0.1:1", "cannot reach Zabbix at")):
        result = jailctl(*words, url)
        assert told in result.stderr
    assert jailctl(*words, "ftp://zabbix").exit_code == Exit.USAGE
    stub.refusal, stub.version = None, "5.4.0"
    assert "6.0 is the oldest" in push().stderr


def test_the_token_goes_to_the_server_that_was_named_alone_and_not_in_the_clear(
    push: Run, jailctl: Run, stub: ZabbixStub, tmp_path: Path
) -> None:
    other = ZabbixStub()
    stub.elsewhere = f"{other.url}/api_jsonrpc.php"
    assert (push().exit_code, other.asked) == (Exit.UNAVAILABLE, [])
    other.stop()
    token = tmp_path / "other"
    token.write_text("x")
    words = ("zabbix", "push", "--token-file", str(token), "--url", "http://zabbix.invalid")
    assert "in the clear" in jailctl(*words).stderr
    assert "cannot reach Zabbix" in jailctl(*words, "--insecure").stderr


def test_of_a_zabbix_on_this_machine_no_proxy_is_told(
    push: Run, stub: ZabbixStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = ZabbixStub()
    monkeypatch.setenv("http_proxy", proxy.url)
    assert (push().exit_code, proxy.asked, bool(stub.asked)) == (Exit.OK, [], True)
    proxy.stop()


@pytest.mark.parametrize(
    ("metrics", "context", "url"),
    [
        (METRICS, "unix:///run/jaild.sock", METRICS),
        ("https://0.0.0.0:9464/metrics", "192.0.2.7:8443", "https://192.0.2.7:9464/metrics"),
        ("https://[::]:9464/metrics", "[2001:db8::7]:8443", "https://[2001:db8::7]:9464/metrics"),
        ("http://127.0.0.1:9464/metrics", "unix:///run/jaild.sock", "http://127.0.0.1:9464/metrics"),
        ("https://0.0.0.0:9464/metrics", "unix:///run/jaild.sock", "which of its addresses"),
        ("http://127.0.0.1:9464/metrics", "192.0.2.7:8443", "for that host alone"),
        ("http://localhost:9464/metrics", "alpha.example:8443", "for that host alone"),
        ("", "192.0.2.7:8443", "it has no metrics"),
    ],
)
def test_zabbix_is_given_an_address_that_it_can_reach_or_it_is_said_that_there_is_none(
    metrics: str, context: str, url: str
) -> None:
    if url.startswith("http"):
        assert reachable(metrics, context) == url
        return
    with pytest.raises(Failure, match=url) as refused:
        reachable(metrics, context)
    assert refused.value.hint


def test_a_host_tells_where_its_metrics_are(jailctl: Run, daemon: Daemon) -> None:
    daemon.metrics_url = METRICS
    assert METRICS in jailctl("host", "show").stdout
    assert host_pb2.HostInfo.DESCRIPTOR.fields_by_name["metrics_url"].number == 26
