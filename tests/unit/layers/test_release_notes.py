"""What a release came without, and what is unusual in it, is told by the operation that made it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

from jaild.model.layers.records import Manifest
from tests.fakes.host import FakeHost, caller
from tests.hosts.asking import reason_of


def archive(path: Path) -> bytes:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as packed:
        for name, mode, headers in (
            ("bin/web", 0o755, {"SCHILY.xattr.security.capability": "x"}),
            ("bin/su", 0o4755, {}),
            ("bin/immutable", 0o755, {"SCHILY.fflags": "schg"}),
        ):
            info = tarfile.TarInfo(name)
            info.mode, info.pax_headers = mode, headers
            packed.addfile(info, io.BytesIO())
    return path.read_bytes()


async def once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def test_a_push_tells_what_a_release_does_not_keep(host: FakeHost, tmp_path: Path) -> None:
    data = archive(tmp_path / "a.tar")
    pushing = await host.core.use_cases.releases.push(
        "web",
        "noted",
        once(data),
        sha256=sha256(data).hexdigest(),
        size=len(data),
        parent="",
        manifest=Manifest(),
        caller=caller(),
    )
    done = await host.end_of(pushing)
    assert reason_of(done) == "", done
    assert done.facts["notes"].split("; ") == [
        "1 setuid or setgid file: 'bin/su'",
        "1 came without file flags, which releases do not keep: 'bin/immutable'",
        "1 came without security attributes, which releases do not keep: 'bin/web'",
    ]
