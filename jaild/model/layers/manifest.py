"""The rules of a release's manifest that types cannot say."""

from __future__ import annotations

import re
from collections.abc import Iterator

from jaild.model import bounds, pathrules
from jaild.model.errors import InvalidArgumentError
from jaild.model.jails.validation import command_mistakes, user_mistakes, variable_mistakes
from jaild.model.layers.records import Manifest
from jaild.model.problems import Problem, Severity

# What both systems' tools take for an account's name; FreeBSD allows 32 characters, so does Linux.
_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_FIELD = re.compile(r"[^:\n\0]*")  # what may stand in a field of passwd(5)
_HIGHEST_ID = (1 << 32) - 2  # -1 means "leave as it is" to chown(2)


def check(manifest: Manifest) -> tuple[Problem, ...]:
    """Return every broken rule as an error of code INVALID_SPEC; `subject` is the field's path."""
    return tuple(
        Problem(severity=Severity.ERROR, code="INVALID_SPEC", message=message, subject=path)
        for path, message in _mistakes(manifest)
    )


def require(manifest: Manifest) -> None:
    """Raise `InvalidArgumentError` (INVALID_SPEC) with all problems if `check` has any."""
    if problems := check(manifest):
        raise InvalidArgumentError(
            "INVALID_SPEC",
            f"{problems[0].subject}: {problems[0].message}",
            hint="correct the manifest and push again",
            detail={"path": problems[0].subject},
            problems=problems,
        )


def _mistakes(manifest: Manifest) -> Iterator[tuple[str, str]]:
    if wrong := pathrules.not_for_a_release(manifest.mount_point):
        yield "$.mount_point", f"a release cannot be at {manifest.mount_point!r}: {wrong}"
    yield from user_mistakes(manifest.user)
    yield from command_mistakes("$.command", manifest.command)
    yield from variable_mistakes(manifest.environment)
    for index, folder in enumerate(manifest.directories):
        if wrong := pathrules.not_in_data(folder):
            yield f"$.directories[{index}]", f"{folder!r} cannot be made in the jail's data: {wrong}"
    for field, count in (("users", len(manifest.users)), ("groups", len(manifest.groups))):
        if count > bounds.ACCOUNTS:
            yield f"$.{field}", f"{count} are too many: {bounds.ACCOUNTS} at most"
            return
    yield from _user_mistakes(manifest)
    yield from _group_mistakes(manifest)


def _user_mistakes(manifest: Manifest) -> Iterator[tuple[str, str]]:
    for index, user in enumerate(manifest.users):
        path = f"$.users[{index}]"
        yield from _identity(path, "uid", user.name, user.uid)
        if not 0 <= user.gid <= _HIGHEST_ID:
            yield f"{path}.gid", f"{user.gid} is not a gid"
        for field, value in (("home", user.home), ("shell", user.shell), ("comment", user.comment)):
            if not _FIELD.fullmatch(value):
                yield f"{path}.{field}", "it cannot hold a colon, a NUL or a line's end"
    yield from _doubles("users", [user.name for user in manifest.users])


def _group_mistakes(manifest: Manifest) -> Iterator[tuple[str, str]]:
    for index, group in enumerate(manifest.groups):
        path = f"$.groups[{index}]"
        yield from _identity(path, "gid", group.name, group.gid)
        for position, member in enumerate(group.members):
            if not _ACCOUNT.fullmatch(member):
                yield f"{path}.members[{position}]", f"{member!r} is not a user's name"
    yield from _doubles("groups", [group.name for group in manifest.groups])


def _doubles(kind: str, accounts: list[str]) -> Iterator[tuple[str, str]]:
    for index, name in enumerate(accounts):
        if name in accounts[:index]:
            yield f"$.{kind}[{index}].name", f"{name!r} is there twice"


def _identity(path: str, kind: str, name: str, number: int) -> Iterator[tuple[str, str]]:
    if not _ACCOUNT.fullmatch(name):
        yield f"{path}.name", f"{name!r} is not a name: 1 to 32 of a-z, 0-9, _ and -, starting with a letter or _"
    if not 0 <= number <= _HIGHEST_ID:
        yield f"{path}.{kind}", f"{number} is not a {kind}"
    elif number == 0:
        yield f"{path}.{kind}", f"{kind} 0 is root's and the base's own"
