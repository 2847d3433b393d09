"""What of `event_sinks` is refused when the configuration is read, by its path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from jaild import config
from jaild.model.errors import InvalidArgumentError

HOOK = {"url": "https://pager.example/x", "secret": "/etc/secret"}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "one of webhook, command and syslog"),
    ({"webhook": HOOK, "command": {"argv": ["x"]}}, "one of webhook, command and syslog"),
    ({"webhook": {**HOOK, "url": "http://pager.example/x"}}, "pager.example unprotected"),
    ({"webhook": {**HOOK, "url": "ftp://pager.example/x"}}, "the url is none"),
    ({"webhook": {**HOOK, "url": "https://me:secret@pager.example"}}, "without user and password"),
    ({"webhook": {**HOOK, "url": "https://pager.example:99999/"}}, "Port out of range"),
    ({"webhook": {**HOOK, "url": "https://pager.example/a b"}}, "letters that no request can"),
    ({"webhook": {**HOOK, "url": "https://pager.example/\xfc"}}, "letters that no request can"),
    ({"webhook": {"url": "https://pager.example"}}, "secret"),
    ({"webhook": {**HOOK, "timeout": 0}}, "timeout"),
    ({"command": {"argv": []}}, "argv"),
    ({"command": {"argv": ["x"]}, "filter": "color = red"}, "there is no field color"),
    ({"command": {"argv": ["x"]}, "give_up_after": 0}, "give_up_after"),
    ({"command": {"argv": ["x"]}, "retries": 3}, "retries"),
    ({"syslog": {"address": "unix:log"}}, "is no address"),
    ({"syslog": {"address": "udp://loghost"}}, "is no address"),
    ({"syslog": {"address": "tls://loghost:6514"}}, "is no address"),
    ({"syslog": {"severity": "panic"}}, "severity"),
]


def load(folder: Path, sinks: dict[str, Any]) -> config.Config:
    path = folder / "jaild.yaml"
    path.write_text(yaml.safe_dump({"event_sinks": sinks}))
    return config.load(path, {})


@pytest.mark.parametrize(("said", "why"), WRONG)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, said: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidArgumentError, match=why) as refused:
        load(tmp_path, {"pager": said})
    assert "event_sinks" in refused.value.message


def test_so_is_a_name_that_no_resource_may_have(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="'Pager One' is not a name for a event sink"):
        load(tmp_path, {"Pager One": {"command": {"argv": ["x"]}}})


def test_of_a_webhook_only_the_host_is_shown(tmp_path: Path) -> None:
    sinks = {"a": {"webhook": HOOK}, "b": {"syslog": {}}, "c": {"command": {"argv": ["/bin/x", "token"]}}}
    told = load(tmp_path, sinks).event_sinks
    assert [(told[name].kind, told[name].to.destination) for name in "abc"] == [
        ("webhook", "https://pager.example"),
        ("syslog", "unix:/var/run/log"),
        ("command", "/bin/x"),
    ]
    assert load(tmp_path, {"a": {"webhook": {**HOOK, "url": "http://127.0.0.1/"}}}).event_sinks["a"].filter == ""
