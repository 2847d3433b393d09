"""Messages as plain data, and requests out of such."""

from __future__ import annotations

import pytest
from google.longrunning import operations_pb2

from jaild.salt import plain
from jaild.v1 import apps_pb2, common_pb2, contents_pb2, jails_pb2


def test_a_message_is_what_is_set_in_it_by_the_names_of_specs() -> None:
    jail = jails_pb2.Jail(name="jails/web", state=jails_pb2.Jail.STATE_CRASH_LOOP, epoch=2**40, exit_status=0)
    jail.spec.labels["team"] = "cdn"
    jail.spec.health.add(kind="exec", command=["true"])
    jail.create_time.FromSeconds(1_800_000_000)
    assert plain.data(jail) == {
        "name": "jails/web",
        "state": "crash-loop",
        "epoch": 2**40,
        "exit_status": 0,
        "spec": {"labels": {"team": "cdn"}, "health": [{"kind": "exec", "command": ["true"]}]},
        "create_time": "2027-01-15T08:00:00Z",
    }


def test_values_of_environments_are_told_to_who_asks_for_them() -> None:
    listed = jails_pb2.ListJailsResponse(jails=[jails_pb2.Jail(spec={"environment": {"KEY": "secret"}})])
    packed = operations_pb2.Operation()
    packed.response.Pack(listed.jails[0])
    changes = [{"name": "environment.KEY", "before": "secret", "after": "other"}, {"name": "quota", "after": "1G"}]
    compared = contents_pb2.Comparison(spec=[contents_pb2.ContentChange(**change) for change in changes])
    for message in (listed, packed, compared):
        assert "secret" not in str(plain.data(message))
        assert "KEY" in str(plain.data(message))
        assert "secret" in str(plain.data(message, secrets=True))
    assert plain.data(listed)["jails"][0]["spec"]["environment"] == {"KEY": "(redacted)"}
    told = [{"name": "environment.KEY", "before": "(redacted)", "after": "(redacted)"}, changes[1]]
    assert plain.data(compared)["spec"] == told


@pytest.mark.parametrize(
    ("name", "short"),
    [("jails/web", "web"), ("apps/redis/releases/7.0", "redis/7.0"), ("jails/web/generations/3", "web/3"), ("", "")],
)
def test_a_name_is_short_as_people_write_it(name: str, short: str) -> None:
    assert plain.short(name) == short


def test_durations_are_seconds_both_ways() -> None:
    request = plain.request(jails_pb2.DeployReleaseRequest.DESCRIPTOR, {"name": "jails/web", "confirm_within": 90.5})
    assert plain.data(request) == {"name": "jails/web", "confirm_within": 90.5}


def test_what_is_packed_is_told_as_itself() -> None:
    operation = jails_pb2.Jail(name="jails/web")
    packed = common_pb2.OperationMetadata(
        plan=common_pb2.Plan(problems=[common_pb2.Problem(severity="SEVERITY_ERROR")])
    )
    assert plain.data(packed) == {"plan": {"problems": [{"severity": "error"}]}}
    assert plain.data(operation) == {"name": "jails/web"}


def test_an_enum_may_be_given_as_a_word() -> None:
    problem = plain.request(common_pb2.Problem.DESCRIPTOR, {"severity": "warning", "code": "X"})
    assert plain.data(problem) == {"severity": "warning", "code": "X"}


def test_none_is_not_said() -> None:
    assert plain.data(plain.request(apps_pb2.GetReleaseRequest.DESCRIPTOR, {"name": None})) == {}


@pytest.mark.parametrize("values", [{"nonsense": 1}, {"name": 1}, {"confirm_within": "soon"}])
def test_what_is_no_field_or_no_value_of_it_is_refused_by_name(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        plain.request(jails_pb2.DeployReleaseRequest.DESCRIPTOR, values)
