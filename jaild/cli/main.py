"""jailctl's root: names its nouns without importing them, so that `--help` and completion are quick."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import cast

import click
from click.shell_completion import CompletionItem

from jaild import stdio
from jaild.cli.client.group import Group
from jaild.cli.client.settings import options
from jaild.cli.output.exits import Exit

NOUNS = {
    "base": "Import, list and remove bases: versions of an OS userland.",
    "channel": "Set, list and remove channels: names for bases, which jails may follow.",
    "app": "Push, list and remove releases of applications.",
    "jail": "Create, run, change, migrate and look into jails.",
    "explain": "Say what may stand in a spec or a manifest, or what the reason of an error means.",
    "backup": "List, send and restore backups of jails.",
    "volume": "List volumes of jails, and remove those that no spec names any more.",
    "template": "List and show the templates that jails can be made of.",
    "rollout": "Move a base, or an app's release, over many jails in waves, and back.",
    "find": "Find jails by a library, a package, a file, a base or a release that they run on.",
    "top": "Show jails as they are now, with what they use and what is under way; q quits, h helps.",
    "stats": "Print what jails use now: CPU, memory, processes, disk.",
    "migration": "Look at moves between hosts; free what they left.",
    "promote": "Make a standby the owner of its jail.",
    "adopt": "Take over what a host that is gone for good left here.",
    "operation": "List, watch and cancel long-running changes.",
    "peer": "List the hosts that this one may move jails to.",
    "host": "Tell what the host is, and who did what on it; drain and evacuate it.",
    "events": "Print what happens on the host.",
    "event-sink": "Look at where events are sent to; send again what was not taken.",
    "zabbix": "Have Zabbix watch hosts and their jails, by its API.",
    "web": "Show all contexts as a page for a browser on this machine.",
    "context": "Keep the daemons to talk to, by name.",
    "completion": "Print the completion script of a shell.",
    "help": "Explain a command, or `exit-codes`.",
}

# What one types at once that comes from jls(8), iocage, docker or incus; in no help, the noun is what docs say.
SHORTCUTS = {
    **dict.fromkeys(("ls", "list", "ps"), ("jail", "ls")),
    **{verb: ("jail", verb) for verb in ("create", "start", "stop", "restart", "exec", "logs", "show", "rm", "wait")},
    "destroy": ("jail", "rm"),
}

EPILOG = """\b
Examples:
  jailctl base import debian-12 base.tar.zst
  jailctl app push redis/7.0 redis.tar.zst --manifest redis.yaml
  jailctl jail create cache -f cache.yaml
  jailctl jail deploy cache redis/7.2 --plan
  jailctl jail migrate cache beta --max-downtime 2s
  jailctl host evacuate --to beta,gamma --plan

Exit statuses: `jailctl help exit-codes`. Every command prints -o json and -o yaml, too.
"""


class Root(Group):
    """Finds each noun in the module of its name."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the nouns in the order of a jail's life."""
        return list(NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the noun's module and return its command."""
        noun, verb = SHORTCUTS.get(cmd_name, (cmd_name, ""))
        if noun not in NOUNS:
            return None
        found = cast("click.Command", importlib.import_module(f"jaild.cli.commands.{noun.replace('-', '_')}").command)
        return found.get_command(ctx, verb) if verb and isinstance(found, click.Group) else found

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the nouns from the table."""
        with formatter.section("Commands"):
            formatter.write_dl(list(NOUNS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete nouns from the table."""
        nouns = [CompletionItem(noun, help=text) for noun, text in NOUNS.items() if noun.startswith(incomplete)]
        return nouns + click.Command.shell_complete(self, ctx, incomplete)


@click.command(
    cls=Root,
    params=[*options()],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
)
@click.version_option(package_name="jaild", prog_name="jailctl")
@click.pass_context
def command(ctx: click.Context) -> None:
    """Manage jails made of versioned ZFS datasets: base, application and data apart."""
    if os.environ.get("NO_COLOR"):  # https://no-color.org; rich knows it, click does not
        ctx.color = False


def main() -> None:
    """Run jailctl and exit."""
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # gRPC's own notes are not for people at a terminal
    logging.getLogger("grpc").addHandler(logging.NullHandler())  # nor are the traces of what a call was ended with
    stdio.settle()
    try:
        command(prog_name="jailctl")
    except OSError as error:  # but a broken pipe: click ends quietly, as `jailctl jail ls | head -1` should
        what = f"cannot write to {stdio.STDOUT}" if error.filename == stdio.STDOUT else error.filename or "failed"
        head = click.style("error: ", fg="red", bold=True)
        click.echo(f"{head}{what}: {error.strerror}", err=True)
        sys.exit(Exit.UNEXPECTED)
