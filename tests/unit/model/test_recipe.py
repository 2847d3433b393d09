"""Recipes: read strictly, and every mistake told with its place and how to fix it."""

from __future__ import annotations

import pytest

from jaild.model.errors import InvalidArgumentError
from jaild.model.jails import specfile
from jaild.model.layers import recipe
from jaild.model.layers import recipe_check as recipecheck
from jaild.model.layers.recipe import Recipe

KEY = "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n"
GOOD = """
release: nginx/1.28.0
base: 14.3-RELEASE
from: 1.26.2
manifest: {command: [/usr/local/sbin/nginx, -g, daemon off;]}
network: host
repository: {url: "https://pkg.example.net/14amd64-default", name: own, public_key: "KEY"}
environment: {LANG: C.UTF-8}
timeout: 600
steps:
  - pkg: [nginx, www/mod_zip]
  - copy: {from: etc, to: /usr/local/etc/nginx/}
  - run: [/usr/local/sbin/nginx, -t]
""".replace("KEY", KEY.replace("\n", "\\n"))


def parsed(text: str) -> Recipe:
    return specfile.parse_recipe(text, "recipe.yaml")


def mistakes(text: str) -> list[tuple[str, str]]:
    """Return place and fix of each."""
    return [(problem.subject, problem.hint) for problem in recipecheck.check(parsed(text))]


def simple(steps: str = "[{run: [make]}]", **more: str) -> str:
    known = {"base": "b", "manifest": "{command: [x]}", **more, "steps": steps}
    return "".join(f"{key}: {value}\n" for key, value in known.items())


def test_a_good_recipe_is_read_whole() -> None:
    wanted = parsed(GOOD)
    assert recipecheck.check(wanted) == ()
    assert (wanted.release, wanted.parent, wanted.timeout) == ("nginx/1.28.0", "1.26.2", 600)
    assert wanted.uploads
    assert [recipe.shown(step) for step in wanted.steps] == [
        "pkg install nginx www/mod_zip",
        "copy etc to /usr/local/etc/nginx/",
        "run /usr/local/sbin/nginx -t",
    ]


@pytest.mark.parametrize(
    ("text", "place", "fix"),
    [
        (simple(base="a/b"), "$.base", "use 1 to 100"),
        (simple(**{"from": "1 2"}), "$.from", "use 1 to 100"),
        (simple(release="nginx"), "$.release", "app/version"),
        ("base: b\nsteps: [{run: [make]}]\n", "$.manifest", "manifest: {command"),
        (simple(manifest="{mount_point: /etc}"), "$.manifest.mount_point", "correct it"),
        (simple("[{}]"), "$.steps[0]", "a step of its own of each"),
        (simple("[{run: [a], pkg: [b]}]", repository="{url: 'file:///x', unsigned: true}"), "$.steps[0]", "of each"),
        (simple("[{run: ['']}]"), "$.steps[0].run[0]", "as an item of the list"),
        (simple("[{pkg: [nginx]}]"), "$.steps[0].pkg", "repository: {url"),
        (simple(repository="{url: 'file:///x', unsigned: true}"), "$.repository", "add a step pkg"),
        (simple("[{copy: {from: '', to: /usr/local}}]"), "$.steps[0].copy.from", "relative to the recipe"),
        (simple("[{copy: {from: a, to: bin}}]"), "$.steps[0].copy.to", "below /usr/local"),
        (simple("[{copy: {from: a, to: /usr/local/../x}}]"), "$.steps[0].copy.to", "below /usr/local"),
        (simple("[{copy: {from: a, to: /etc/nginx}}]"), "$.steps[0].copy.to", "a release is /usr/local"),
        (simple("[{copy: {from: a, to: /usr/localx}}]"), "$.steps[0].copy.to", "a release is /usr/local"),
        (simple(environment="{a b: c}"), '$.environment["a b"]', "correct it"),
    ],
)  # fmt: skip
def test_a_mistake_names_its_place_and_how_to_fix_it(text: str, place: str, fix: str) -> None:
    ((where, hint),) = mistakes(text)
    assert where == place
    assert fix in hint


def with_repository(repository: str, package: str = "nginx", **more: str) -> str:
    return simple(f"[{{pkg: ['{package}']}}]", repository=repository, **more)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (with_repository("{url: 'ftp://x', unsigned: true}"), "$.repository.url"),
        (with_repository("{url: 'https://x/\"', unsigned: true}", network="host"), "$.repository.url"),
        (with_repository("{url: 'https://x', unsigned: true}"), "$.network"),
        (with_repository("{url: 'file:///x', unsigned: true, name: 'a b'}"), "$.repository.name"),
        (with_repository("{url: 'file:///x'}"), "$.repository"),
        (with_repository("{url: 'file:///x', unsigned: true, fingerprints: /usr/share/keys/pkg}"), "$.repository"),
        (with_repository("{url: 'file:///x', public_key: secret}"), "$.repository.public_key"),
        (with_repository("{url: 'file:///x', fingerprints: 'keys'}"), "$.repository.fingerprints"),
        (with_repository("{url: 'file:///x', unsigned: true}", "-f"), "$.steps[0].pkg[0]"),
        (with_repository("{url: 'file:///x', unsigned: true}", "nginx; id"), "$.steps[0].pkg[0]"),
        (
            with_repository("{url: 'file:///x', unsigned: true}", manifest="{mount_point: /srv/app}"),
            "$.manifest.mount_point",
        ),
    ],
)
def test_a_mistake_about_packages_names_its_place(text: str, place: str) -> None:
    ((where, hint),) = mistakes(text)
    assert where == place
    assert hint


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        recipecheck.require(parsed(simple("[{run: ['']}, {copy: {from: a, to: /bin}}]", base="a/b")))
    assert caught.value.reason == "INVALID_SPEC"
    assert [problem.subject for problem in caught.value.problems] == [
        "$.base",
        "$.steps[0].run[0]",
        "$.steps[1].copy.to",
    ]
    assert caught.value.message.endswith("(and 2 more)")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (simple("[{rnu: [make]}]"), "line 3: $.steps[0].rnu: there is no 'rnu' here"),
        (simple("[{copy: {form: a, to: /x}}]"), "line 3: $.steps[0].copy.form: there is no 'form' here"),
        (simple("[]"), "line 3: $.steps: Expected `array` of length >= 1"),
        (simple(network="bridge"), "line 3: $.network: Invalid enum value 'bridge'"),
        (simple(timeout="0"), "line 3: $.timeout: Expected `float` > 0.0"),
    ],
)
def test_what_the_types_refuse_is_told_with_its_line(text: str, told: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        parsed(text)
    assert caught.value.message == f"recipe.yaml, {told}"
