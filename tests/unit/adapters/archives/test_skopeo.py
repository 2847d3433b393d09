"""What skopeo is asked, what its words mean, and what of a transfer is not waited for."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from jaild.adapters.archives.skopeo import SkopeoRegistries
from jaild.adapters.files.room import Room
from jaild.model.errors import InvalidArgumentError, JaildError, ResourceExhaustedError, UnavailableError
from jaild.model.layers import registry
from jaild.model.layers.registry import Registries, Registry
from tests.fakes.processes import Argv, Said, ScriptedProcesses

IMAGE = registry.parse("docker://r.example/base:12")
OPEN: Registries = {"r.example": Registry(push=True)}
# What skopeo 1.9.3 printed, but for the time.
_PING = "pinging container registry r.example: Get "
SAID = [
    ("reading manifest none in r.example/base: manifest unknown: manifest unknown", "IMAGE_NOT_FOUND"),
    ("reading manifest none in r.example/base: name unknown: repository name not known to registry", "IMAGE_NOT_FOUND"),
    ("reading manifest 12 in r.example/base: unauthorized: authentication required", "REGISTRY_UNAUTHORIZED"),
    (
        "reading manifest 12 in r.example/base: denied: requested access to the resource is denied",
        "REGISTRY_UNAUTHORIZED",
    ),
    (
        _PING + '\\"https://r.example/v2/\\": dial tcp: lookup r.example: no such host',
        "REGISTRY_UNREACHABLE",
    ),
    (
        _PING + '\\"http://r.example/v2/\\": dial tcp 192.0.2.1:80: connect: connection refused',
        "REGISTRY_UNREACHABLE",
    ),
    (
        _PING + '\\"https://r.example/v2/\\": http: server gave HTTP response to HTTPS client',
        "REGISTRY_UNTRUSTED",
    ),
    (
        _PING + '\\"https://r.example/v2/\\": x509: certificate signed by unknown authority',
        "REGISTRY_UNTRUSTED",
    ),
    ("writing blob: Digest did not match, expected sha256:1, got sha256:2", "DIGEST_MISMATCH"),
    ("Source image rejected: A signature was required, but no signature exists", "IMAGE_SIGNATURE"),
    ("something that nobody has seen", "COMMAND_FAILED"),
]


async def nothing(argv: Argv, stdin: bytes) -> Said:
    del argv, stdin
    return Said()


def ignored(done: int, total: int) -> None:
    del done, total


@pytest.mark.parametrize(("said", "reason"), SAID)
async def test_each_word_of_skopeo_is_an_error_of_its_own_with_what_to_do(
    tmp_path: Path, said: str, reason: str
) -> None:
    async def fails(argv: Argv, stdin: bytes) -> Said:
        del stdin
        told = f'time="2026-11-30T19:17:11Z" level=fatal msg="Error parsing image name \\"{argv[-1]}\\": {said}"'
        return Said(stderr=told, status=1)

    registries = SkopeoRegistries(ScriptedProcesses(fails), OPEN, room=Room(tmp_path))
    for asked in (
        registries.manifest(IMAGE),
        registries.config(IMAGE),
        registries.fetch(IMAGE, tmp_path / "layout", 1, progress=ignored),
        registries.push(tmp_path / "layout", IMAGE),
    ):
        with pytest.raises(JaildError) as caught:
            await asked
        assert (caught.value.reason, bool(caught.value.hint)) == (reason, True)


async def test_who_we_are_is_a_file_and_nobody_s_own_is_looked_for(tmp_path: Path) -> None:
    registries = {
        "r.example": Registry(
            push=True, authfile=Path("/e/auth"), certificates=Path("/e/tls"), signatures=Path("/e/p")
        ),
        "r.example/anybody": Registry(push=True),
        "127.0.0.1:5000": Registry(push=True),
    }
    processes = ScriptedProcesses(nothing)
    skopeo = SkopeoRegistries(processes, registries, room=Room(tmp_path))
    for name in ("r.example/base", "r.example/anybody/base", "127.0.0.1:5000/base"):
        image = registry.parse(f"docker://{name}:12")
        await skopeo.manifest(image)
        await skopeo.push(tmp_path, image)
    ours = ["authfile", "cert-dir"]
    expected = [
        ["--policy", "/e/p", *(f"--{word}" for word in ours)],
        ["--policy", "/e/p", *(f"--dest-{word}" for word in ours)],
        ["--insecure-policy", "--no-creds"],
        ["--insecure-policy", "--dest-no-creds"],
        ["--insecure-policy", "--no-creds", "--tls-verify=false"],
        ["--insecure-policy", "--dest-no-creds", "--dest-tls-verify=false"],
    ]
    options = ("policy", "creds", "authfile", "cert-dir", "tls-verify")
    for call, words in zip(processes.calls, expected, strict=True):
        found = [word for word in call.argv if word.startswith("--") and any(option in word for option in options)]
        assert found == [word for word in words if word.startswith("--")]
    assert str(processes.calls[0].argv).count("/e/auth") == 1


async def test_what_is_not_allowed_is_not_asked(tmp_path: Path) -> None:
    processes = ScriptedProcesses(nothing)
    skopeo = SkopeoRegistries(processes, {"r.example": Registry()}, room=Room(tmp_path))
    for asked in (
        skopeo.push(tmp_path, IMAGE),
        skopeo.manifest(registry.parse("docker://other.example/base:12")),
        skopeo.fetch(registry.parse("docker://other.example/base:12"), tmp_path, 1, progress=ignored),
    ):
        with pytest.raises(JaildError) as caught:
            await asked
        assert caught.value.reason == "REGISTRY_NOT_ALLOWED"
    assert processes.calls == []


async def test_more_than_the_manifest_says_is_not_waited_for(tmp_path: Path) -> None:
    blobs = tmp_path / "layout/blobs/sha256"

    async def sends(argv: Argv, stdin: bytes) -> Said:
        del argv, stdin
        blobs.mkdir(parents=True)
        with (blobs / "oci-put-blob1").open("wb") as file:
            file.truncate(64 << 20)
        await asyncio.Event().wait()
        raise AssertionError

    room = Room(tmp_path)
    skopeo = SkopeoRegistries(ScriptedProcesses(sends), OPEN, room=room)
    with pytest.raises(InvalidArgumentError) as caught:
        await skopeo.fetch(IMAGE, tmp_path / "layout", 1000, progress=ignored)
    assert caught.value.reason == "ARCHIVE_TOO_LARGE"


async def test_a_registry_that_sends_nothing_is_not_waited_for(tmp_path: Path) -> None:
    async def hangs(argv: Argv, stdin: bytes) -> Said:
        del argv, stdin
        await asyncio.Event().wait()
        raise AssertionError

    skopeo = SkopeoRegistries(ScriptedProcesses(hangs), OPEN, room=Room(tmp_path), patience=0.0)
    with pytest.raises(UnavailableError) as caught:
        await skopeo.fetch(IMAGE, tmp_path / "layout", 1000, progress=ignored)
    assert caught.value.reason == "REGISTRY_UNREACHABLE"


async def test_nothing_is_fetched_that_would_take_the_reserve(tmp_path: Path) -> None:
    processes = ScriptedProcesses(nothing)
    skopeo = SkopeoRegistries(processes, OPEN, room=Room(tmp_path, free=lambda _: 1 << 30))
    with pytest.raises(ResourceExhaustedError) as caught:
        await skopeo.fetch(IMAGE, tmp_path / "layout", 1 << 30, progress=ignored)
    assert (caught.value.reason, processes.calls) == ("NO_SPACE", [])


async def test_a_host_without_skopeo_is_told_which_package_brings_it(tmp_path: Path) -> None:
    async def missing(argv: Argv, stdin: bytes) -> Said:
        del stdin
        raise UnavailableError("PROGRAM_MISSING", f"{argv[0]}: No such file or directory", resource=argv[0])

    skopeo = SkopeoRegistries(ScriptedProcesses(missing), OPEN, room=Room(tmp_path))
    for asked in (skopeo.manifest(IMAGE), skopeo.fetch(IMAGE, tmp_path / "layout", 1, progress=ignored)):
        with pytest.raises(UnavailableError) as caught:
            await asked
        assert caught.value.reason == "PROGRAM_MISSING"
        assert "apt install skopeo" in caught.value.hint
        assert "sysutils/skopeo" in caught.value.hint
