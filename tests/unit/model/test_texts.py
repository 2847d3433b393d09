"""What others name their files reaches messages, the store and the wire: whatever it is, it can be stored and sent."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from jaild.model.errors import FailedPreconditionError
from jaild.model.operation import Operation, clipped, failure_of
from jaild.model.problems import Problem, Severity
from jaild.rpc import status

# os.fsdecode makes lone surrogates of what is no UTF-8
ANY = st.text(st.one_of(st.characters(), st.sampled_from("\udc80\udcff\ud800")), max_size=100)


@given(ANY)
def test_an_error_about_any_name_can_be_stored_and_sent(name: str) -> None:
    problem = Problem(severity=Severity.ERROR, code="C", message=name, subject=name, hint=name, evidence=(name,))
    error = FailedPreconditionError("R", name, hint=name, resource=name, detail={"a": name}, problems=(problem,))
    failure = failure_of(error)
    assert Operation(id="o", kind="k", target="t", failure=failure).size > 0
    assert status.status_of(failure).SerializeToString()
    if name.isprintable():
        assert (error.message, problem.evidence) == (name, (name,))


@given(ANY, st.integers(min_value=32, max_value=500))
def test_a_clipped_text_can_be_stored_and_is_no_longer_than_its_limit(text: str, limit: int) -> None:
    kept = clipped(text, limit)
    assert len(kept.encode()) <= limit
    assert msgspec.json.decode(msgspec.json.encode(kept)) == kept
