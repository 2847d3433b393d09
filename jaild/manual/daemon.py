"""jaild(8), of the daemon's own command line."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from jaild.main import CONFIGS, parser
from jaild.manual.mdoc import Page, prose, references, tagged, word

_SIGNALS = {
    "SIGTERM": (
        "The daemon ends; a cut-over in progress gets up to 30 seconds. The jails run on, and the next daemon has them."
    ),
    "SIGHUP": "It reads its configuration again, as by jailctl host reload.",
}
_STATUS = {
    "0": "It was told to end; doctor: nothing keeps jaild from working.",
    "1": "It could not start, and says why; doctor: at least one error.",
    "2": "The command line is wrong.",
}
_FILES = {
    "/var/run/jaild/jaild.sock": "The API, for root alone.",
    "/var/db/jaild": (
        "Operations, events, audit log and the journal of migrations. Jails are on their datasets, not in it."
    ),
    "/var/log/jaild": "What jails write, a file each.",
}


def page() -> Page:
    """Return the page."""
    return Page("jaild", 8, "jails from versioned ZFS datasets", tuple(_body()))


def _body() -> Iterator[str]:
    actions = [each for each in parser()._actions if each.option_strings]  # noqa: SLF001 -- argparse tells them by no other way
    yield ".Sh SYNOPSIS"
    yield ".Nm"
    yield from (f".Op {_term(action)}" for action in actions if "--help" not in action.option_strings)
    yield ".Op Cm doctor"
    yield ".Sh DESCRIPTION"
    yield from prose(
        "The daemon makes jails out of a sealed base, a sealed release of an application and the jail's own data, and"
        " moves them between hosts. It stays in the foreground and logs to the standard error output. It needs root."
        " Restarting it leaves the jails running. All else is asked by its API, which"
    )
    yield ".Xr jailctl 1"
    yield "speaks."
    yield ".Pp"
    yield ".Nm"
    yield ".Cm doctor"
    yield from prose("checks this host and says how to fix it. It changes nothing and needs no running daemon.")
    yield ".Bl -tag -width Ds"
    for action in actions:
        yield f".It {_term(action)}"
        yield from prose(f"{_capital((action.help or '') % vars(action))}.")
    yield ".El"
    yield ".Sh SIGNALS"
    yield from tagged((f"Dv {name}", prose(words)) for name, words in _SIGNALS.items())
    yield ".Sh FILES"
    yield ".Bl -tag -width Ds"
    for path in CONFIGS:
        yield f".It Pa {path}"
    yield from prose("The configuration: the first of them that is there.")
    for place, words in _FILES.items():
        yield f".It Pa {place}"
        yield from prose(words)
    yield ".El"
    yield ".Sh EXIT STATUS"
    yield from tagged((status, prose(words)) for status, words in _STATUS.items())
    yield from references("jailctl(1)", "jaild.yaml(5)", "jaild-spec(5)", "zfs(8)")


def _term(action: argparse.Action) -> str:
    names = " , ".join(f"Fl {word(name.removeprefix('-'))}" for name in action.option_strings)
    value = "" if action.nargs == 0 else action.metavar or "|".join(action.choices or ()) or action.dest.upper()
    return names + (f" Ar {word(str(value))}" if value else "")


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
