"""`jailctl completion`: the script that a shell reads at its start."""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class

from jaild.cli.client.noun import Verb


@click.command(
    "completion",
    cls=Verb,
    examples=(
        "completion bash > /usr/local/etc/bash_completion.d/jailctl",
        "completion zsh > /usr/local/share/zsh/site-functions/_jailctl",
        "completion fish > ~/.config/fish/completions/jailctl.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, *, shell: str) -> None:
    """Print the completion script of a shell."""
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"click knows no completion for {shell}")
    complete = kind(ctx.find_root().command, {}, "jailctl", "_JAILCTL_COMPLETE")
    # Not bash's own source(): that one runs bash to learn its version, and the script is for another machine, maybe.
    click.echo(ShellComplete.source(complete))
