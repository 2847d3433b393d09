"""What every change has in common: ask for its plan only, wait for it or not, and say how it went."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click
import grpc

from jaild.cli.client import contexts
from jaild.cli.client.connection import Api
from jaild.cli.client.references import short
from jaild.cli.client.settings import Form, Settings
from jaild.cli.client.waiting import Backoff, Waiter, metadata
from jaild.cli.output import problems, progress, render
from jaild.cli.output.exits import Exit
from jaild.cli.output.failures import Failure, from_rpc, from_status
from jaild.cli.output.human import duration, printable
from jaild.cli.output.render import seconds
from jaild.model.quantity import size
from jaild.v1 import common_pb2, jails_pb2, migrations_pb2

_Function = TypeVar("_Function", bound=Callable[..., Any])
_BYTES = "_bytes"
ONLY_COPY = "ONLY_COPY"  # what a plan of a deletion finds where nobody else has the data


@dataclass(frozen=True)
class How:
    """How a change was asked for."""

    plan: bool = False
    wait: bool = True
    request_id: str = ""
    accept: tuple[common_pb2.AcceptedProblem, ...] = ()

    def fields(self) -> dict[str, Any]:
        """Return the fields that the request of every change has."""
        accepted = {"accept": self.accept} if self.accept else {}
        return {"request_id": self.request_id, "validate_only": self.plan, **accepted}


planning = click.option(
    "--plan", "--dry-run", "plan", is_flag=True, help="Only show what would be done, or refused; touch nothing."
)


def mutation(*, acceptable: bool = False) -> Callable[[_Function], _Function]:
    """Return a decorator that adds the options of a change and hands them over as the argument `how`."""

    def decorate(function: _Function) -> _Function:
        @functools.wraps(function)
        def collected(*args: Any, wait: bool, request_id: str, plan: bool, **kwargs: Any) -> Any:
            accept = kwargs.pop("accept", ())
            return function(*args, how=How(plan=plan, wait=wait, request_id=request_id, accept=accept), **kwargs)

        wrapped: Any = collected
        wrapped = click.option(
            "--request-id",
            default="",
            metavar="ID",
            help="Your own id: a repeated request returns the first's operation.",
        )(wrapped)
        wrapped = click.option(
            "--wait/--no-wait", default=True, help="Wait for the end, or print the operation's name."
        )(wrapped)
        if acceptable:
            wrapped = accepting(wrapped)
        return planning(wrapped)  # type: ignore[no-any-return]

    return decorate


def accepting(function: _Function) -> _Function:
    """Add the options --accept and --because, and hand what is accepted over as the argument `accept`."""

    @functools.wraps(function)
    def collected(*args: Any, accept: tuple[str, ...], because: str, **kwargs: Any) -> Any:
        return function(*args, accept=_accepted(accept, because), **kwargs)

    wrapped: Any = collected
    wrapped = click.option(
        "--because", default="", metavar="REASON", help="Why they are accepted; kept with the generation."
    )(wrapped)
    return click.option(  # type: ignore[no-any-return]
        "--accept",
        multiple=True,
        metavar="CODE[:SUBJECT]",
        help="Go on in spite of this problem of the plan, such as MISSING_LIBRARY:/usr/local/lib/x.so.",
    )(wrapped)


def _accepted(problems: tuple[str, ...], reason: str) -> tuple[common_pb2.AcceptedProblem, ...]:
    if bool(problems) != bool(reason):
        raise click.UsageError("--accept and --because go together: what is accepted, and why")
    pairs = (problem.partition(":")[::2] for problem in problems)
    return tuple(common_pb2.AcceptedProblem(code=code, subject=subject, reason=reason) for code, subject in pairs)


def finish(api: Api, settings: Settings, operation: Any, how: How) -> None:
    """Bring an operation to its end as `how` says, and print its result. Raises `Failure` if it failed."""
    if not (how.wait or how.plan or operation.done):
        _print_started(settings, operation)
        return
    if not operation.done:
        with progress.shown() as view:
            operation = Waiter(api, view, Backoff(api)).wait(operation)
    tell(settings, operation)


def finish_all(api: Api, settings: Settings, asks: Sequence[Callable[[], Any]], how: How) -> None:
    """Ask for several changes, then bring each to its end. What fails does not keep the others from being asked for.

    Raises the only `Failure`, or one that says how many there were, with the status of the first.
    """
    failures: list[Failure] = []

    def tried(act: Callable[[], Any]) -> Any:
        try:
            return act()
        except (grpc.RpcError, Failure) as error:
            if len(asks) == 1:
                raise
            failure = from_rpc(error, settings.endpoint) if isinstance(error, grpc.RpcError) else error
            failures.append(contexts.completed(failure))
            failure.show()
            return None

    for operation in [tried(ask) for ask in asks]:
        if operation is not None:
            tried(functools.partial(finish, api, settings, operation, how))
    if failures:
        raise Failure(f"{len(failures)} of {len(asks)} failed", Exit(failures[0].exit_code), hint="see each above")


def at_terminal() -> bool:
    """Whether somebody sits there who can be asked."""
    return sys.stdin.isatty()


def ask_first(plan_only: Callable[[], Any], name: str) -> None:
    """On a terminal, show a deletion's plan and ask: by the name, typed, where nobody else has the data.

    `plan_only` asks for the plan. Raises `Failure` unless whoever sits there agrees.
    """
    if not at_terminal():
        return
    plan = common_pb2.Plan()
    plan_only().response.Unpack(plan)
    click.echo("\n".join(problems.plan_lines(plan)), err=True)
    if not any(problem.code == ONLY_COPY for problem in plan.problems):
        agreed = click.confirm("delete it?", err=True)
    else:
        agreed = click.prompt(f"type {printable(name)} to delete it", default="", show_default=False, err=True) == name
    if not agreed:
        raise Failure("not deleted", Exit.ABORTED)


def tell_plan(settings: Settings, kind: str, target: str, *steps: str) -> None:
    """Print the plan of what the daemon answers at once; without steps nothing would change."""
    show_plan(settings, common_pb2.Plan(kind=kind, target=target, steps=steps, unchanged=not steps))


def show_plan(settings: Settings, plan: common_pb2.Plan) -> None:
    """Print a plan that nothing refuses."""
    if settings.form is not Form.TABLE:
        render.document(settings.form, plan)
    else:
        click.echo("\n".join(problems.plan_lines(plan)))


def tell(settings: Settings, operation: Any) -> None:
    """Print the result of an operation that is done; raise `Failure` if it failed or its plan is refused."""
    plan = common_pb2.Plan()
    planned = operation.response.Unpack(plan) if operation.HasField("response") else False
    try:
        if settings.form is not Form.TABLE:
            render.document(settings.form, plan if planned else operation)
        elif planned:
            click.echo("\n".join(problems.plan_lines(plan)))
        elif operation.HasField("response"):
            click.echo("\n".join(summary(operation)))
    finally:  # how it ended counts, whether or not the result could be written
        if operation.HasField("error"):
            raise failed(operation)
    if planned and problems.errors(plan):
        count = problems.count(plan.problems)
        raise Failure(f"it would be refused: {count}", Exit.REFUSED, hint="see the problems above")


def summary(operation: Any) -> list[str]:
    """Return what an operation that went well did, as lines: the result, the downtime, what else was measured."""
    about = metadata(operation)
    nothing = "nothing to change: " if about.plan.unchanged else ""
    lines = [f"{printable(about.kind)} {printable(about.target)}: {nothing}{_result(operation.response)}"]
    if about.HasField("downtime"):
        predicted = render.predicted(about)
        expected = f" (predicted {predicted})" if predicted else ""
        lines.append(f"  downtime: {duration(seconds(about.downtime))}{expected}")
    jail = jails_pb2.Jail()
    if operation.response.Unpack(jail) and jail.revert_generation:
        lines.append(f"  generation {jail.revert_generation} comes back at {render.clock(jail.revert_time)} unless:")
        lines.append(f"  jailctl jail confirm-change {printable(short(jail.name))}")
    if jail.HasField("staged") and about.kind == "stage":
        lines.append(f"  generation {jail.staged.generation} is staged, to be cut over to:")
        lines.append(f"  jailctl jail cutover {printable(short(jail.name))}")
        lines += [f"  by itself: {printable(window)}" for window in jail.spec.maintenance]
    if about.rounds:
        lines.append(f"  rounds: {about.rounds}")
    lines += [f"  {fact}" for fact in facts(about)]
    warnings = [problem for problem in about.plan.problems if problem.severity == common_pb2.SEVERITY_WARNING]
    return lines + ["  " + line for line in problems.lines(warnings)]


def facts(about: common_pb2.OperationMetadata) -> list[str]:
    """Return what else was measured and found, a line for each, sizes as people read them."""
    return [f"{printable(key)}: {printable(value)}" for key, value in sorted(map(_fact, about.facts.items()))]


def _fact(item: tuple[str, str]) -> tuple[str, str]:
    key, value = item
    if f"_{key}".endswith(_BYTES) and value.isdecimal():
        return key.removesuffix(_BYTES), size(int(value)) if int(value) else "nothing"
    return key, value


def _result(response: Any) -> str:
    jail, migration = jails_pb2.Jail(), migrations_pb2.Migration()
    if response.Unpack(jail):
        state = render.word_of(jails_pb2.Jail.State, jail.state)
        parts = [state, f"generation {jail.generation}", f"base {short(jail.base)}"]
        return printable(", ".join(parts + ([f"release {short(jail.release)}"] if jail.release else [])))
    if response.Unpack(migration):
        sent = f", {size(migration.bytes)}" if migration.bytes else ""
        return printable(f"{migration.phase}, {migration.source} -> {migration.target}{sent}")
    return "done"


def failed(operation: Any) -> Failure:
    """Return the failure of an operation that ended with an error."""
    failure = from_status(operation.error, of_operation=True)
    about = metadata(operation)
    if not failure.found and problems.errors(about.plan):
        failure.found = tuple(about.plan.problems)
    if about.HasField("downtime"):
        failure.detail.setdefault("downtime", duration(seconds(about.downtime)))
    failure.detail.setdefault("operation", operation.name)
    return failure


def _print_started(settings: Settings, operation: Any) -> None:
    if settings.form is Form.TABLE:
        click.echo(operation.name)
    else:
        render.document(settings.form, operation)
