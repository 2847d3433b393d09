"""What is said of each field of a spec and of a manifest, and to those who wrote something else there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jaild.model.errors import InvalidArgumentError
from jaild.model.jails import reference, specfile


def everything(path: str) -> Iterator[reference.Field]:
    found = reference.explain(path)
    assert found is not None, path
    yield found
    for field in found.fields:
        yield from everything(field.path)


@pytest.mark.parametrize("name", reference.EXAMPLES)
def test_every_field_is_said_in_words_with_a_form_and_an_example(name: str) -> None:
    _, *fields = everything(name)
    for field in fields:
        assert field.words, field.path
        assert field.form, field.path
        assert field.example.startswith(field.path.rpartition(".")[2] + ": "), field.path
        assert "null" not in field.example, f"{field.path} is in no example"


def test_the_examples_are_such_documents() -> None:
    specfile.parse(reference.EXAMPLES["spec"], "example")
    specfile.parse_manifest(reference.EXAMPLES["manifest"])


def test_a_field_is_told_as_the_types_take_it() -> None:
    told = {
        "spec.network.mode": ("one of vnet, shared-ip, host, none", False, "host"),
        "spec.network.ports": ("a list of objects with host", False, ""),
        "spec.network.ports.host": ("a whole number from 1 to 65535", True, ""),
        "spec.volumes": ("a mapping of names to objects with path", False, ""),
        "spec.limits.cpus": ("a number above 0, 4096 at most", False, ""),
        "spec.limits.processes": ("a whole number above 0", False, ""),
        "spec.health.kind": ("one of http, tcp, exec, process", True, ""),
        "spec.health.timeout": ("a number above 0, 3600 at most", False, ""),  # another one for each kind
        "spec.boot.autostart": ("true or false", False, "true"),
        "spec.environment": ("a mapping of names to texts", False, ""),
        "manifest.command": ("a list of texts", False, ""),
    }
    for path, expected in told.items():
        found = reference.explain(path)
        assert found is not None
        assert (path, (found.form, found.is_required, found.default)) == (path, expected)
    for nothing in ("spec.nope", "spec.base.nope", "recipe", ""):
        assert reference.explain(nothing) is None


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("volumes: [db]", "it is a mapping of names to objects with path, as in volumes: {db: {path: /var/db/redis"),
        ("volumes: {db: {quota: 1G}}", "jailctl explain spec.volumes"),
        ("volumes: {db: {path: /x, quota: [1]}}", "it is a text, as in quota: 20G;"),
        ("network: {ports: [{host: 99999}]}", "it is a whole number from 1 to 65535, as in host: 8080;"),
        ("health: [{kind: htp}]", "it is one of http, tcp, exec, process, as in kind: http;"),
        ("limits: {processes: 0}", "jailctl explain spec.limits.processes"),
        (
            "limits: {zzzz: 1}",
            "known here: memory, cpus, processes, open_files, cpuset; see jailctl explain spec.limits",
        ),
        ("limits: {cpu: 1}", "did you mean 'cpus'?"),
        ("- base", "jailctl explain spec"),
    ],
)
def test_whoever_wrote_something_else_is_told_the_form_with_an_example(text: str, hint: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        specfile.parse(text, "request")
    assert hint in refused.value.hint


def test_a_manifests_mistakes_are_explained_by_its_own_fields() -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        specfile.parse_manifest("users: redis")
    assert "jailctl explain manifest.users" in refused.value.hint
