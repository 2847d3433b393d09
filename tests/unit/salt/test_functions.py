"""Functions for Salt out of the API's descriptors."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jaild.rpc.policy import RULES
from jaild.salt import functions
from jaild.v1 import contents_pb2

KNOWN = {method.name: method for method in functions.methods()}


def test_every_method_of_the_api_is_there() -> None:
    named = {f"/{each.descriptor.containing_service.full_name}/{each.descriptor.name}" for each in KNOWN.values()}
    assert named == {path for path in RULES if path.startswith(("/jaild.v1.", "/google.longrunning."))}


def test_what_is_no_function_of_its_own_is_written_by_hand() -> None:
    hand_written = (Path(functions.__file__).parent / "modules/jaild.py").read_text()
    # Events are asked for as a list, an operation by its end.
    others = {"watch_events": "list_events", "watch_operation": "get_operation"}
    made = functions.made(lambda *_: None, "somewhere")
    for name, method in KNOWN.items():
        if method.by_hand:
            known = others.get(name, name)
            assert known in made or f"def {known}(" in hand_written


def test_what_is_streamed_to_its_end_is_a_list() -> None:
    found = [contents_pb2.FindContentsResponse(), contents_pb2.FindContentsResponse()]
    api: Any = SimpleNamespace(contents=SimpleNamespace(FindContents=lambda *_, **__: iter(found)))
    assert KNOWN["find_contents"].call(api, {}) == found


def test_each_says_what_it_does_and_what_each_argument_is() -> None:
    for method in KNOWN.values():
        assert method.described
        assert all(method.fields.values()), method.name
        assert not any(text.startswith("See ") for text in method.fields.values()), method.name


def test_a_field_that_is_a_word_of_python_has_an_underscore_as_argument() -> None:
    made = functions.made(lambda _, values: values, "somewhere")
    named = [name for name, method in KNOWN.items() if not method.by_hand and "from" in method.fields]
    assert named
    for name in named:
        needed = [each.name for each in KNOWN[name].parameters() if each.default is each.empty and each.name != "from_"]
        assert made[name](**dict.fromkeys(needed, "x"), from_=1) == {**dict.fromkeys(needed, "x"), "from": 1}


def test_each_that_is_made_has_the_signature_of_its_request() -> None:
    made = functions.made(lambda method, values: (method.name, values), "somewhere")
    assert str(inspect.signature(made["get_generation"])) == "(name, secrets=False, context=None)"
    assert str(inspect.signature(made["list_jails"])) == "(filter=None, limit=None, secrets=False, context=None)"
    assert "wait=True" in str(inspect.signature(made["deploy_release"]))
    assert made["get_jail"]("web", context="beta") == ("get_jail", {"name": "web", "context": "beta"})
    with pytest.raises(TypeError, match="name"):
        made["get_jail"]()


@pytest.mark.parametrize(
    ("method", "given", "whole"),
    [
        ("get_jail", "web", "jails/web"),
        ("get_jail", "jails/web", "jails/web"),
        ("get_generation", "web/3", "jails/web/generations/3"),
        ("get_generation", "jails/web/generations/3", "jails/web/generations/3"),
        ("get_release", "redis/7.0", "apps/redis/releases/7.0"),
        ("cancel_operation", "0d8f", "operations/0d8f"),
        ("delete_volume", "web/data", "jails/web/volumes/data"),
        ("patch_base", "debian-12", "bases/debian-12"),
    ],
)
def test_short_names_become_whole_ones(method: str, given: str, whole: str) -> None:
    field = "parent" if method == "patch_base" else "name"
    assert KNOWN[method].whole({field: given}) == {field: whole}


@pytest.mark.parametrize(
    ("spec", "sent"),
    [
        ({"base": "debian-12"}, {"yaml": '{"base": "debian-12"}'}),
        ("base: debian-12\n", {"yaml": "base: debian-12\n"}),
        ({"template": {"name": "web"}}, {"template": {"name": "web"}}),
    ],
)
def test_a_spec_goes_as_text_whose_mistakes_are_told_with_their_line(spec: Any, sent: Any) -> None:
    assert functions.source(spec) == sent
