"""Results on stdout: documents for programs, tables and cards for people."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click
import yaml
from google.protobuf import any_pb2, json_format, symbol_database
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.text import Text

from jaild.cli.client.settings import Form
from jaild.cli.output import human

# Fields that were called otherwise: in JSON, which scripts read, each is there under both names for one version.
FORMERLY = {
    "jaild.v1.Plan.problems": "findings",
    "jaild.v1.Problem.hint": "remedy",
    "jaild.v1.RolloutStep.problems": "findings",
    "jaild.v1.RolloutStep.hint": "remedy",
    "jaild.v1.JailMove.hint": "remedy",
    "jaild.v1.HostInfo.shut_down": "halted",
    "jaild.v1.SalvageReport.losses": "damages",
    "jaild.v1.DowntimeParts.readiness": "gate",
}
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SHORTEST_CUT = 12  # characters
_STYLE = {
    **dict.fromkeys(("running", "yes", "OK", "activated", "done", "healthy"), "green"),
    **dict.fromkeys(("failed", "crash-loop", "damaged", "aborted", "superseded", "fenced", "unhealthy"), "bold red"),
    **dict.fromkeys(
        ("frozen", "incoming", "prepared", "claimed", "waiting", "starting", "working", "moving"), "yellow"
    ),
    **dict.fromkeys(("stopped", "moved", "standby", "deleting", "finalized", "cancelled", "skipped"), "dim"),
}


def as_dict(message: Message) -> dict[str, Any]:
    """Return a message as protobuf writes JSON, also those fields that are empty, with words in the place of enums.

    Names are in lowerCamelCase, 64-bit integers texts, times RFC 3339 and durations seconds with an `s`, by
    https://protobuf.dev/programming-guides/json; STATE_CRASH_LOOP is `crash-loop`, as everywhere else, and
    STATE_UNSPECIFIED empty.
    """
    # By way of text: for Any the library returns mappings of its own, which YAML does not know.
    document: dict[str, Any] = json.loads(json_format.MessageToJson(message, always_print_fields_with_no_presence=True))
    _words(message, document)
    return document


def word(enum: Any, name: str) -> str:
    """Return a value of an enum, which is told by its descriptor, in one word."""
    prefix = _HUMP.sub("_", enum.name).upper() + "_"
    found = name.removeprefix(prefix).lower().replace("_", "-")
    return "" if found == "unspecified" else found


def word_of(enum: Any, value: int) -> str:
    """Return a value of an enum, as generated code has it, in one word."""
    return word(enum.DESCRIPTOR, enum.Name(value))


def _words(message: Message, document: dict[str, Any]) -> None:
    if isinstance(message, any_pb2.Any):
        inner = symbol_database.Default().GetSymbol(message.TypeName())() if message.type_url else None
        if inner is not None and message.Unpack(inner):
            _words(inner, document)
        return
    fields: Any = message.DESCRIPTOR.fields
    for field in fields:
        there = document.get(field.json_name)
        if field.full_name in FORMERLY and there is not None:
            document[FORMERLY[field.full_name]] = there
        if not there:
            continue
        if field.enum_type is not None:
            names = there if isinstance(there, list) else [there]
            words = [word(field.enum_type, name) for name in names]
            document[field.json_name] = words if isinstance(there, list) else words[0]
        elif isinstance(there, dict) and not field.message_type.GetOptions().map_entry:
            _words(getattr(message, field.name), there)
        elif isinstance(there, list) and isinstance(there[0], dict):
            for inner, part in zip(getattr(message, field.name), there, strict=True):
                _words(inner, part)


def document(form: Form, data: Any) -> None:
    """Print `data`, or a message, as JSON or YAML."""
    click.echo(text(form, as_dict(data) if isinstance(data, Message) else data))


def line(form: Form, message: Message) -> None:
    """Print one of many messages: JSON as a line of its own, YAML as a document of its own."""
    data = as_dict(message)
    click.echo(f"---\n{text(form, data)}" if form is Form.YAML else json.dumps(data, ensure_ascii=False))


def text(form: Form, data: Any) -> str:
    """Return `data` as JSON or YAML text, without the last newline."""
    if form is Form.YAML:
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True).rstrip("\n")
    return json.dumps(data, indent=2, ensure_ascii=False)


def plain(message: Message) -> str:
    """Return what is set in a message as YAML with the field names of specs and manifests; empty for nothing."""
    data = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return text(Form.YAML, data) if data else ""


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, nothing: str = "-", width: int = 0) -> None:
    """Print rows in whole columns, states in colour; `nothing` where there is nothing, so that fields can be counted.

    `columns` are their heads; none for rows alone. Nothing is cut or folded: what is too wide for the terminal, that
    one wraps, and it can still be copied. But with a `width` the last cells end there, with an ellipsis.
    """
    cells = [[human.printable(cell).replace("\n", " ") or nothing for cell in row] for row in rows]
    lines = [list(columns), *cells] if columns else cells
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for number, line in enumerate(lines):
        style: Callable[[str], str] = _head if columns and not number else _coloured
        *most, last = line
        last = _cut(last, width - sum(widths[:-1]) - len("  ") * len(most)) if width else last
        padded = [style(cell) + " " * (width - len(cell)) for cell, width in zip(most, widths, strict=False)]
        click.echo("  ".join([*padded, style(last)]))


def card(rows: Iterable[tuple[str, str]]) -> None:
    """Print what one thing is, a line for each fact that has a value; what a value has further stands below."""
    shown = [(key, human.printable(value)) for key, value in rows if value]
    width = max((len(key) for key, _ in shown), default=0) + 2
    for key, value in shown:
        head = click.style(f"{key}:".ljust(width), bold=True)
        click.echo(head + value.replace("\n", "\n" + " " * width))


def styled(word: str) -> Text:
    """Return a state's word in its colour."""
    return Text(human.printable(word), style=_STYLE.get(word, ""))


