"""What the first version stored, or sends, by words that went is read, and is written so that it can read it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from jaild.model.evacuation.record import JailMove
from jaild.model.jails.spec import JailSpec, Mode, Network
from jaild.model.layers.records import Generation
from jaild.model.migration.budget import Parts
from jaild.model.migration.protocol import Acceptance, Offer
from jaild.model.operation import Operation, Outcome
from jaild.model.problems import Problem
from jaild.model.replication.protocol import ReplicaState
from jaild.model.rollouts.record import Step
from jaild.model.salvage import Loss, Report

FOUND = {"severity": "error", "code": "NO_SPACE", "message": "m", "subject": "s", "remedy": "do", "evidence": ["e"]}
PROBLEM = Problem(severity="error", code="NO_SPACE", message="m", subject="s", hint="do", evidence=("e",))  # type: ignore[arg-type]
OPERATION = {
    "id": "1",
    "kind": "deploy",
    "target": "jails/web",
    "phases": [{"name": "cutover", "begun": 0.0, "seconds": 1.0, "outcome": "untidy"}],
    "plan": {"kind": "deploy", "target": "jails/web", "findings": [FOUND]},
    "done": True,
    "failure": {"error": "AbortedError", "reason": "R", "message": "m", "remedy": "do", "findings": [FOUND]},
}
JAIL = {"name": "web", "uid": "u", "epoch": 1, "generation": 1, "generation_json": "{}"}
GENERATION = {"number": 1, "base": "b", "spec": {"base": "b", "network": {"mode": "own", "addresses": ["10.0.0.5/24"]}}}


@pytest.mark.parametrize(
    ("kind", "stored"),
    [
        (Problem, FOUND),
        (Operation, OPERATION),
        (Generation, GENERATION),
        (Report, {"source": "alpha", "at": 1.0, "entries": 2, "damages": [{"path": "p", "lost": True, "reason": "r"}]}),
        (Step, {"name": "web", "wave": 1, "before": "a", "target": "b", "findings": [FOUND], "remedy": "do"}),
        (JailMove, {"jail": "web", "reason": "HOST_HALTED", "remedy": "do"}),
        (Offer, {"migration": "m", "source_id": "i", "source_name": "alpha", "jail": JAIL, "rehearsal": True}),
        (Acceptance, {"findings": [FOUND]}),
        (Parts, {"gate": 1.5}),
        (ReplicaState, {"findings": [FOUND]}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_was_stored_by_former_words_is_read_and_written_by_them(
    kind: type[msgspec.Struct], stored: dict[str, Any]
) -> None:
    read = msgspec.json.decode(msgspec.json.encode(stored), type=kind)
    written = msgspec.json.decode(msgspec.json.encode(read))
    assert {key: written[key] for key in stored if key != "jail"} == {
        key: value for key, value in stored.items() if key != "jail"
    }


def test_it_is_read_as_what_it_is_called_now() -> None:
    operation = msgspec.convert(OPERATION, Operation)
    assert operation.plan is not None
    assert operation.failure is not None
    assert operation.plan.problems == operation.failure.problems == (PROBLEM,)
    assert (operation.failure.hint, operation.phases[0].outcome) == ("do", Outcome.CLEANUP_PENDING)
    own = msgspec.convert(GENERATION, Generation).spec
    assert own == JailSpec(base="b", network=Network(mode=Mode.VNET, addresses=("10.0.0.5/24",)))
    lost = msgspec.convert(
        {"source": "a", "at": 1.0, "entries": 2, "damages": [{"path": "p", "lost": True, "reason": ""}]}, Report
    )
    assert lost.losses == (Loss(path="p", lost=True, reason=""),)
