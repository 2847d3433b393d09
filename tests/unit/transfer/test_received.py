"""What is examined is what runs: the generation in the data that came, and not the one that was only offered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from jaild.model import layout
from jaild.model.errors import FailedPreconditionError, InvalidArgumentError
from jaild.model.jails.spec import JailSpec, Mode, Network, Volume
from jaild.model.layers.records import SCHEMA, TOO_NEW, Generation, Ownership, Staged
from jaild.model.migration.protocol import DatasetOffer, JailOffer, LayerOffer
from jaild.model.migration.received import mistakes
from tests.fakes.host import FakeHost, caller
from tests.hosts import invariants
from tests.hosts.adopting import DOWN, adopt, interrupted
from tests.hosts.asking import SPEC, active, reason_of, serves
from tests.hosts.migrating import migrate, two_hosts
from tests.hosts.standbys import hosts_with, promote, record, rounds, stop
from tests.unit.migration.test_test_migration import tried
from tests.unit.replication.test_parties import line, offered_by

PRIVILEGED = ("mount",)


def brought(host: FakeHost) -> Path:
    """Return the file that says what starts, in the data of a host's jail."""
    return layout.generation_folder(host.core.inventory.jails["web"].folder, 1) / layout.GENERATION


def tampered(host: FakeHost, what: str) -> None:
    """Let a jail's data say something else than its owner knows of it."""
    file, known = brought(host), active(host)
    other = {
        "spec": msgspec.structs.replace(known, spec=msgspec.structs.replace(known.spec, allow=PRIVILEGED)),
        "base": msgspec.structs.replace(known, base="deb-2"),
        "release": msgspec.structs.replace(known, release="db/1"),
        "number": msgspec.structs.replace(known, number=2),
    }
    if what in other:
        file.write_bytes(msgspec.json.encode(other[what]))
    elif what == "garbage":
        file.write_bytes(b"{")
    else:
        file.rename(file.with_name("elsewhere"))
        if what == "a link":
            file.symlink_to("elsewhere")


TAMPERED = {
    "spec": "GENERATION_DIFFERS",
    "base": "GENERATION_DIFFERS",
    "release": "GENERATION_DIFFERS",
    "number": "GENERATION_DIFFERS",
    "garbage": "GENERATION_UNREADABLE",
    "nothing": "GENERATION_MISSING",
    "a link": "FILE_FAILED",
}


@pytest.mark.parametrize("back", [False, True])
async def test_a_jail_whose_data_says_something_else_than_was_offered_is_not_taken_and_its_source_goes_on(
    tmp_path: Path,
    back: bool,  # noqa: FBT001 -- pytest gives it by name
) -> None:
    source, target = hosts = await two_hosts(tmp_path, back=back)
    before = (await invariants.records(target)).get("web")
    honest = brought(source).read_bytes()
    for what, reason in TAMPERED.items():
        tampered(source, what)
        moved = await source.end_of(await migrate(source, target))
        assert (what, reason_of(moved)) == (what, reason)
        await source.quiet()
        assert serves(source, 1)
        assert (await invariants.records(target)).get("web") == before
        assert [d.name for d in await target.zfs.datasets("tank/jaild") if "/jails/web" in d.name and d.mounted] == []
        assert [call for call in target.runtime.calls if call[0] == "start" and not back] == []
        brought(source).unlink(missing_ok=True)
        brought(source).write_bytes(honest)
    await stop(hosts)


async def test_what_came_is_looked_into_without_staying_mounted(tmp_path: Path) -> None:
    source, target = hosts = await two_hosts(tmp_path, back=False)
    at_commit: list[list[str]] = []
    put = source.core.journals.put

    async def committing(journal: object) -> None:
        at_commit.append([d.name for d in await target.zfs.datasets("tank/jaild/jails") if d.mounted])
        await put(journal)  # type: ignore[arg-type]

    source.core.journals.put = committing  # type: ignore[method-assign]
    assert reason_of(await source.end_of(await migrate(source, target))) == ""
    assert at_commit[-2] == ["tank/jaild/jails"]
    assert serves(target, 1)
    await stop(hosts)


async def test_a_test_migration_boots_nothing_that_was_not_offered(tmp_path: Path) -> None:
    source, target = hosts = await two_hosts(tmp_path, back=False)
    tampered(source, "spec")
    told = await tried(source, target)
    assert "GENERATION_DIFFERS" in str(told.failure)
    assert [call for call in target.runtime.calls if call[0] == "start"] == []
    await stop(hosts)


async def test_a_replica_with_the_address_of_another_jail_is_kept_but_not_taken_over(tmp_path: Path) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    spec = msgspec.structs.replace(SPEC, network=Network(mode=Mode.SHARED_IP, addresses=("10.0.0.5/24",)))
    jails = beta.core.use_cases.jails
    made = await jails.create("other", spec, stopped=True, validate_only=False, caller=caller())
    assert reason_of(await beta.end_of(made)) == ""
    known = active(alpha)
    same = msgspec.structs.replace(known.spec, network=spec.network)
    brought(alpha).write_bytes(msgspec.json.encode(msgspec.structs.replace(known, spec=same)))
    await rounds(alpha)
    alpha.reachable = False
    before = await record(beta)
    refused = await promote(beta, down=True, confirm=DOWN)
    assert reason_of(refused) == "PLAN_REFUSED"
    assert "ADDRESS_IN_USE" in str(refused.failure)
    assert await record(beta) == before
    assert before.state is Ownership.STANDBY
    await stop(hosts)