def since(stamp: Timestamp) -> str:
    """Return how long ago a time was; empty if it is unset."""
    return human.age(time.time() - _seconds(stamp)) if stamp.ByteSize() else ""


def now() -> float:
    """Return the seconds since the epoch that ages are reckoned from."""
    return time.time()


def moment(stamp: Timestamp) -> str:
    """Return a time with its age; empty if it is unset."""
    if not stamp.ByteSize():
        return ""
    return f"{clock(stamp)} ({since(stamp)} ago)"


def clock(stamp: Timestamp) -> str:
    """Return a time as the local clock shows it."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(_seconds(stamp)))


def local(stamp: Timestamp) -> str:
    """Return a time as the local clock shows it, without its zone: for columns."""
    return clock(stamp).rpartition(" ")[0]


def span(duration: Duration) -> str:
    """Return a measured time."""
    return human.duration(seconds(duration))


def predicted(message: Any) -> str:
    """Return the downtime that a message says was predicted, "at least" if it is a lower bound; '' for none."""
    if not message.HasField("predicted_downtime"):
        return ""
    return ("at least " if message.predicted_at_least else "") + span(message.predicted_downtime)


def seconds(duration: Duration) -> float:
    """Return a duration in seconds."""
    return duration.seconds + duration.nanos / 1e9


def _seconds(stamp: Timestamp) -> float:
    return stamp.seconds + stamp.nanos / 1e9


def _cut(cell: str, room: int) -> str:
    """Return a cell, or as much of it as there is room for; a word at least, which the terminal may wrap."""
    room = max(room, _SHORTEST_CUT)
    return cell if len(cell) <= room else cell[: room - 1].rstrip() + "…"


def _head(cell: str) -> str:
    return click.style(cell, bold=True)


def _coloured(cell: str) -> str:
    *weight, colour = _STYLE.get(cell, "").split() or [""]
    weights = {*weight, colour} & {"bold", "dim"}
    return click.style(cell, fg=None if colour in weights else colour or None, **dict.fromkeys(weights, True))
