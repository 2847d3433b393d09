"""The rules of a recipe that types cannot say. Every mistake names its place, and how to fix it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from jaild.model import names, pathrules
from jaild.model.errors import InvalidArgumentError
from jaild.model.jails.validation import command_mistakes, variable_mistakes
from jaild.model.layers import manifest as manifestcheck
from jaild.model.layers.recipe import FINGERPRINTS, Recipe, Repository, Step
from jaild.model.problems import Problem, Severity

SCRATCH = ("/var", "/root", "/home")  # writable in a build jail, and thrown away with it
_LOCALBASE = "/usr/local"
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+@~/-]*")  # a name, name-version or origin; no option, no pattern
# What stands between quotes in the repository's file, where a quote or backslash would end or change it.
_URL = re.compile(r"(pkg\+)?(https?|file)://[!#-\[\]-~]+")
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----\n[A-Za-z0-9+/=\n]+-----END PUBLIC KEY-----\n?")

Mistake = tuple[str, str, str]  # path, what is wrong, how to fix it


def check(recipe: Recipe) -> tuple[Problem, ...]:
    """Return every broken rule as an error of code INVALID_SPEC; `subject` is the field's path."""
    rules = (_names, _manifest, _repository, _steps, _environment)
    return tuple(
        Problem(severity=Severity.ERROR, code="INVALID_SPEC", message=message, subject=path, hint=hint)
        for rule in rules
        for path, message, hint in rule(recipe)
    )


def require(recipe: Recipe) -> None:
    """Raise `InvalidArgumentError` (INVALID_SPEC) with all problems if `check` has any; `path` names the first."""
    if problems := check(recipe):
        first, more = problems[0], len(problems) - 1
        raise InvalidArgumentError(
            "INVALID_SPEC",
            f"recipe: {first.subject}: {first.message}" + (f" (and {more} more)" if more else ""),
            hint=first.hint,
            detail={"path": first.subject},
            problems=problems,
        )


def mount_point(recipe: Recipe) -> str:
    """Return where the release will be mounted if the recipe says so, else the default."""
    return recipe.manifest.mount_point if recipe.manifest is not None else _LOCALBASE


def _names(recipe: Recipe) -> Iterator[Mistake]:
    named = (("$.base", names.base, recipe.base), ("$.from", names.version, recipe.parent))
    for path, rule, name in named:
        try:
            if name or path == "$.base":
                rule(name)
        except InvalidArgumentError as error:
            yield path, error.message, error.hint
    try:
        if recipe.release:
            names.release(recipe.release)
    except InvalidArgumentError as error:
        yield "$.release", error.message, error.hint


def _manifest(recipe: Recipe) -> Iterator[Mistake]:
    if recipe.manifest is None:
        if not recipe.parent:
            yield (
                "$.manifest",
                "there is none, and no earlier release to take it from",
                "add one: manifest: {command: …}",
            )
        return
    for problem in manifestcheck.check(recipe.manifest):
        yield f"$.manifest{problem.subject.removeprefix('$')}", problem.message, "correct it"


def _repository(recipe: Recipe) -> Iterator[Mistake]:
    installs = [index for index, step in enumerate(recipe.steps) if step.pkg]
    repository = recipe.repository
    if repository is None:
        if installs:
            path = f"$.steps[{installs[0]}].pkg"
            yield path, "there is no repository to install from", "add one: repository: {url: …, public_key: …}"
        return
    if not installs:
        yield "$.repository", "no step installs a package", "leave it out, or add a step pkg: [NAME]"
    if installs and mount_point(recipe) != _LOCALBASE:
        fix = f"leave it at {_LOCALBASE} where packages are installed"
        yield "$.manifest.mount_point", f"packages are installed into {_LOCALBASE}", fix
    if not _URL.fullmatch(repository.url):
        yield "$.repository.url", f"{repository.url!r} is not a repository's address", "write https://… or file:///…"
    elif not repository.url.startswith("file:") and recipe.network == "none":
        fix = "say network: host, or copy the packages in and take them from file:///var/tmp/…"
        yield "$.network", f"packages come from {repository.url}, and the build has no network", fix
    if not _REPOSITORY.fullmatch(repository.name):
        yield "$.repository.name", f"{repository.name!r} is not a repository's name", "use letters, digits, ., _ and -"
    yield from _trust(repository)


def _trust(repository: Repository) -> Iterator[Mistake]:
    said = [bool(repository.public_key), bool(repository.fingerprints), repository.unsigned]
    if sum(said) != 1:
        fix = f"say one of public_key: |, fingerprints: {FINGERPRINTS}, unsigned: true"
        yield "$.repository", "it must say once why its packages are to be trusted", fix
    if repository.public_key and not _PEM.fullmatch(repository.public_key):
        yield "$.repository.public_key", "it is not a public key in PEM", "take the output of openssl rsa -pubout"
    if repository.fingerprints and (pathrules.malformed(repository.fingerprints) or '"' in repository.fingerprints):
        yield "$.repository.fingerprints", "it is not a folder of the base", f"the FreeBSD project's: {FINGERPRINTS}"


def _steps(recipe: Recipe) -> Iterator[Mistake]:
    places = (mount_point(recipe), *SCRATCH)
    for index, step in enumerate(recipe.steps):
        yield from _step(f"$.steps[{index}]", step, places, inherits=recipe.manifest is None)


def _step(path: str, step: Step, places: tuple[str, ...], *, inherits: bool) -> Iterator[Mistake]:
    if sum((bool(step.pkg), step.copy is not None, bool(step.run))) != 1:
        yield path, "a step is one of pkg, copy and run", "make a step of its own of each"
    for position, package in enumerate(step.pkg):
        if not _PACKAGE.fullmatch(package):
            yield f"{path}.pkg[{position}]", f"{package!r} is not a package's name", "write nginx, or www/nginx"
    for where, message in command_mistakes(f"{path}.run", step.run):
        yield where, message, "write the program and each argument as an item of the list"
    if step.copy is not None:
        if not step.copy.source or "\0" in step.copy.source:
            yield f"{path}.copy.from", "it names no file", "write a path relative to the recipe"
        yield from _target(f"{path}.copy.to", step.copy.to, places, inherits=inherits)


def _target(path: str, to: str, places: tuple[str, ...], *, inherits: bool) -> Iterator[Mistake]:
    folder = to.rstrip("/")
    if wrong := pathrules.malformed(folder):
        yield path, f"{to!r} is not a folder of the build jail: {wrong}", f"write a folder below {places[0]}"
    elif not inherits and not _within(folder, places):
        fix = f"a release is {places[0]}; {', '.join(places[1:])} are there for the build alone"
        yield path, f"nothing can be written at {to}", fix


def _within(folder: str, places: tuple[str, ...]) -> bool:
    return any(folder == place or folder.startswith(f"{place}/") for place in places)


def _environment(recipe: Recipe) -> Iterator[Mistake]:
    for path, message in variable_mistakes(recipe.environment):
        yield path, message, "correct it"
