"""`jailctl explain`: what may stand in a spec and in a manifest, what an error means; nothing is asked of a daemon."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import click
from click.shell_completion import CompletionItem

from jaild.cli.client import reasons
from jaild.cli.client.noun import Verb
from jaild.cli.client.settings import Form, Settings
from jaild.cli.output import render
from jaild.cli.output.exits import Exit
from jaild.cli.output.failures import Failure
from jaild.model.jails import reference


def _complete(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    if incomplete[:1].isupper():
        return [CompletionItem(code) for code in reasons.known() if code.startswith(incomplete)]
    before = incomplete.rpartition(".")[0]
    found = reference.explain(before) if before else None
    known = [field.path for field in found.fields] if found is not None else list(reference.EXAMPLES)
    return [CompletionItem(path) for path in known if path.startswith(incomplete)]


@click.command(
    "explain",
    cls=Verb,
    examples=("explain", "explain spec.network.ports", "explain manifest", "explain MISSING_LIBRARY"),
)
@click.argument("field", metavar="[FIELD | REASON]", default="spec", shell_complete=_complete)
@click.pass_obj
def command(settings: Settings, *, field: str) -> None:
    """Say what may stand in a spec or a manifest, or what the reason of an error means."""
    if (reason := reasons.find(field)) is not None:
        _tell(settings, reason)
        return
    found = reference.explain(field)
    if found is None:
        near = reasons.nearest(field) if reasons.CODE.fullmatch(field) else []
        if near:
            hint = f"did you mean {' or '.join(near)}?"
            raise Failure(f"there is no reason {field!r}", Exit.NOT_FOUND, hint=hint)
        before = reference.explain(field.rpartition(".")[0])
        known = [each.path for each in before.fields] if before is not None else list(reference.EXAMPLES)
        raise Failure(f"there is no field {field!r}", Exit.NOT_FOUND, hint=f"there are: {', '.join(known)}")
    if settings.form is not Form.TABLE:
        render.document(settings.form, asdict(found))
        return
    click.echo("\n".join(_lines(found)))


def _tell(settings: Settings, reason: reasons.Reason) -> None:
    if settings.form is not Form.TABLE:
        render.document(settings.form, asdict(reason))
        return
    remedy = f"\n  what to do: {reason.remedy}" if reason.remedy else ""
    click.echo(f"{click.style(reason.code, bold=True)}: {reason.happened}{remedy}")


def _lines(found: reference.Field) -> Iterator[str]:
    yield click.style(f"{found.path}: ", bold=True) + _form(found)
    yield from (f"  {line}" for line in found.words.splitlines())
    if found.example:
        yield f"  as in: {found.example}"
    if found.fields:
        yield ""
    width = max((len(_name(field)) for field in found.fields), default=0)
    for field in found.fields:
        first, *more = field.words.splitlines() or [""]
        yield f"{click.style(_name(field).ljust(width), bold=True)}  {_form(field)}"
        yield from (f"{'':{width}}  {line}" for line in (first, *more) if line)


def _name(field: reference.Field) -> str:
    return field.path.rpartition(".")[2]


def _form(field: reference.Field) -> str:
    required = ", required" if field.is_required else ""
    return f"{field.form}{required}" + (f"; {field.default} if absent" if field.default else "")
