"""`jailctl zabbix`: have Zabbix watch hosts and their jails, by its API."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import click
import yaml

from jaild.cli.client import contexts, references
from jaild.cli.client.connection import READ_SECONDS, Api, connect
from jaild.cli.client.everywhere import ask_all
from jaild.cli.client.mutation import planning
from jaild.cli.client.noun import Noun
from jaild.cli.client.settings import Form, Settings
from jaild.cli.output import listing, render
from jaild.cli.output.exits import Exit
from jaild.cli.output.failures import Failure
from jaild.cli.output.listing import Column, Look, listed
from jaild.cli.zabbix.api import Zabbix
from jaild.cli.zabbix.push import Push, Result, reachable
from jaild.cli.zabbix.template import template
from jaild.model.loopback import is_loopback
from jaild.v1 import host_pb2


@click.group("zabbix", cls=Noun)
def command() -> None:
    """Have Zabbix watch hosts and their jails, by its API."""


@command.command("template", examples=("zabbix template > jaild.yaml",))
def show() -> None:
    """Print the template as `push` imports it, for whoever brings it there in another way."""
    click.echo(yaml.safe_dump(template(), sort_keys=False, width=120), nl=False)


@command.command(
    "push",
    examples=(
        "zabbix push --url https://zabbix.example.com --token-file zabbix.token --plan",
        "zabbix push --url https://zabbix.example.com --token-file zabbix.token -A --proxy north",
    ),
)
@click.option("--url", required=True, metavar="URL", help="Of Zabbix's web pages.")
@click.option(
    "--token-file",
    type=references.TextFile(),
    required=True,
    help="Has an API token of a user who may import templates.",
)
@click.option("--ca", "authority", type=click.Path(path_type=Path), help="Authority of the URL's certificate.")
@click.option("--insecure", is_flag=True, help="Send the token in the clear, by http to another machine.")
@click.option("-A", "--all-contexts", "everywhere", is_flag=True, help="The hosts of all contexts.")
@click.option("--group", default="jaild", show_default=True, help="Host group of hosts that are made; made, too.")
@click.option("--proxy", default="", help="Which Zabbix proxy asks hosts that are made.")
@planning
@listed
@click.pass_obj
def push(
    settings: Settings,
    *,
    url: str,
    token_file: IO[str],
    authority: Path | None,
    insecure: bool,
    everywhere: bool,
    group: str,
    proxy: str,
    plan: bool,
    look: Look,
) -> None:
    """Bring the template to Zabbix, and have it watch this host, or all.

    A second push changes nothing. A host that Zabbix knows by the same name keeps what it has.
    """
    if not url.startswith(("http://", "https://")):
        raise click.UsageError("--url begins with https:// or http://")
    if not (insecure or url.startswith("https://") or is_loopback(urlsplit(url).hostname or "")):
        raise click.UsageError("the token would go over the network in the clear: give an https URL, or --insecure")
    token = token_file.read().strip()
    if not token.isalnum():
        raise click.UsageError(f"{token_file.name} has no token: it is one word of letters and digits")
    hosts, failed = _hosts(settings, everywhere=everywhere)
    zabbix = Zabbix(url, token, _trusted(authority))
    pushing = Push(zabbix, group=group, proxy=proxy, plan=plan)
    done = [pushing.template(), pushing.group()]
    for name, metrics, address in hosts:
        try:
            done.append(pushing.host(name, reachable(metrics, address)))
        except Failure as failure:
            if failure.exit_code == Exit.UNAVAILABLE:  # Zabbix itself: so it is for all that follow
                raise
            failed.append((name, failure))
    _tell(settings, look, done, plan=plan)
    if failed:
        told = [f"{name}: {failure.message}" for name, failure in failed]
        name, first = failed[0]
        raise Failure("\n".join(told), Exit(first.exit_code), hint=first.hint)


def _hosts(settings: Settings, *, everywhere: bool) -> tuple[list[tuple[str, str, str]], list[tuple[str, Failure]]]:
    """Return of each host its name, where it tells its metrics, and where it was reached; and which did not answer."""

    def question(api: Api) -> host_pb2.HostInfo:
        host: host_pb2.HostInfo = api.host.GetHost(host_pb2.GetHostRequest(), timeout=READ_SECONDS)
        return host

    if everywhere:
        known = contexts.load().known
        found, silent = ask_all(settings, question)
        return [(host.name, host.metrics_url, known[name].address) for name, host in found], silent
    with connect(settings) as api:
        host = question(api)
    return [(host.name, host.metrics_url, contexts.choose(settings, os.environ).address)], []


def _trusted(authority: Path | None) -> ssl.SSLContext | None:
    if authority is None:
        return None
    try:
        return ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as error:
        raise click.UsageError(f"cannot read the authority in {authority}: {error}") from error


def _tell(settings: Settings, look: Look, done: list[Result], *, plan: bool) -> None:
    if settings.form is not Form.TABLE:
        rows = [{"what": each.what, "name": each.name, "done": each.done.value} for each in done]
        render.document(settings.form, {"things": rows, "planned": plan})
        return
    listing.table(look, done, _COLUMNS)
    if plan:
        click.echo("nothing was touched", err=True)


_COLUMNS = (
    Column("WHAT", lambda each: each.what),
    Column("NAME", lambda each: each.name),
    Column("DONE", lambda each: each.done.value),
)
