"""Names as people write them (`redis/7.0`, `web`) turned into the API's (`apps/redis/releases/7.0`, `jails/web`).

The functions are types of click's parameters. Whether a name is a good one is for the daemon to say.
"""

from __future__ import annotations

import io
import os
import re
import time
from datetime import datetime
from typing import Any

import click

MOST = 2**31 - 1  # of the API's whole numbers, but for those of events
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_LONGEST = 10 * 365 * 86400.0  # seconds; what is longer is a slip, and no protobuf duration in the end
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]+)?)(ms|s|m|h|)")
_AGO = re.compile(r"([0-9]{1,12}(\.[0-9]+)?(ms|s|m|h))+")
_SINCE_1970 = re.compile(r"[0-9]{9,11}(\.[0-9]+)?")
_SHARE = re.compile(r"([0-9]{1,6})(%?)")
_RATE = re.compile(r"([0-9]{1,9})([KMG]?)", re.IGNORECASE)
_RELEASE = re.compile(r"(?:apps/(?P<app>[^/]+)/releases/|(?P<short>[^/]+)/)(?P<version>[^/]+)")


class TextFile(click.File):
    """A file of text, `-` for stdin: opened, and found to be UTF-8 in the whole."""

    def __init__(self) -> None:
        super().__init__(encoding="utf-8")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the text as a file that can be read."""
        file = super().convert(value, param, ctx)
        try:
            text = io.StringIO(file.read())
        except OSError as error:
            self.fail(f"cannot read {value}: {error.strerror}", param, ctx)
        except UnicodeDecodeError as error:
            self.fail(f"{value} is no UTF-8 text, from byte {error.start} on", param, ctx)
        text.name = "<stdin>" if value == "-" else os.fspath(value)  # as open files have
        return text


class Lines(click.IntRange):
    """How many lines: a number, or None for `all`."""

    name = "number or all"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return it."""
        return None if value == "all" else super().convert(value, param, ctx)


LINES = Lines(0, MOST)


def jail(text: str) -> str:
    """Return a jail's full name."""
    return _member("jails", text)


def base(text: str) -> str:
    """Return a base's full name."""
    return _member("bases", text)


def channel(text: str) -> str:
    """Return a channel's full name."""
    return _member("channels", text)


def event_sink(text: str) -> str:
    """Return an event sink's full name."""
    return _member("eventSinks", text)


def app(text: str) -> str:
    """Return an app's full name."""
    return _member("apps", text)


def migration(text: str) -> str:
    """Return a migration's full name."""
    return _member("migrations", text)


def evacuation(text: str) -> str:
    """Return an evacuation's full name."""
    return _member("evacuations", text.removeprefix("operations/"))


def rollout(text: str) -> str:
    """Return a rollout's full name."""
    return _member("rollouts", text.removeprefix("operations/"))


def operation(text: str) -> str:
    """Return an operation's full name."""
    return _member("operations", text)


def release(text: str) -> str:
    """Return the full name of a release written as `app/version`."""
    match = _RELEASE.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"{text!r} is not a release: write app/version, as in redis/7.0")
    return f"apps/{match['app'] or match['short']}/releases/{match['version']}"


def seconds(text: str) -> float:
    """Return the seconds of 500ms, 5s or 2m; a bare number means seconds."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"{text!r} is not a time: write 500ms, 5s or 2m")
    found = float(match[1]) * _SECONDS[match[2]]
    if found > _LONGEST:
        raise click.BadParameter(f"{text!r} is longer than ten years")
    return found


def moment(text: str) -> float:
    """Return the seconds since the epoch of 10m or 1h30m (so long ago), of a time in ISO 8601, or of a number of them.

    A time without a zone is a local one.
    """
    if _SINCE_1970.fullmatch(text):
        return float(text)
    if _AGO.fullmatch(text):
        return time.time() - sum(seconds(part) for part in re.findall(r"[0-9.]+[a-z]+", text))
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{text!r} is no time: write 10m or 1h30m for so long ago, or 2026-11-30T08:00:00Z"
        ) from None


def rate(text: str) -> int:
    """Return the bytes per second of 512K, 50M or 1G; a bare number means bytes."""
    match = _RATE.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"{text!r} is not a rate: write 512K, 50M or 1G, meaning bytes per second")
    return int(match[1]) << (10 * " KMG".index(match[2].upper() or " "))


def share(text: str) -> tuple[int, bool]:
    """Return the number of 5, or of 10%, and whether it is a percentage."""
    match = _SHARE.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"{text!r} is neither a number nor a percentage: write 5 or 10%")
    return int(match[1]), bool(match[2])


def hosts(text: str) -> tuple[str, ...]:
    """Return the names in a list with commas."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise click.BadParameter("name at least one host")
    return names


def pair(text: str) -> tuple[str, str]:
    """Return key and value of `key=value`."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise click.BadParameter(f"{text!r} is not key=value")
    return key, value


def variable(text: str) -> tuple[str, str]:
    """Return key and value of `KEY=value`, or of KEY alone with the value that jailctl's own environment has."""
    if "=" in text:
        return pair(text)
    if text not in os.environ:
        raise click.BadParameter(f"{text!r} is not KEY=VALUE, and no variable of your environment")
    return text, os.environ[text]


def utf8(given: object) -> None:
    """Raise `click.BadParameter` where a text, or one in a tuple of them, is no UTF-8: the API knows no other."""
    for part in given if isinstance(given, tuple) else ():
        utf8(part)
    try:
        given.encode() if isinstance(given, str) else b""
    except UnicodeEncodeError:
        raise click.BadParameter(f"{os.fsencode(str(given))!r} is no UTF-8, and only a file's name may be so") from None


def short(name: str) -> str:
    """Return a resource's name as people write it: `apps/redis/releases/7.0` is `redis/7.0`."""
    match = _RELEASE.fullmatch(name) if name.startswith("apps/") and "/releases/" in name else None
    if match is not None:
        return f"{match['app']}/{match['version']}"
    return name.partition("/")[2] or name


def _member(collection: str, text: str) -> str:
    name = text.removeprefix(f"{collection}/")
    if not name or "/" in name:
        raise click.BadParameter(f"{text!r} is not a name in {collection}")
    return f"{collection}/{name}"
