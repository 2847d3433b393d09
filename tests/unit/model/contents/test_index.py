"""What is known of a layer's libraries."""

from __future__ import annotations

import pytest

from jaild.model import bounds
from jaild.model.contents.index import Owned, libraries_of
from jaild.model.layers.libraries import ElfFile, Libraries

LINKS = {f"/lib/lib{name}.so.1": f"/lib/lib{name}.so.1.2.3" for name in "abc"}


def versions(links: dict[str, str]) -> dict[str, str]:
    files = tuple(
        ElfFile(path=target, machine="EM_X86_64", bits=64, soname=link.rpartition("/")[2])
        for link, target in LINKS.items()
    )
    return {each.soname: each.version for each in libraries_of(Libraries(files=files, links=links), Owned())}


def test_a_version_stands_in_the_name_that_a_link_leads_to() -> None:
    assert versions(LINKS) == {"liba.so.1": "1.2.3", "libb.so.1": "1.2.3", "libc.so.1": "1.2.3"}


def test_links_are_followed_as_far_as_the_work_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "CONTENT_LINKS_WORK", 10_000)
    followed = 0

    class Counted(dict[str, str]):
        def get(self, key: str, default: object = None) -> object:  # type: ignore[override]
            nonlocal followed
            followed += len(key)
            return super().get(key, default)

    circles = {f"/{number}.so.1": f"/{number + 1}.so.1" for number in range(1000)}
    versions(Counted({**circles, "/1000.so.1": "/0.so.1"}))
    assert 10_000 <= followed < 11_000
