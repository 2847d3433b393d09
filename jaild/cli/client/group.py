"""A group of commands that knows what was meant by a word that is none of them."""

from __future__ import annotations

import difflib

import click


class Group(click.Group):
    """Says what is nearest to a command that there is not."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is named, and what is left of the words."""
        word = args[0]
        if not (ctx.resilient_parsing or word.startswith("-") or self.get_command(ctx, word)):
            for near in difflib.get_close_matches(word, self.list_commands(ctx), n=1):
                raise click.UsageError(f"No such command {word!r}. Did you mean {near!r}?", ctx)
        return super().resolve_command(ctx, args)
