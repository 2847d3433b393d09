"""Registries by skopeo(1) (implements `jaild.ports.registries.ImageRegistries`).

Its words for what went wrong are those of skopeo 1.9 (Debian 12) and of the registry's own errors (distribution-spec,
"Error Codes"). Credentials are files that the configuration names; none is ever an argument.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from jaild.adapters.files.room import Place, Room
from jaild.model import quantity
from jaild.model.errors import (
    DataLossError,
    FailedPreconditionError,
    InvalidArgumentError,
    JaildError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
    command_failed,
)
from jaild.model.layers import registry
from jaild.model.layers.registry import Reference, Registries
from jaild.ports.archives import Progress
from jaild.ports.process import Completed, Processes

_ASKING = 60.0  # seconds for a document
_PUSHING = 4 * 3600.0
_LOOK = 0.5  # seconds between two looks at how much has come: skopeo tells nobody
_PATIENCE = 120.0  # seconds in which something must come
_TRIES = 3  # further ones that skopeo makes of a push, after an error that it knows as passing
_SLACK = 8 << 20  # bytes beside the layers: manifest (4 MiB at most, as skopeo reads them), configuration, index
_SAID = re.compile(r'level=fatal msg="((?:[^"\\]|\\.)*)"')


class SkopeoRegistries:
    """Those of the configuration."""

    def __init__(
        self, processes: Processes, registries: Registries, *, room: Room, patience: float = _PATIENCE
    ) -> None:
        self._processes = processes
        self._registries = registries
        self._room = room
        self._patience = patience

    def require(self, image: Reference, *, push: bool = False) -> None:
        """See the port."""
        registry.allowed(self._registries, image, push=push)

    async def manifest(self, image: Reference) -> bytes:
        """See the port."""
        return await self._asked(image, ())

    async def config(self, image: Reference) -> bytes:
        """See the port."""
        return await self._asked(image, ("--config",))

    async def _asked(self, image: Reference, options: Sequence[str]) -> bytes:
        argv = ("inspect", "--raw", *options, *self._access(image, ""), image.exact)
        done = await self._run((*self._skopeo(image), *argv), _ASKING)
        if done.status:
            raise failure(done, image)
        return done.stdout

    async def fetch(self, image: Reference, layout: Path, size: int, *, progress: Progress) -> None:
        """See the port."""
        # Into the folder that it works in, by no name: if its daemon is killed, and the next one removes the folder, it
        # cannot make it anew.
        copy = ("copy", "--quiet", "--dest-oci-accept-uncompressed-layers")
        argv = (*self._skopeo(image), *copy, *self._access(image, "src-"), image.exact, "oci:.")
        place = await asyncio.to_thread(self._room.begin, size)
        try:
            done = await self._watched(argv, layout, size, place, progress)
        finally:
            place.give_back()
        if done.status:
            raise failure(done, image)

    async def _watched(
        self, argv: Sequence[str], layout: Path, size: int, place: Place, progress: Progress
    ) -> Completed:
        """Run until its end, or until more comes than was said, or nothing."""
        loop = asyncio.get_running_loop()
        try:
            async with self._processes.start(argv, cwd=layout) as child:
                await child.close_stdin()
                ending = asyncio.ensure_future(child.wait())
                try:
                    since, before = loop.time(), -1
                    while not ending.done():
                        have = await asyncio.to_thread(_bytes_below, layout)
                        if have != before:
                            since, before = loop.time(), have
                        if have > size + _SLACK:
                            raise _too_much(have, size)
                        if loop.time() - since > self._patience:
                            raise _unreachable(f"nothing came for {self._patience:g} s")
                        if have > place.written:
                            await asyncio.to_thread(place.write, have - place.written)
                        progress(min(have, size), size)
                        await asyncio.wait({ending}, timeout=_LOOK)
                    return await ending
                finally:
                    ending.cancel()
        except UnavailableError as error:
            raise _named(error) from error

    async def push(self, layout: Path, image: Reference) -> None:
        """See the port."""
        copy = ("copy", "--quiet", "--retry-times", str(_TRIES), "--preserve-digests")
        access = self._access(image, "dest-", push=True)
        done = await self._run((*self._skopeo(image), *copy, *access, f"oci:{layout}", image.exact), _PUSHING)
        if done.status:
            raise failure(done, image)

    async def _run(self, argv: Sequence[str], timeout: float) -> Completed:
        try:
            return await self._processes.run(argv, timeout=timeout, check=False)
        except UnavailableError as error:
            raise _named(error) from error

    def _skopeo(self, image: Reference) -> tuple[str, ...]:
        signatures = registry.allowed(self._registries, image).signatures
        return ("skopeo", *(("--policy", str(signatures)) if signatures else ("--insecure-policy",)))

    def _access(self, image: Reference, side: str, *, push: bool = False) -> tuple[str, ...]:
        """Return the options for a registry: without a file of ours nobody's own is looked for."""
        setting = registry.allowed(self._registries, image, push=push)
        who = (f"--{side}authfile", str(setting.authfile)) if setting.authfile else (f"--{side}no-creds",)
        certificates = (f"--{side}cert-dir", str(setting.certificates)) if setting.certificates else ()
        plain = (f"--{side}tls-verify=false",) if registry.without_tls(setting, image.host) else ()
        return (*who, *certificates, *plain)


