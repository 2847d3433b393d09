"""States within jails as targets, without a minion there: by real Salt, in the jail's own Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import LINUX_HOST
from tests.e2e import trees
from tests.e2e.node import Node
from tests.salt.bench import Bench
from tests.salt.python_base import python_base

pytestmark = pytest.mark.real(*LINUX_HOST)

NAME, BARE = "inside", "bare"
PLACE = "/var/cache/jaild-salt"
SECRET = "hunter2-of-the-jail"
HOSTS = "hunter2-of-the-host"
GREETED = """
{% from 'words.jinja' import release %}
{% if release == grains['release'] %}
/var/lib/greeting:
  file.managed:
    - source: salt://greeting.jinja
    - template: jinja
    - context: {word: "{{ salt['pillar.get']('words:first', 'none') }}"}
    - mode: '0640'
{% endif %}
"""
GREETING = "{{ word }} {{ pillar['jail'] }} {{ grains['app'] }} {{ salt['pillar.get']('jaild', 'none') }}\n"
REFUSED = """
/usr/local/mine: {file.managed: [{contents: mine}]}
/etc/mine: {file.managed: [{contents: mine}]}
"""
KEY = """
the key is used:
  cmd.run: [{name: "test -n '{{ pillar['key'] }}'"}]
"""


@pytest.fixture(scope="module", autouse=True)
def jails(node: Node, bench: Bench, workshop: Path) -> Iterator[None]:
    node.api.import_base("python-1", python_base(workshop / "python-1.tgz"))
    node.api.create(NAME, trees.spec("python-1", "web/1"))
    node.api.create(BARE, trees.spec("tiny-1", "web/1"))
    for name, text in {
        "greeted.sls": GREETED,
        "greeting.jinja": GREETING,
        "words.jinja": "{% set release = 'web/1' %}",
        "refused.sls": REFUSED,
        "keyed.sls": KEY,
    }.items():
        (bench.states / name).write_text(text)
    bench.ask("solo", "saltutil.refresh_resources")
    for name in (NAME, BARE):
        bench.await_jail(name, "test.ping", answer=True)
    yield
    for name in (NAME, BARE):
        node.api.delete(name)


@pytest.fixture
def applied(bench: Bench) -> Callable[..., dict[str, Any]]:
    """What the jail answers to a function of `state`, with its status."""

    def ask(*words: str, jail: str = NAME, function: str = "state.apply") -> dict[str, Any]:
        found: dict[str, Any] = bench.full(f"T@jail:{jail}", function, *words, tgt_type="compound")[jail]
        return found

    return ask


def shell(node: Node, command: str) -> str:
    """What a command says in the jail, by no Salt."""
    return node.api.exec(NAME, "/bin/sh", "-c", command).strip()


def only(told: dict[str, Any]) -> dict[str, Any]:
    """The one state of a run."""
    assert isinstance(told["ret"], dict), told
    (state,) = told["ret"].values()
    return dict(state)


def test_test_mode_shows_what_applying_then_does_and_again_nothing(node: Node, applied: Any) -> None:
    words = ("greeted", "pillar={words: {first: hello}}")
    planned = applied(*words, "test=True")
    assert (only(planned)["result"], planned["retcode"]) == (None, 0)
    assert shell(node, "ls /var/lib") == ""
    done, again = applied(*words), applied(*words)
    assert (only(done)["result"], only(done)["changes"]["mode"], done["retcode"]) == (True, "0640", 0)
    assert (only(again)["result"], only(again)["changes"], again["retcode"]) == (True, {}, 0)
    assert shell(node, "cat /var/lib/greeting; stat -c %a /var/lib/greeting") == f"hello {NAME} web none\n640"


def test_salt_comes_once_and_leaves_nothing_of_a_run(node: Node, applied: Any) -> None:
    applied("keyed", f"pillar={{key: {SECRET}}}")
    before = shell(node, f"ls -i {PLACE}")
    told = applied("keyed", f"pillar={{key: {SECRET}}}")
    assert (only(told)["result"], told["retcode"]) == (True, 0)
    assert len(before.split()) == 2
    assert shell(node, f"ls -i {PLACE}") == before
    assert shell(node, f"grep -rl {SECRET} /var /root /home /etc /tmp || true") == ""
    assert shell(node, "ls -A /tmp") == ""


def test_a_state_that_fails_keeps_its_status_and_what_is_read_only_stays_so(node: Node, applied: Any) -> None:
    told = applied("refused")
    results = {state["name"]: state["result"] for state in told["ret"].values()}
    assert (results, told["retcode"]) == ({"/usr/local/mine": False, "/etc/mine": True}, 2)
    assert shell(node, "cat /etc/mine") == "mine"


def test_etc_is_the_generations_and_goes_with_it(node: Node, applied: Any) -> None:
    applied("refused")
    node.api.deploy(NAME, "web/2")
    assert shell(node, "cat /usr/local/version /etc/mine") == "version 2\nmine"
    node.api.deploy(NAME, "web/1")


def test_a_jail_has_the_pillar_that_is_its_own_and_no_other(bench: Bench, applied: Any) -> None:
    (bench.pillar / "top.sls").write_text("base: {'*': [resources, secrets]}\n")
    own = f"jaild: {{jails: {{{NAME}: {{words: {{first: own}}}}}}}}\n"
    (bench.pillar / "secrets.sls").write_text(f"{own}hosts: {HOSTS}\n")
    bench.ask("solo", "saltutil.refresh_pillar", "wait=True")
    (bench.states / "told.sls").write_text("told: {test.configurable_test_state: [{comment: '{{ pillar | json }}'}]}")
    bench.await_jail(NAME, "test.ping", answer=True)
    comment = only(applied("told"))["comment"]
    assert '"first": "own"' in comment
    assert HOSTS not in comment
    assert "resources" not in comment


def test_a_highstate_is_what_the_top_file_has_for_the_jail(bench: Bench, applied: Any) -> None:
    (bench.states / "top.sls").write_text("base: {'virtual:jail': [{match: grain}, greeted], 'not-there': [refused]}")
    for function in ("state.highstate", "state.apply"):
        told = applied("test=True", function=function)
        assert only(told)["name"] == "/var/lib/greeting"
    (bench.states / "top.sls").unlink()
    nothing = applied(function="state.highstate")
    assert (nothing["ret"], nothing["retcode"]) == ([f"the top file has nothing for jail {NAME}"], 1)


def test_files_that_are_not_there_and_options_that_are_not_known_are_told(applied: Any) -> None:
    missing = applied("nowhere")
    assert "nowhere" in missing["ret"][0]
    assert missing["retcode"] == 1
    assert "colour" in applied("greeted", "colour=red", function="state.sls")["ret"]


def test_a_jail_without_python_is_told_so(applied: Any) -> None:
    told = applied("greeted", jail=BARE)
    assert "(NO_PYTHON_IN_JAIL)" in told["ret"]
    assert "put Python 3 into its release or its base" in told["ret"]
    assert told["retcode"] == 1
