from __future__ import annotations

import pytest

from jaild.model.errors import DataLossError, InvalidArgumentError, NotFoundError
from jaild.model.layers import distset

BASE, KERNEL = "b" * 64, "a" * 64
MANIFEST = (
    f'base.txz\t{BASE}\t28611\tbase\t"Base system (MANDATORY)"\ton\n'
    f'base-dbg.txz\t{KERNEL}\t1713\tbase_dbg\t"Base system (Debugging)"\toff\n'
)


def test_a_manifest_tells_its_sets() -> None:
    base = distset.parse(MANIFEST)["base.txz"]
    assert (base.sha256, base.files, base.name, base.chosen) == (BASE, 28611, "base", True)
    assert base.description == "Base system (MANDATORY)"
    assert not distset.parse(MANIFEST)["base-dbg.txz"].chosen


def test_a_set_with_its_digest_passes() -> None:
    assert distset.verify(distset.parse(MANIFEST), "base.txz", BASE.upper()).name == "base"


def test_another_digest_is_a_mismatch_that_says_both() -> None:
    with pytest.raises(DataLossError) as caught:
        distset.verify(distset.parse(MANIFEST), "base.txz", KERNEL)
    assert caught.value.reason == "MANIFEST_MISMATCH"
    assert BASE in caught.value.message
    assert KERNEL in caught.value.message


def test_a_set_that_is_not_named_is_a_mismatch() -> None:
    with pytest.raises(NotFoundError, match=r"only base-dbg\.txz, base\.txz") as caught:
        distset.verify(distset.parse(MANIFEST), "lib32.txz", BASE)
    assert caught.value.reason == "MANIFEST_MISMATCH"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>404</html>",
        MANIFEST + MANIFEST,
        MANIFEST.replace("\t", " "),
        MANIFEST.replace(BASE, BASE[1:]),
        MANIFEST.replace("base.txz", "../base.txz"),
        MANIFEST.replace("28611", "many"),
        MANIFEST * 600,
    ],
)
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        distset.parse(text)
    assert caught.value.reason == "MANIFEST_UNREADABLE"
