"""Named daemons, kept in ~/.config/jaild/contexts.yaml, and the choice among them."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
import yaml

from jaild.cli.client import references
from jaild.cli.client.settings import Settings
from jaild.cli.output.failures import Failure

DEFAULT_ADDRESS = "unix:///var/run/jaild/jaild.sock"
_IN_A_HINT = re.compile(r"jailctl --context (\S+) ")  # of a daemon


@dataclass(frozen=True)
class Context:
    """A daemon: its address and, for TCP, the files of mutual TLS.

    `server_name` is whom the daemon's certificate names, where that is not the address.
    """

    address: str
    ca: str = ""
    cert: str = ""
    key: str = ""
    server_name: str = ""


@dataclass
class Contexts:
    """The file's content."""

    current: str = ""
    known: dict[str, Context] = field(default_factory=dict)


def path() -> Path:
    """Return where contexts are kept, by XDG's rule."""
    root = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(root).expanduser() / "jaild" / "contexts.yaml"


def load() -> Contexts:
    """Read the file; none is the same as an empty one. Raises `click.UsageError` if it is not what it should be."""
    try:
        data: Any = yaml.safe_load(path().read_text(encoding="utf-8")) or {}
        known = {
            str(name): Context(**{key: str(value) for key, value in fields.items()})
            for name, fields in (data.get("contexts") or {}).items()
        }
        return Contexts(current=str(data.get("current") or ""), known=known)
    except FileNotFoundError:
        return Contexts()
    except (OSError, yaml.YAMLError, TypeError, AttributeError, ValueError) as error:
        raise click.UsageError(f"cannot read {path()}: {error}") from error


def save(contexts: Contexts) -> None:
    """Write the file as a whole: a reader sees the old one or the new one."""
    data = {
        "current": contexts.current,
        "contexts": {
            name: {key: value for key, value in asdict(context).items() if value}
            for name, context in sorted(contexts.known.items())
        },
    }
    target = path()
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".contexts")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            yaml.safe_dump(data, file, sort_keys=False)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def choose(settings: Settings, environment: Mapping[str, str]) -> Context:
    """Return the daemon to talk to: options come before the environment, that before the current context.

    An address beside a context replaces the context's address and keeps its certificates; an address alone has none,
    so that no certificate is ever shown to a host that it was not meant for.
    """
    contexts = load()
    for name, address in (
        (settings.context, settings.address),
        (environment.get("JAILCTL_CONTEXT", ""), environment.get("JAILCTL_ADDRESS", "")),
        (contexts.current, ""),
    ):
        if name or address:
            references.utf8((name, address))
            return _merge(contexts, name, address)
    return Context(DEFAULT_ADDRESS)


def _merge(contexts: Contexts, name: str, address: str) -> Context:
    if not name:
        return Context(address)
    found = get(contexts, name)
    return Context(**{**asdict(found), "address": address or found.address})


def get(contexts: Contexts, name: str) -> Context:
    """Return a context by name; raise `click.UsageError` naming those there are."""
    if name not in contexts.known:
        known = ", ".join(sorted(contexts.known)) or "none"
        raise click.UsageError(f"there is no context {name!r} (there are: {known}); to make it: {addition(name)}")
    return contexts.known[name]


def addition(name: str, address: str = "") -> str:
    """Return the command that makes a context of a host on the network; `address` where that is known."""
    return f"jailctl context add {name} --address {address or 'HOST:PORT'} --ca FILE --cert FILE --key FILE"


def completed(failure: Failure) -> Failure:
    """Return a failure; where its hint takes a context that there is not, it says how that is made, once."""
    named = _IN_A_HINT.search(failure.hint)
    if named is not None and named[1] not in load().known:
        address = failure.detail.get("address", "")  # of the host that is named
        more = f"jailctl has no context {named[1]} yet: {addition(named[1], address)}"
        if more not in failure.hint:
            failure.hint += f"; {more}"
    return failure
