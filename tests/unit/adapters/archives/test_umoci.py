"""Images come out as with umoci, the OCI's own unpacker: random layers of few names, so that they meet."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from jaild.adapters.archives.bsdtar import BsdtarArchives
from jaild.adapters.archives.ociimages import OciImages
from jaild.adapters.system.process import ProcessRunner
from jaild.model.errors import InvalidArgumentError
from jaild.model.layers.archive import base_policy
from jaild.model.layers.ociimage import Platform
from tests.ocilayouts import Layout, named
from tests.tars import Item, file, folder, hardlink, picture, symlink

pytestmark = pytest.mark.real("bsdtar", "umoci", "Linux")

HERE = Platform(architecture="amd64", os="linux")
IMAGES = OciImages(BsdtarArchives(ProcessRunner()))
SEEDS, IMAGES_EACH = 2, 16
FOLDERS, FILES = ("a", "lib", "usr"), ("x", "y", "z")
# What jaild refuses and umoci takes: an entry that is there twice in a layer, one name by two ways among them; and a
# hard link to a file below that the same layer takes away.
STRICTER = {"ARCHIVE_DUPLICATE_ENTRY", "ARCHIVE_LINK_ESCAPES"}

# What umoci refuses and jaild takes: a folder where a lower layer has a file, as a mount of the layers shows it; a hard
# link to a file by way of what the link takes the place of, which umoci has taken away by then.
LAXER = ("not a directory", "link: no such file or directory")


class Maker:
    """Makes items that may go together, by what was made so far."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 -- no secret
        self._files = ["usr/lib/x"]

    def layers(self) -> list[list[Item]]:
        first = [folder("usr"), folder("usr/lib"), file("usr/lib/x", b"first"), symlink("lib", self._target("usr/lib"))]
        return [first, *(list(self._layer()) for _ in range(self._random.randint(1, 3)))]

    def _layer(self) -> Iterator[Item]:
        seen = set[str]()
        for _ in range(self._random.randint(1, 6)):
            item = self._item()
            if item.name not in seen:
                seen.add(str(item.name))
                yield item

    def _item(self) -> Item:
        pick = self._random.random()
        above = self._above()
        name = above + self._random.choice(FILES if self._random.random() < 0.9 else FOLDERS)
        if pick < 0.45:
            self._files.append(name)
            return file(name, self._random.randbytes(4), mode=self._random.choice((0o644, 0o4755, 0o600)))
        if pick < 0.6:
            return folder(above + self._random.choice(FOLDERS), mode=self._random.choice((0o755, 0o700)))
        if pick < 0.75:
            return symlink(above + self._random.choice(FOLDERS), self._target(self._above() + "usr"))
        if pick < 0.85:
            return hardlink(name, self._random.choice(("", "/")) + self._random.choice(self._files))
        return file(f"{above}.wh.{self._random.choice((*FILES, *FOLDERS, '.wh..opq'))}")

    def _above(self) -> str:
        return "".join(f"{name}/" for name in self._random.choices(FOLDERS, k=self._random.randint(0, 2)))

    def _target(self, name: str) -> str:
        return self._random.choice(("", "/", "../", "../../../../")) + name


def by_umoci(layout: Path, where: Path) -> str:
    """Unpack with umoci; return what it said if it refused."""
    argv = ["umoci", "raw", "unpack", "--image", f"{layout}:image", str(where)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stderr.strip() or "refused" if done.returncode else ""


async def by_jaild(layout: Path, where: Path) -> str:
    """Unpack with jaild; return the reason if it refused."""
    where.mkdir()
    try:
        await IMAGES.unpack(await IMAGES.open(layout, reference="image", wanted=HERE), where, base_policy())
    except InvalidArgumentError as refused:
        return refused.reason
    return ""


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_random_images_come_out_as_with_umoci(tmp_path: Path, seed: int) -> None:
    unpacked = 0
    for number in range(IMAGES_EACH):
        layers = Maker(seed * IMAGES_EACH + number).layers()
        layout = Layout(tmp_path / f"{number}-layout")
        made = layout.finish(layout.image(*(layout.layer(*layer) for layer in layers), **named("image")))
        theirs, ours = tmp_path / f"{number}-umoci", tmp_path / f"{number}-jaild"
        umoci, jaild = by_umoci(made, theirs), await by_jaild(made, ours)
        if umoci:
            assert jaild or any(text in umoci for text in LAXER), (umoci, layers)
        elif jaild:
            assert jaild in STRICTER, (jaild, layers)
        else:
            unpacked += 1
            assert picture(ours) == picture(theirs), layers
    assert unpacked >= IMAGES_EACH // 3
