"""What a change makes of a spec, key by key."""

from __future__ import annotations

import msgspec

from jaild.model.jails.redaction import REDACTED
from jaild.model.jails.spec import HttpCheck, JailSpec, Limits, Mode, Network, Readiness, Volume
from jaild.model.jails.spec_changes import MOST, changes
from jaild.model.problems import FieldChange

SPEC = JailSpec(base="deb-1", app="web/1", command=("/bin/run",), environment={"KEY": "secret", "SAME": "x"})


def changed(**fields: object) -> tuple[FieldChange, ...]:
    return changes(SPEC, msgspec.structs.replace(SPEC, **fields))


def test_nothing_differs_but_base_and_release_which_a_plan_tells_itself() -> None:
    assert changed() == ()
    assert changed(base="deb-2", app="web/2") == ()
    assert changed(channel="stable") == (FieldChange(field="$.channel", after="stable"),)


def test_keys_are_told_by_where_they_stand_and_lists_as_wholes() -> None:
    assert changed(limits=Limits(memory="512M", cpus=1.5), command=("/bin/run", "-v")) == (
        FieldChange(field="$.command", before='["/bin/run"]', after='["/bin/run", "-v"]'),
        FieldChange(field="$.limits.cpus", after="1.5"),
        FieldChange(field="$.limits.memory", after="512M"),
    )
    assert changed(volumes={"db": Volume(path="/var/db")}, command=()) == (
        FieldChange(field="$.command", before='["/bin/run"]'),
        FieldChange(field="$.volumes.db.path", after="/var/db"),
    )


def test_values_of_the_environment_are_told_to_differ_and_never_shown() -> None:
    found = changed(environment={"KEY": "other", "NEW": "value"})
    assert found == (
        FieldChange(field="$.environment.KEY", before=REDACTED, after=REDACTED),
        FieldChange(field="$.environment.NEW", after=REDACTED),
        FieldChange(field="$.environment.SAME", before=REDACTED),
    )


def test_long_values_are_cut_and_of_many_keys_the_first_are_told() -> None:
    (long,) = changed(command=("x" * 1000,))
    assert long.after is not None
    assert len(long.after) <= 200
    many = changed(labels={f"label{number:04}": "x" for number in range(MOST + 7)})
    assert len(many) == MOST + 1
    assert many[-1] == FieldChange(field="$", after="7 more keys that differ")


def test_what_holds_anyway_is_no_change_when_it_is_written_out() -> None:
    assert changed(readiness=Readiness(deadline=float("30"), failures=7)) == (
        FieldChange(field="$.readiness.failures", before="0", after="7"),
    )
    one = msgspec.structs.replace(SPEC, health=(HttpCheck(port=80, timeout=float("2")),))
    assert changes(one, msgspec.structs.replace(one, health=(HttpCheck(port=80),))) == ()
    assert changed(network=Network(mode=Mode.SHARED_IP), labels={"a.b": "c"}) == (
        FieldChange(field='$.labels["a.b"]', after="c"),
        FieldChange(field="$.network.mode", before="host", after="shared-ip"),
    )
