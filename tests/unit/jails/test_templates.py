from __future__ import annotations

from pathlib import Path

import pytest

from jaild.adapters.files.host import HostFiles
from jaild.jails.templates import Templates
from jaild.model.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from jaild.model.jails import specfile

WEB = "base: ${base}\nhostname: ${name}\nlabels:\n  price: $$5\n"


@pytest.fixture
def templates(tmp_path: Path) -> Templates:
    (tmp_path / "web.yaml").write_text(WEB)
    (tmp_path / "plain.yaml").write_text("base: b1\n")
    (tmp_path / "notes.txt").write_text("")
    return Templates(HostFiles(tmp_path / "spool"), (tmp_path, tmp_path / "shipped"))


async def test_templates_are_listed_with_what_must_be_given(templates: Templates) -> None:
    plain, web = await templates.list()
    assert (plain.name, plain.variables, plain.text) == ("plain", (), "base: b1\n")
    assert (web.name, web.variables, await templates.get("web")) == ("web", ("base", "name"), web)
    with pytest.raises(NotFoundError) as missing:
        await templates.get("wbe")
    assert "plain, web" in missing.value.hint


async def test_a_template_of_the_host_is_taken_instead_of_one_that_comes_with_jaild(
    templates: Templates, tmp_path: Path
) -> None:
    (tmp_path / "shipped").mkdir()
    for name in ("web", "redis"):
        (tmp_path / "shipped" / f"{name}.yaml").write_text("base: shipped\n")
    assert [(each.name, each.text == "base: shipped\n") for each in await templates.list()] == [
        *(("plain", False), ("redis", True), ("web", False))
    ]
    assert await templates.render("redis", {}) == "base: shipped\n"


async def test_every_place_is_filled_in(templates: Templates) -> None:
    text = await templates.render("web", {"base": "b1", "name": "edge"})
    assert text == "base: b1\nhostname: edge\nlabels:\n  price: $5\n"
    assert specfile.parse(text, "web").hostname == "edge"


async def test_a_template_without_places_wants_no_values(templates: Templates) -> None:
    assert await templates.render("plain", {}) == "base: b1\n"


async def test_values_too_few_and_too_many_are_all_told_at_once(templates: Templates) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        await templates.render("web", {"nmae": "edge", "base": "b1\nuser: root"})
    assert caught.value.reason == "TEMPLATE_VALUES"
    assert "without a value: name" in caught.value.message
    assert "not in it: nmae" in caught.value.message
    assert "with a line break: base" in caught.value.message
    assert "base, name" in caught.value.hint


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x85", "\u2028", "\u2029"])
@pytest.mark.parametrize("rest", ["", "user: root"])
async def test_no_line_break_of_any_kind_gets_into_the_text(templates: Templates, end: str, rest: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        await templates.render("web", {"base": f"b1{end}{rest}", "name": "edge"})
    assert "with a line break: base" in caught.value.message


async def test_an_empty_value_is_a_value(templates: Templates) -> None:
    assert "hostname: \n" in await templates.render("web", {"base": "b1", "name": ""})


async def test_a_value_is_not_a_template(templates: Templates) -> None:
    assert "hostname: ${base}\n" in await templates.render("web", {"base": "b1", "name": "${base}"})


async def test_an_unknown_template_is_told_with_those_there_are(templates: Templates) -> None:
    with pytest.raises(NotFoundError) as caught:
        await templates.render("wbe", {})
    assert caught.value.reason == "TEMPLATE_NOT_FOUND"
    assert caught.value.hint == "there are: plain, web"


async def test_a_template_with_a_stray_dollar_is_told_to_be_broken(templates: Templates, tmp_path: Path) -> None:
    (tmp_path / "shell.yaml").write_text("base: b1\ncommand: [echo, $(hostname)]\n")
    with pytest.raises(FailedPreconditionError) as caught:
        await templates.render("shell", {})
    assert caught.value.reason == "TEMPLATE_BROKEN"


@pytest.mark.parametrize("name", ["../web", "/etc/passwd", "a/b", "", ".", ".hidden"])
async def test_a_name_does_not_lead_out_of_the_folder(templates: Templates, name: str) -> None:
    with pytest.raises(InvalidArgumentError):
        await templates.render(name, {})
