"""Carries the model out with a seed, and tells in words what it did and what it found."""

from __future__ import annotations

import io
import time
import traceback
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import hypothesis.core
from hypothesis import HealthCheck, Phase, settings
from hypothesis.internal.conjecture import engine
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import SEEN, Fleet

_SHRINKING = 40  # seconds


@dataclass(frozen=True)
class Outcome:
    """How it ended. `examples` and `steps`: how many were carried out; of a failure, up to it with its shrinking."""

    failed: bool
    steps: int
    examples: int
    seconds: float
    text: str


def how(*, examples: int, length: int, **more: Any) -> settings:
    """Return the settings that the model is carried out with."""
    return settings(
        max_examples=examples,
        stateful_step_count=length,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
        print_blob=False,
        **more,
    )


def run(*, steps: int, seed: int, length: int = 30) -> Outcome:
    """Carry out about so many steps."""
    SEEN.clear()
    began = time.monotonic()
    told, failed = io.StringIO(), False
    before = hypothesis.core.global_force_seed, engine.MAX_SHRINKING_SECONDS
    engine.MAX_SHRINKING_SECONDS = _SHRINKING
    hypothesis.core.global_force_seed = seed  # type: ignore[assignment]  # what its --hypothesis-seed sets
    try:
        with redirect_stdout(told):
            run_state_machine_as_test(Fleet, settings=how(examples=max(1, steps // length), length=length))
    except Exception as error:  # noqa: BLE001 -- whatever it found is its result
        failed = True
        told.write("".join(traceback.format_exception(error)))
    finally:
        hypothesis.core.global_force_seed, engine.MAX_SHRINKING_SECONDS = before
    seconds = time.monotonic() - began
    done, examples = SEEN["step"], SEEN["example"]
    lines = [f"model: {examples} examples, {done} steps, seed {seed}, {seconds:.0f} s: {'FAILED' if failed else 'ok'}"]
    first = SEEN["first failure"]
    if failed:
        lines.append(
            f"the first example that failed was number {first}; again: python -m tests.model --steps {steps} "
            f"--seed {seed} --length {length}"
        )
    lines += [f"  {count:6} {what}" for what, count in sorted(SEEN.items()) if " of " in what or "refused" in what]
    return Outcome(failed, done, examples, seconds, told.getvalue() + "\n".join(lines) + "\n")
