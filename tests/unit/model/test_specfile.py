from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaild.model import yamltext
from jaild.model.errors import InvalidArgumentError
from jaild.model.jails import specfile
from jaild.model.jails.spec import (
    ExecCheck,
    HttpCheck,
    JailSpec,
    Limits,
    Mode,
    Network,
    Readiness,
    TcpCheck,
    Volume,
)
from jaild.model.layers.records import Group, Manifest, User

FULL = JailSpec(
    base="debian-12",
    app="redis/7.0.15",
    command=("/usr/local/bin/redis-server", "--port", "6379"),
    environment={"TZ": "UTC", "ON": "yes"},
    network=Network(mode=Mode.VNET, addresses=("10.0.0.5/24", "2001:db8::5/64"), gateway="10.0.0.1"),
    volumes={"logs": Volume(path="/var/log/redis", quota="1G")},
    limits=Limits(memory="512M", cpus=1.5),
    health=(HttpCheck(port=80), TcpCheck(port=6379), ExecCheck(command=("redis-cli", "ping"))),
    readiness=Readiness(successes=3),
    labels={"team": "edge"},
)


def refusal(text: str) -> InvalidArgumentError:
    with pytest.raises(InvalidArgumentError) as caught:
        specfile.parse(text, "web.yaml")
    assert caught.value.reason == "INVALID_SPEC"
    assert caught.value.detail["source"] == "web.yaml"
    return caught.value


def place(error: InvalidArgumentError) -> tuple[str, str]:
    return error.detail["path"], error.detail["line"]


def test_a_full_specification_reads_back_as_it_was_written() -> None:
    assert specfile.parse(specfile.render(FULL), "x") == FULL


def test_equal_specifications_give_equal_text_whatever_the_order_of_their_keys() -> None:
    turned = JailSpec(base="b", labels={"b": "1", "a": "2"}), JailSpec(base="b", labels={"a": "2", "b": "1"})
    assert specfile.render(turned[0]) == specfile.render(turned[1])


def test_defaults_are_not_written() -> None:
    assert specfile.render(JailSpec(base="b")) == "base: b\n"


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_any_text_survives_writing_and_reading(labels: dict[str, str]) -> None:
    spec = JailSpec(base="b", labels=labels)
    assert specfile.parse(specfile.render(spec), "x") == spec


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("base: b\nnetwork:\n  addresses:\n    - 5\n", "$.network.addresses[0]", "4"),
        ("base: b\nvolumes:\n  good: {path: /a}\n  bad:\n    path: 1\n", "$.volumes.bad.path", "5"),
        ('base: b\nlabels:\n  "a.b": x\n  "c.d": 1\n', '$.labels["c.d"]', "4"),
        ("base: b\nhealth:\n  - kind: tcp\n    port: 0\n", "$.health[0].port", "4"),
        ("base: b\nhealth:\n  - port: 1\n", "$.health[0]", "3"),
        ("- base\n", "$", "1"),
        ("base: 14.3\n", "$.base", "1"),
        ("base: b\nlabels: {1: x}\n", "$.labels", "2"),
        ("base: b\nlimits:\n  cpus: .nan\n", "$.limits.cpus", "3"),
    ],
)
def test_a_wrong_type_is_told_by_path_and_line(text: str, path: str, line: str) -> None:
    assert place(refusal(text)) == (path, line)


@pytest.mark.parametrize(
    ("text", "written", "taken_for"),
    [
        ("base: 15.10\n", "15.10", "a number"),  # as it was written: 15.1 is another base
        ("base: 1_4\n", "1_4", "a number"),
        ("base: b\nquota: 512\n", "512", "a number"),
        ("base: b\nnetwork:\n  addresses: [10.0]\n", "10.0", "a number"),
        ("base: on\n", "on", "a yes or no"),
        ("base: 2026-01-02\n", "2026-01-02", "a date"),
    ],
)
def test_a_name_that_yaml_takes_for_something_else_is_told_as_it_was_written(
    text: str, written: str, taken_for: str
) -> None:
    error = refusal(text)
    assert f"{written} is {taken_for} unless it is quoted" in error.message
    assert f'quotes to make it text: "{written}"' in error.hint
    assert "${...}" in error.hint


@pytest.mark.parametrize(
    ("text", "path", "line", "meant"),
    [
        ("base: b\nnetwork:\n  adresses: []\n", "$.network.adresses", "3", "addresses"),
        ("base: b\nvolumes:\n  a.b:\n    pth: /a\n", '$.volumes["a.b"].pth', "4", "path"),
        ("base: b\nhealth:\n- kind: http\n  port: 1\n  pathh: /\n", "$.health[0].pathh", "5", "path"),
        ("base: b\nhealth:\n- kind: exec\n  command: [a]\n  commnd: [b]\n", "$.health[0].commnd", "5", "command"),
        ("base: b\nrestart: {polcy: always}\n", "$.restart.polcy", "2", "policy"),
        ("base: b\nheath: []\n", "$.heath", "2", "health"),
    ],
)
def test_an_unknown_key_is_told_with_the_one_that_was_meant(text: str, path: str, line: str, meant: str) -> None:
    error = refusal(text)
    assert place(error) == (path, line)
    assert error.hint == f"did you mean {meant!r}?"


def test_an_unknown_key_like_no_other_is_told_with_all_that_are_known() -> None:
    assert "autostart" in refusal("base: b\nboot:\n  zzz: 1\n").hint


def test_a_key_said_twice_is_refused_and_both_lines_are_named() -> None:
    error = refusal("base: b\napp: a/1\nbase: c\n")
    assert place(error) == ("$.base", "3")
    assert "line 1" in error.message


def test_an_alias_is_refused_before_it_is_expanded() -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(12)
    )
    error = refusal(bomb)
    assert error.detail["line"] == "2"
    assert "alias" in error.message


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("base: b\n---\nbase: c\n", "more than one"),
        ("", "empty"),
        ("# only a comment\n", "empty"),
        ("base: [b\n", "not YAML"),
        ("base: \x07\n", "not YAML"),
        ("base: !!python/object/apply:os.system [id]\n", "not YAML"),
        ("base: 2026-13-45\n", "cannot be"),
        ("labels: {" + ", ".join(f"k{n}: v" for n in range(2500)) + "}", "more than 5000 keys and values"),
        ("? " + "x" * 9000 + "\n: [" + "1, " * 900 + "1]", "too long for what stands below"),
        ("base: " + "[" * 40, "deeper"),
        ("base: b\n<<: {app: a/1}\n", "not text"),
        ("base: '" + "x" * yamltext.LIMIT + "'", "larger"),
        ("base: '" + "é" * (yamltext.LIMIT // 2) + "'", "larger"),
    ],
)
def test_yaml_that_no_specification_needs_is_refused(text: str, word: str) -> None:
    assert word in refusal(text).message


def test_very_deep_text_ends_in_a_refusal_and_not_in_exhausted_recursion() -> None:
    assert "deeper" in refusal("{a: " * 5000).message


def test_a_manifest_is_read_with_its_accounts() -> None:
    manifest = Manifest(
        command=("bin/redis",), users=(User(name="redis", uid=800, gid=800),), groups=(Group(name="redis", gid=800),)
    )
    assert specfile.parse_manifest(specfile.render(manifest)) == manifest


def test_a_manifests_mistake_is_told_by_path_and_line() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        specfile.parse_manifest("users:\n  - name: redis\n    uid: 1\n    gid: 1\n    hom: /x\n")
    assert place(caught.value) == ("$.users[0].hom", "5")
