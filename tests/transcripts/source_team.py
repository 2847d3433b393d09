"""The stories of docs/source-team.md."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

from jaild.model import layout
from jaild.model.layers.records import Manifest
from jaild.model.rollouts.decision import RolloutState
from tests.fakes.host import FakeHost
from tests.fakes.runtime import Answer
from tests.tars import file, folder, pack
from tests.transcripts.stage import Acts, Stage

_CHECK = ("/usr/local/bin/check",)
_SPEC = """channel: stable
app: web/1
health: [{kind: exec, command: [/usr/local/bin/check]}]
readiness: {successes: 2, interval: 0.1, failures: 10, deadline: 5}
"""


async def imports(stage: Stage) -> AsyncIterator[Acts]:
    """Import a base; a stream with another digest is refused."""
    await stage.add("alpha")
    release = b'ID=debian\nVERSION_ID="12"\nNAME="Debian GNU/Linux"\n'
    files = (
        file("etc/os-release", release),
        file("bin/sh", Path("/bin/sh").read_bytes(), 0o755),
        file("etc/issue", b"Debian 12\n"),
    )
    folders = (folder(name) for name in ("bin", "etc", "var", "root", "home", "usr", "usr/local"))
    pack(stage.folder / "debian-12.tar.zst", *folders, *files)
    yield {}
    yield {}


async def upgrade(stage: Stage) -> AsyncIterator[Acts]:
    """Upgrade and go back, see who uses a base; then the jail changes what the new base changes, too."""
    alpha = await stage.add("alpha")
    await alpha.add_base("debian-12", {"etc/issue": "Debian GNU/Linux 12 \\n \\l\n"})
    await alpha.add_base("debian-13", {"etc/issue": "Debian GNU/Linux 13 \\n \\l\n"})
    await alpha.add_release("redis/7.0.15-tuned", manifest=Manifest(command=("/usr/local/bin/redis-server",)))
    (stage.folder / "cache.yaml").write_text("base: debian-12\napp: redis/7.0.15-tuned\n")
    await stage.quietly("jailctl jail create cache -f cache.yaml")
    yield {}
    _etc(alpha, "cache", 3, "issue", "Reach us at ops@example.net\n")
    yield {}
    yield {}


async def rollout(stage: Stage) -> AsyncIterator[Acts]:
    """Roll a base out over six jails, of which one fails and one is refused; take it back from the others."""
    alpha = await stage.add("alpha")
    for base in ("tiny-1", "tiny-2"):
        await alpha.add_base(base, {"etc/motd": f"{base.replace('-', ' ')}\n"})
    for version in ("1", "2"):
        await alpha.add_release(f"web/{version}")
    (stage.folder / "edge.yaml").write_text(_SPEC)
    await stage.quietly("jailctl channel set stable tiny-1")
    for number in range(6):
        await stage.quietly(f"jailctl jail create edge-{number} -f edge.yaml")
        await stage.quietly(f"jailctl jail restart edge-{number}")
    for generation in range(2, 9):
        alpha.runtime.answers[f"edge-0.{generation}", _CHECK] = Answer(status=1, stderr=b"no licence\n")
    _etc(alpha, "edge-4", 1, "motd", "mine\n")
    rollouts = alpha.core.use_cases.rollouts

    async def reaches(state: RolloutState) -> None:
        await stage.until(lambda: rollouts.list()[0].state is state)

    yield {}
    yield {
        "jailctl rollout ls": partial(reaches, RolloutState.PAUSED),
        "jailctl rollout show": partial(reaches, RolloutState.DONE),
    }
    await stage.quietly("jailctl jail deploy edge-1 web/2")
    yield {}

    async def time_stops() -> None:  # else it is Sunday at once
        stage.clock.goes.clear()

    async def waits() -> None:
        await stage.until(lambda: rollouts.list()[0].planned)

    yield {"jailctl rollout start": time_stops, "jailctl rollout show": waits}


async def find(stage: Stage) -> AsyncIterator[Acts]:
    """Find the jails with a vulnerable package, upgrade one, and see what that changed."""
    alpha = await stage.add("alpha")
    for base, openssl, issue in (
        ("debian-12.12", "3.0.11-1~deb12u2", "12.12"),
        ("debian-12.15", "3.0.15-1~deb12u1", "12.15"),
    ):
        said = f"Status: install ok installed\nArchitecture: amd64\nSource: openssl\nVersion: {openssl}\n"
        status = "\n".join(f"Package: {name}\n{said}" for name in ("libssl3", "openssl"))
        files = {"var/lib/dpkg/status": status, "etc/issue": f"Debian {issue}\n", "etc/motd": "welcome\n"}
        await alpha.add_base(base, files)
    await alpha.add_release("web/1")
    for number, base in enumerate(("debian-12.12", "debian-12.12", "debian-12.15")):
        (stage.folder / "edge.yaml").write_text(f"base: {base}\napp: web/1\n")
        await stage.quietly(f"jailctl jail create edge-{number} -f edge.yaml")
    yield {}


def _etc(host: FakeHost, jail: str, generation: int, name: str, text: str) -> None:
    """Write to a jail's own /etc."""
    folder = layout.generation_folder(host.core.inventory.jails[jail].folder, generation)
    (folder / "etc" / name).write_text(text)
