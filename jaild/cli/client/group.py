"""A group of commands that knows what was meant by a word that is none of them."""

from __future__ import annotations

import difflib

import click

# What one types that knows other programs, or means by it: said where the group has what is meant.
MEANT = {
    "version": "--version",
    "set": "configure",
    "update": "upgrade",
    "copy": "cp",
    "push": "cp",
    "pull": "cp",
    **dict.fromkeys(("shell", "login", "attach", "enter", "jexec", "sh"), "console"),
    "run": "exec",
    "log": "logs",
    "move": "migrate",
    "kill": "stop",
}


class Group(click.Group):
    """Says what is nearest to a command that there is not."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is named, and what is left of the words."""
        word = args[0]
        if not (ctx.resilient_parsing or word.startswith("-") or self.get_command(ctx, word)):
            known = self.list_commands(ctx)
            meant = MEANT.get(word, "")
            is_here = meant in known or any(meant in parameter.opts for parameter in self.get_params(ctx))
            for near in [meant] if is_here else difflib.get_close_matches(word, known, n=1):
                raise click.UsageError(f"No such command {word!r}. Did you mean {near!r}?", ctx)
        return super().resolve_command(ctx, args)
