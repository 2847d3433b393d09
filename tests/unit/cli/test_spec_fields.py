"""`jailctl jail configure --set` and `--unset`: some fields of a spec, and the rest of it as it is."""

from __future__ import annotations

import os

import pytest
import yaml

from jaild.v1 import jails_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.daemon import Daemon, operation
from tests.unit.cli.test_changes import JAIL


def test_some_fields_of_a_spec_are_changed_and_the_rest_stays(jailctl: Run, daemon: Daemon) -> None:
    spec = jails_pb2.JailSpec(base="b", labels={"team": "web"}, quota="10G", limits=jails_pb2.Limits(cpus=2))
    daemon.jails, daemon.answers = [jails_pb2.Jail(name="jails/web", spec=spec, etag="e")], [operation(JAIL)]
    fields = ("limits.memory=2G", "labels.stage=1", "environment.PORT=80", "network.addresses=[10.0.0.5/24]")
    asked = jailctl("jail", "configure", "web", *(f"--set={field}" for field in fields), "--unset", "quota")
    assert asked.exit_code == 0, asked.stderr
    (request,) = daemon.asked(jails_pb2.ConfigureJailRequest)
    assert request.etag == "e"
    assert yaml.safe_load(request.spec.yaml) == {
        "base": "b",
        "labels": {"team": "web", "stage": "1"},
        "limits": {"cpus": 2.0, "memory": "2G"},
        "environment": {"PORT": "80"},
        "network": {"addresses": ["10.0.0.5/24"]},
    }


@pytest.mark.parametrize(
    "asked", [(), ("--set", "base.x=1"), ("--set", "boot=[a"), ("--set", "quota=1", "-f", os.devnull)]
)
def test_fields_of_a_spec_that_cannot_be_set_are_told(jailctl: Run, daemon: Daemon, asked: tuple[str, ...]) -> None:
    daemon.jails = [jails_pb2.Jail(name="jails/web", spec=jails_pb2.JailSpec(base="b"))]
    assert jailctl("jail", "configure", "web", *asked).exit_code == 2
    assert daemon.asked(jails_pb2.ConfigureJailRequest) == []
