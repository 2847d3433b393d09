"""`jailctl completion`: the script that a shell reads at its start."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from jaild.cli.client.noun import Verb


class _Zsh(ZshComplete):
    """Completes at every TAB.

    What click writes for zsh, loaded from the function path, completes the first time, and the second time does no more
    than register itself (findings/click-zsh-second-tab.sh).
    """

    _LOADED = '%(complete_func)s "$@"'
    source_template = ZshComplete.source_template.replace(
        _LOADED, f"compdef %(complete_func)s %(prog_name)s\n    {_LOADED}"
    )


_KINDS = {"bash": BashComplete, "zsh": _Zsh, "fish": FishComplete}


@click.command(
    "completion",
    cls=Verb,
    examples=(
        "completion bash > /usr/local/etc/bash_completion.d/jailctl",
        "completion zsh > /usr/local/share/zsh/site-functions/_jailctl",
        "completion fish > ~/.config/fish/completions/jailctl.fish",
    ),
)
@click.argument("shell", type=click.Choice(list(_KINDS)))
@click.pass_context
def command(ctx: click.Context, *, shell: str) -> None:
    """Print the completion script of a shell."""
    complete = _KINDS[shell](ctx.find_root().command, {}, "jailctl", "_JAILCTL_COMPLETE")
    # Not bash's own source(): that one runs bash to learn its version, and the script is for another machine, maybe.
    click.echo(ShellComplete.source(complete))
