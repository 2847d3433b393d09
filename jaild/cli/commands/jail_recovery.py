"""`jailctl jail`: what is for jails whose host, or whose standbys, fail."""

from __future__ import annotations

import click

from jaild.cli.client import complete, references
from jaild.cli.client.connection import READ_SECONDS, connect
from jaild.cli.client.mutation import How, finish, mutation
from jaild.cli.client.noun import Verb
from jaild.cli.client.settings import Form, Settings
from jaild.cli.output import render
from jaild.v1 import jails_pb2, promotions_pb2, salvage_pb2

NAME = click.argument("name", type=references.jail, shell_complete=complete.jails)


@click.command("force-start", cls=Verb, examples=('jail force-start web --confirm "beta has not taken over web"',))
@NAME
@click.option("--confirm", default="", metavar="SENTENCE", help="What the refusal asks you to say, word by word.")
@mutation()
@click.pass_obj
def force_start(settings: Settings, *, name: str, confirm: str, how: How) -> None:
    """Start a jail although a standby does not answer, by your word that none has taken it over.

    One that runs can be moved then.
    """
    request = promotions_pb2.ForceStartJailRequest(name=name, confirm=confirm, **how.fields())
    with connect(settings) as api:
        finish(api, settings, api.promotions.ForceStartJail(request), how)


@click.command("salvage", cls=Verb, examples=("jail salvage web --to beta --plan", "jail salvage web --to beta"))
@NAME
@click.option("--to", "target", required=True, metavar="HOST", shell_complete=complete.peers, help="The peer.")
@mutation()
@click.pass_obj
def salvage(settings: Settings, *, name: str, target: str, how: How) -> None:
    """Bring what can be read of a jail to another host, file by file, when its pool fails."""
    request = salvage_pb2.SalvageJailRequest(name=name, target=target, **how.fields())
    with connect(settings) as api:
        finish(api, settings, api.salvages.SalvageJail(request), how)


@click.command("data-loss", cls=Verb, examples=("jail data-loss web", "jail data-loss web -o json"))
@NAME
@click.pass_obj
def data_loss(settings: Settings, *, name: str) -> None:
    """Print the data-loss report: what a jail lost when it was salvaged."""
    with connect(settings) as api:
        request = salvage_pb2.GetSalvageReportRequest(name=name)
        report = api.salvages.GetSalvageReport(request, timeout=READ_SECONDS)
    if settings.form is not Form.TABLE:
        render.document(settings.form, report)
        return
    render.table(
        ("STATE", "PATH", "BYTES", "REASON"),
        [
            (
                "lost" if each.lost else "damaged",
                each.path,
                " ".join(f"{getattr(span, 'from')}-{span.to}" for span in each.ranges),
                each.reason,
            )
            for each in report.losses
        ],
    )


VERBS = (force_start, salvage, data_loss)


def standby_lines(jail: jails_pb2.Jail) -> str:
    """Return how a jail's replicas are, a line for each."""
    return "\n".join(f"{standby.host}: {_standby(standby)}" for standby in jail.standbys)


def standby_note(jail: jails_pb2.Jail) -> str:
    """Return what of the replicas belongs into a list: on the standby how old it is, on the owner who is behind."""
    if jail.state == jails_pb2.Jail.STATE_STANDBY:
        return "".join(f"of {standby.host}, {_standby(standby)}" for standby in jail.standbys)
    named = jail.spec.standby.peers
    if jail.owner and named and all(peer == jail.owner for peer in named):
        name = jail.name.removeprefix("jails/")
        return f"no replica: its spec names only {jail.owner}, where it is; jailctl jail standby {name} HOST"
    behind = [f"standby {standby.host} {_age(standby)}: behind" for standby in jail.standbys if standby.behind]
    return ", ".join(behind)


def _standby(standby: jails_pb2.StandbyStatus) -> str:
    state = f"{_age(standby)}, {'behind its' if standby.behind else 'in time:'} {standby.interval:g} s"
    return f"{state}; {standby.message}" if standby.message else state


def _age(standby: jails_pb2.StandbyStatus) -> str:
    age = render.since(standby.recovery_point_time)
    return f"{age} old" if age else "nothing whole"
