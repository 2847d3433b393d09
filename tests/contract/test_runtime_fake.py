"""The fake keeps the contract, so that what is tested with it holds."""

from __future__ import annotations

import pytest

from jaild.model.errors import UnavailableError
from jaild.ports.runtime import Run, RunSpec, Runtime
from tests.contract.runtime_contract import Rig, RuntimeContract, run_spec
from tests.fakes.runtime import FakeRuntime


class FakeRig(Rig):
    def __init__(self) -> None:
        self.fake = FakeRuntime()

    @property
    def runtime(self) -> Runtime:
        return self.fake

    def restarted(self) -> Runtime:
        return self.fake

    def spec(self, generation: int = 1) -> RunSpec:
        return run_spec(generation)

    def expect(self, run: RunSpec, command: tuple[str, ...], output: tuple[int, bytes, bytes]) -> None:
        status, stdout, stderr = output
        self.fake.say(run.jail, run.generation, status=status, stdout=stdout, stderr=stderr, command=command)

    async def crash(self, run: Run) -> None:
        self.fake.end(run.jail, run.generation, -9)


class TestFakeRuntime(RuntimeContract):
    @pytest.fixture
    def rig(self) -> Rig:
        return FakeRig()


async def test_a_refused_operation_changes_nothing_and_is_recorded() -> None:
    fake = FakeRuntime()
    await fake.create(run_spec())
    fake.refuse["start:web.1"] = UnavailableError("TEST", "no")
    with pytest.raises(UnavailableError):
        await fake.start("web", 1)
    assert not fake.by_name["web.1"].run.running
    assert fake.calls == [("create", "web.1"), ("start", "web.1")]
    fake.refuse.clear()
    await fake.start("web", 1)
    assert fake.by_name["web.1"].run.running