@pytest.mark.parametrize("what", ["base", "garbage", "nothing"])
async def test_what_cannot_be_started_is_not_taken_over_by_force(tmp_path: Path, what: str) -> None:
    alpha, beta = hosts = await hosts_with(tmp_path, "beta")
    tampered(alpha, what)
    await rounds(alpha)
    alpha.reachable = False
    before = await record(beta)
    refused = await promote(beta, down=True, confirm=DOWN)
    assert reason_of(refused) == {**TAMPERED, "base": "PLAN_REFUSED"}[what]
    assert await record(beta) == before
    assert invariants.running(hosts, "web") == ["alpha:web.1"]
    await stop(hosts)


async def test_what_an_interrupted_migration_left_is_looked_into_before_it_is_adopted(tmp_path: Path) -> None:
    alpha, beta = await interrupted(tmp_path, "alpha>beta prepare", lambda source: tampered(source, "base"))
    refused = await adopt(beta, DOWN)
    assert reason_of(refused) == "PLAN_REFUSED"
    assert (await record(beta)).state is Ownership.INCOMING
    await stop((alpha, beta))


# -- offers


GENERATION = Generation(
    number=3, spec=JailSpec(base="b", app="web/1", volumes={"db": Volume(path="/db")}), base="b", release="web/1"
)
OFFER = JailOffer(
    name="web",
    uid="u",
    epoch=1,
    generation=3,
    generation_json="{}",
    datasets=(DatasetOffer(), DatasetOffer(path="data"), DatasetOffer(path="db")),
    layers=(LayerOffer(path="bases/b", guid=1), LayerOffer(path="apps/web/1", guid=2)),
)
STAGED = Staged(number=4, etc_state="", local_etc_state="")
REPLACED = msgspec.structs.replace


@pytest.mark.parametrize(
    ("offer", "generation", "mistake"),
    [
        (OFFER, GENERATION, None),
        (REPLACED(OFFER, generation=4), GENERATION, "its generation has another number"),
        (OFFER, REPLACED(GENERATION, base="c"), "its generation's base is not its spec's"),
        (OFFER, REPLACED(GENERATION, release=""), "its generation's release is not its spec's"),
        (REPLACED(OFFER, layers=OFFER.layers[1:]), GENERATION, "the base that it needs is not among its layers"),
        (REPLACED(OFFER, layers=OFFER.layers[:1]), GENERATION, "the release that it needs is not among its layers"),
        (REPLACED(OFFER, datasets=OFFER.datasets[:2]), GENERATION, "a volume of its spec is not among its datasets"),
        (REPLACED(OFFER, datasets=OFFER.datasets[::2]), GENERATION, "a volume of its spec is not among its datasets"),
        (REPLACED(OFFER, staged=STAGED), GENERATION, None),
        (REPLACED(OFFER, staged=REPLACED(STAGED, number=3)), GENERATION, "its generation is staged and active at once"),
    ],
)
def test_an_offer_must_say_the_same_in_all_its_parts(
    offer: JailOffer, generation: Generation, mistake: str | None
) -> None:
    assert mistakes(offer, generation)[:1] == ((mistake,) if mistake else ())


@pytest.mark.parametrize("text", ["{", '{"number": 1}'])
async def test_an_offer_whose_generation_cannot_be_read_is_refused_in_words(tmp_path: Path, text: str) -> None:
    alpha, beta = hosts = await two_hosts(tmp_path, back=False)
    offer = await offered_by(alpha, alpha, 1)
    broken = REPLACED(offer, jail=REPLACED(offer.jail, generation_json=text))
    with pytest.raises(InvalidArgumentError) as refused:
        await line(alpha, beta).preflight(broken)
    assert refused.value.reason == "INVALID_PEER_MESSAGE"
    await stop(hosts)


@pytest.mark.parametrize("more", [{"schema": SCHEMA + 1}, {"spec": {"base": "b", "gpus": 2}}], ids=["schema", "field"])
async def test_a_generation_of_a_later_jaild_is_not_taken_in_part(tmp_path: Path, more: dict[str, Any]) -> None:
    alpha, beta = hosts = await two_hosts(tmp_path, back=False)
    offer = await offered_by(alpha, alpha, 1)
    later = msgspec.json.decode(offer.jail.generation_json) | more
    offer = REPLACED(offer, jail=REPLACED(offer.jail, generation_json=msgspec.json.encode(later).decode()))
    with pytest.raises(FailedPreconditionError) as refused:
        await line(alpha, beta).preflight(offer)
    assert refused.value.reason == TOO_NEW
    await stop(hosts)


async def test_a_spec_that_breaks_the_rules_of_specs_is_not_taken(tmp_path: Path) -> None:
    alpha, beta = hosts = await two_hosts(tmp_path, back=False)
    offer, known = await offered_by(alpha, alpha, 1), active(alpha)
    bad = REPLACED(known, spec=REPLACED(known.spec, quota="much"))
    offer = REPLACED(offer, jail=REPLACED(offer.jail, generation_json=msgspec.json.encode(bad).decode()))
    found = (await line(alpha, beta).preflight(offer)).problems
    assert [problem.code for problem in found] == ["INVALID_SPEC"]
    await stop(hosts)
