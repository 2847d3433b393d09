"""The filters' contract, on the fake and on the programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from jaild.adapters.system.filters import ProgramFilters
from jaild.adapters.system.process import ProcessRunner
from jaild.model.errors import InvalidArgumentError
from jaild.ports.filters import Filters
from tests.contract.filters_contract import MANY, FiltersContract, all_of, pieces
from tests.fakes.filters import FakeFilters


class TestFakeFilters(FiltersContract):
    @pytest.fixture
    def filters(self) -> Filters:
        return FakeFilters()


@pytest.mark.real("zstd")
class TestProgramFilters(FiltersContract):
    @pytest.fixture
    def filters(self) -> Filters:
        return ProgramFilters(ProcessRunner())


@pytest.mark.real("age", "age-keygen")
async def test_what_was_encrypted_is_read_with_its_key_alone(tmp_path: Path) -> None:
    runner, key = ProcessRunner(), tmp_path / "key"
    await runner.run(["age-keygen", "-o", str(key)])
    (recipient,) = [line.split()[-1] for line in key.read_text().splitlines() if line.startswith("# public key:")]
    sealed = await all_of(ProgramFilters(runner).encrypted(pieces(MANY), [recipient]))
    assert sealed.startswith(b"age-encryption.org/v1")
    assert (await runner.run(["age", "-d", "-i", str(key)], stdin=sealed)).stdout == MANY
    cut = await runner.run(["age", "-d", "-i", str(key)], stdin=sealed[:-1], check=False)
    assert cut.status != 0


@pytest.mark.real("age")
async def test_what_is_no_key_is_told() -> None:
    with pytest.raises(InvalidArgumentError) as told:
        await all_of(ProgramFilters(ProcessRunner()).encrypted(pieces(MANY), ["age1wrong"]))
    assert told.value.reason == "INVALID_RECIPIENT"
