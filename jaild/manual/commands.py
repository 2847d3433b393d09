"""jailctl(1), of the commands themselves: what `jailctl help` says, in one page."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

from jaild.cli.client.settings import options
from jaild.cli.main import command
from jaild.cli.output import exits
from jaild.manual.mdoc import Page, literal, paragraphs, prose, references, tagged, word

_NAMES = re.compile(r"(?<![\w-])(--?[A-Za-z0-9][\w-]*)")
_EVERYWHERE = frozenset(name for option in options() for name in option.opts) | {"-h", "--help"}
_ENVIRONMENT = {
    "JAILCTL_ADDRESS": "Where the daemon is, as --address.",
    "JAILCTL_CONTEXT": "The named daemon to talk to, as --context.",
    "NO_COLOR": "If it is set to anything, nothing is coloured.",
}


def page() -> Page:
    """Return the page."""
    root = click.Context(command, info_name="jailctl")
    return Page("jailctl", 1, "manage jails made of versioned ZFS datasets", tuple(_body(root)))


def _body(root: click.Context) -> Iterator[str]:
    yield from (".Sh SYNOPSIS", ".Nm", ".Op Ar option ...", ".Ar command", ".Op Ar argument ...")
    yield ".Sh DESCRIPTION"
    yield from paragraphs(command.help or "")
    yield from prose("Nouns come first, then verbs. These options may stand before the noun or after the verb:")
    yield from tagged(_option(root, option) for option in command.params if isinstance(option, click.Option))
    yield ".Sh COMMANDS"
    for name in command.list_commands(root):
        found = command.get_command(root, name)
        if found is not None:
            yield f".Ss {name}"
            yield from _noun(click.Context(found, info_name=name, parent=root))
    yield ".Sh ENVIRONMENT"
    yield from tagged((f"Ev {name}", prose(words)) for name, words in _ENVIRONMENT.items())
    yield ".Sh FILES"
    yield from tagged([("Pa ~/.config/jaild/contexts.yaml", prose("The daemons to talk to, by name."))])
    yield ".Sh EXIT STATUS"
    yield from tagged((f"{status.value}", prose(f"{meaning}.")) for status, meaning in exits.MEANING.items())
    yield ".Pp"
    yield from prose(exits.table().rpartition("\n\n")[2])
    yield from references("jaild(8)", "jaild.yaml(5)", "jaild-spec(5)")


def _noun(ctx: click.Context) -> Iterator[str]:
    """Yield what a noun does, and each of its verbs."""
    if not isinstance(ctx.command, click.Group):
        yield from _verb(ctx)
        return
    yield from paragraphs(ctx.command.help or "")
    for name in ctx.command.list_commands(ctx):
        found = ctx.command.get_command(ctx, name)
        if found is not None and not found.hidden:
            place = click.Context(found, info_name=name, parent=ctx)
            yield f".Ss {place.command_path.removeprefix('jailctl ')}"
            yield from _noun(place)


def _verb(ctx: click.Context) -> Iterator[str]:
    """Yield a verb's usage, what it does, its options and examples."""
    yield f".Nm {ctx.command_path}"
    for piece in ctx.command.collect_usage_pieces(ctx):
        yield ".Op Ar option ..." if piece == "[OPTIONS]" else f".Ar {word(piece)}"
    yield ".Pp"
    yield from paragraphs((ctx.command.help or "").replace("\b", ""))
    own = [each for each in ctx.command.params if isinstance(each, click.Option) and not {*each.opts} & _EVERYWHERE]
    shown = [_option(ctx, option) for option in own if not option.hidden]
    if shown:
        yield from tagged(shown)
    if examples := getattr(ctx.command, "examples", ()):
        yield from literal(f"jailctl {example}" for example in examples)


def _option(ctx: click.Context, option: click.Option) -> tuple[str, Iterator[str]]:
    said, help_text = option.get_help_record(ctx) or ("", "")
    names = _NAMES.findall(said)
    value = said.rpartition(names[-1])[2].strip() if names else ""
    term = " , ".join(f"Fl {word(name.removeprefix('-'))}" for name in names)
    return term + (f" Ar {word(value)}" if value else ""), prose(help_text)