def _bytes_below(layout: Path) -> int:
    """Return the bytes of blobs, those that are coming included. Blocks."""
    total = 0
    for path in layout.glob("blobs/sha256/*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # it has got its name meanwhile
            continue
    return total


def _too_much(have: int, size: int) -> InvalidArgumentError:
    return InvalidArgumentError(
        "ARCHIVE_TOO_LARGE",
        f"{quantity.size(have)} came, and the image's manifest says {quantity.size(size)}",
        hint="the registry sends other blobs than it has: tell whoever runs it",
        detail={"limit": str(size)},
    )


def _unreachable(said: str) -> UnavailableError:
    return UnavailableError(
        "REGISTRY_UNREACHABLE",
        f"the registry does not answer: {said}",
        hint="look at its address, and at the network from this host to it; then ask again: layers that came are kept",
    )


def _named(error: UnavailableError) -> UnavailableError:
    """Return the error for a program that is not there with the packages that bring it."""
    if error.reason != "PROGRAM_MISSING":
        return error
    return UnavailableError(
        error.reason,
        error.message,
        hint="install it: apt install skopeo (Debian), pkg install skopeo (FreeBSD, sysutils/skopeo)",
        resource=error.resource,
    )


def failure(done: Completed, image: Reference) -> JaildError:
    """Return what skopeo said as one of our errors."""
    found = _SAID.findall(done.error_text)
    said = re.sub(r"\\(.)", r"\1", found[-1]) if found else done.error_text.strip()
    for words, make in _KINDS:
        if words.search(said):
            return make(str(image), said)
    return command_failed(done.argv, done.status, said)


def _mismatch(image: str, said: str) -> DataLossError:
    hint = "ask again; then tell whoever runs the registry"
    return DataLossError("DIGEST_MISMATCH", f"{image}: {said}", hint=hint, resource=image)


def _not_found(image: str, _: str) -> NotFoundError:
    return NotFoundError(
        "IMAGE_NOT_FOUND",
        f"the registry has no {image.removeprefix(registry.TRANSPORT)}",
        hint="look for its name and tag; some registries say so, too, to whom they do not know",
        resource=image,
    )


def _unauthorized(image: str, said: str) -> PermissionDeniedError:
    return PermissionDeniedError(
        "REGISTRY_UNAUTHORIZED",
        f"the registry does not let this host: {said}",
        hint="operators: `authfile` of the registry in jaild.yaml; skopeo login --authfile FILE HOST writes one",
        resource=image,
    )


def _untrusted(image: str, said: str) -> FailedPreconditionError:
    return FailedPreconditionError(
        "REGISTRY_UNTRUSTED",
        f"the registry is not who it should be: {said}",
        hint="operators: `certificates` of the registry in jaild.yaml, or `plain_http` if it has no TLS",
        resource=image,
    )


def _unsigned(image: str, said: str) -> FailedPreconditionError:
    return FailedPreconditionError(
        "IMAGE_SIGNATURE",
        f"{image} is not signed as it must be: {said}",
        hint="have it signed, or see `signatures` of the registry in jaild.yaml",
        resource=image,
    )


# The first whose words are in what skopeo said.
_KINDS: tuple[tuple[re.Pattern[str], Callable[[str, str], JaildError]], ...] = (
    (re.compile(r"[Dd]igest did not match|does not match provided manifest digest|digest invalid"), _mismatch),
    (re.compile(r"manifest unknown|name unknown|MANIFEST_UNKNOWN|NAME_UNKNOWN"), _not_found),
    (re.compile(r"unauthorized|authentication required|denied|invalid username/password"), _unauthorized),
    (re.compile(r"x509:|certificate|server gave HTTP response to HTTPS client|tls:"), _untrusted),
    (re.compile(r"Source image rejected|signature"), _unsigned),
    (
        re.compile(
            r"pinging container registry|connection re(fused|set)|no such host|timeout|no route|unreachable|\bEOF"
        ),
        lambda _, said: _unreachable(said),
    ),
)
