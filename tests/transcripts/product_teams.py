"""The stories of docs/product-teams.md."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from jaild.model import layout
from jaild.model.access import Role
from jaild.model.backups.targets import Directory, TargetSettings
from jaild.model.layers.compatibility import ElfFile, Libraries
from jaild.model.layers.records import Group, Manifest, User
from jaild.model.policy import Policy, on_host
from jaild.model.views import Caller, JailState
from tests.fakes.host import FakeHost
from tests.fakes.runtime import Answer
from tests.tars import Item, file, folder, pack
from tests.transcripts.stage import Acts, Stage, written

CACHE = """base: debian-12
app: redis/7.0.15
network: {mode: vnet, addresses: [10.98.0.20/24]}
health:
  - {kind: tcp, port: 6379}
readiness: {successes: 3, interval: 0.1, failures: 20, deadline: 10}
"""
EDGE = """base: tiny-1
app: web/1
"""


async def push(stage: Stage) -> AsyncIterator[Acts]:
    """Push two releases, the second from the first."""
    await stage.add("alpha")
    text = "description of redis\n" * 4096
    items: list[Item] = [folder("bin"), folder("etc"), file("bin/redis-server", text.encode() * 3, 0o755)]
    pack(stage.folder / "redis-7.0.15.tar.zst", *items, file("etc/redis.conf", b"port 6379\n"))
    tuned = [*items, file("etc/redis.conf", b"port 6379\n"), file("etc/tuned.conf", b"maxmemory 256mb\n")]
    pack(stage.folder / "redis-tuned.tar.zst", *tuned)
    (stage.folder / "redis.yaml").write_text("command: [/usr/local/bin/redis-server, /usr/local/etc/redis.conf]\n")
    yield {}


async def prune(stage: Stage) -> AsyncIterator[Acts]:
    """Delete what nobody uses."""
    alpha = await stage.add("alpha")
    await alpha.add_base("tiny-1")
    (stage.folder / "web.yaml").write_text("command: [/usr/local/bin/serve]\n")
    (stage.folder / "edge-1.yaml").write_text(EDGE)
    for version in ("1", "2", "sick"):
        pack(stage.folder / f"{version}.tar", folder("bin"), file("bin/serve", version.encode() * 70_000, 0o755))
        await stage.quietly(f"jailctl app push web/{version} {version}.tar --manifest web.yaml")
    await stage.quietly("jailctl jail create edge-1 -f edge-1.yaml")
    yield {}


async def build(stage: Stage) -> AsyncIterator[Acts]:
    """Build a site twice; the third build fails."""
    alpha = await stage.add("alpha")
    await alpha.add_base("debian-12")
    recipe = (Path(__file__).parents[2] / "templates/recipes/static-site.yaml").read_text()
    written(stage.folder, {"static-site.yaml": recipe, "bad.yaml": recipe.replace("gzip", "gzpi")})
    written(stage.folder, {"www/index.html": "<h1>site</h1>\n" * 400, "serve": "#!/bin/sh\n"})
    yield {"jailctl app build -f static-site.yaml site/1.1 --from 1.0": partial(_site_changed, stage)}
    bad = "find /usr/local/www -name '*.html' -exec gzpi -9 -f -k -n {} +"
    answer = Answer(status=1, stderr=b"find: 'gzpi': No such file or directory\n")
    alpha.runtime.anywhere["/bin/sh", "-c", bad] = answer
    yield {}


async def _site_changed(stage: Stage) -> None:
    await stage.quietly("jailctl app build -q -f static-site.yaml")
    written(stage.folder, {"www/news.html": "<h1>news</h1>\n"})


async def redacted(stage: Stage) -> AsyncIterator[Acts]:
    """Send what stands for a value that was not shown."""
    await _with_redis(stage)
    written(stage.folder, {"cache.yaml": f"{CACHE}environment: {{TOKEN: (redacted)}}\n"})
    yield {}


async def symbols(stage: Stage) -> AsyncIterator[Acts]:
    """Deploy a program that needs symbols of a newer C library."""
    alpha = await _with_redis(stage)
    await _created(stage)
    has = {"GLIBC_2.36": ("printf",)}
    libc = _elf("/lib/libc.so.6", soname="libc.so.6", versions=("GLIBC_2.36",), defines=has)
    needs = {"libc.so.6": {"GLIBC_2.38": tuple(f"__isoc23_{name}" for name in ("sscanf", "strtol", "strtoull"))}}
    program = _elf("/usr/local/bin/redis-cli", needed=("libc.so.6",), needs=needs)
    base, release = alpha.core.inventory.bases["debian-12"], alpha.core.inventory.releases["redis/7.4"]
    for layer, found in ((base, libc), (release, program)):
        libraries = Libraries(files=(found,), search_path=("/lib", "/usr/lib"))
        (layer.folder / layout.LIBRARIES).write_bytes(msgspec.json.encode(libraries))
    yield {}


def _elf(path: str, **more: Any) -> ElfFile:
    return ElfFile(**{"path": path, "machine": "EM_X86_64", "bits": 64, **more})


async def accounts(stage: Stage) -> AsyncIterator[Acts]:
    """Deploy a release whose account's number belongs to somebody in the jail."""
    alpha = await _with_redis(stage)
    await _created(stage)
    users = (User(name="redis", uid=6379, gid=6379),)
    manifest = Manifest(command=("/usr/local/bin/redis-server",), users=users, groups=(Group(name="redis", gid=6379),))
    await alpha.add_release("redis/7.4.1", manifest=manifest)
    etc = layout.generation_folder(alpha.core.inventory.jails["cache"].folder, 1) / "etc"
    written(etc, {"passwd": "ops:x:6379:6379::/home/ops:/bin/sh\n", "group": "ops:x:6379:\n"})
    yield {}


async def policy(stage: Stage) -> AsyncIterator[Acts]:
    """Ask for an address that the team may not have."""
    alpha = await _with_redis(stage)
    spec = (stage.folder / "cache.yaml").read_text().replace("10.98.0.20", "10.98.0.70")
    written(stage.folder, {"cache.yaml": spec})
    await _created(stage)
    written(stage.folder, {"cache.yaml": spec.replace("10.98.0.70", "10.98.0.1")})
    team = on_host(Policy(addresses=("10.98.0.64/26",)), address=None, bridge="jaild0", shared=None)
    await stage.hang_up(alpha.name)
    product = frozenset({Role.PRODUCT})
    await stage.listen(alpha.name, Caller(actor="cache-team", roles=product, apps=frozenset({"redis"}), policy=team))
    yield {}


async def template(stage: Stage) -> AsyncIterator[Acts]:
    """Leave values of a template out."""
    await stage.add("alpha")
    yield {}


async def typo(stage: Stage) -> AsyncIterator[Acts]:
    """Write a field wrong."""
    await stage.add("alpha")
    (stage.folder / "typo.yaml").write_text(
        "base: debian-12\napp: web/1\n\ncommand: [/bin/sh]\nlimits:\n  memroy: 1G\n"
    )
    yield {}


async def deploy(stage: Stage) -> AsyncIterator[Acts]:
    """Create, deploy, upgrade and take back, ask for what is there, deploy what does not work, look inside."""
    alpha = await _with_redis(stage)
    yield {"jailctl jail deploy cache redis/7.0.15-tuned": partial(_created, stage)}
    for line in ("jailctl jail upgrade cache debian-13", "jailctl jail rollback cache --axis base"):
        stage.clock.time += 14.0
        await stage.quietly(line)
    stage.clock.time += 3.0
    yield {}
    await stage.quietly("jailctl jail deploy cache redis/7.2")
    yield {}
    log = alpha.folder / "logs" / "cache.log"
    written(log.parent, {log.name: "1:M * Running mode=standalone, port=6380.\n1:M * Ready to accept connections\n"})

    async def breaks() -> None:
        alpha.probe.problem = "tcp 10.98.0.20:6379: [Errno 111] Connect call failed ('10.98.0.20', 6379)"

    yield {"jailctl jail deploy cache redis/7.2-broken": breaks}
    alpha.probe.problem = ""
    for generation in range(1, 9):
        alpha.runtime.say("cache", generation, stdout=b"PONG\n")
    yield {}


async def _with_redis(stage: Stage) -> FakeHost:
    alpha = await stage.add("alpha")
    for base in ("debian-12", "debian-13"):
        await alpha.add_base(base)
    serve = Manifest(command=("/usr/local/bin/redis-server",))
    for version in ("7.0.15", "7.0.15-tuned", "7.2", "7.2-broken", "7.4"):
        await alpha.add_release(f"redis/{version}", manifest=serve)
    (stage.folder / "cache.yaml").write_text(CACHE)
    return alpha


async def _created(stage: Stage) -> None:
    await stage.quietly("jailctl jail create cache -f cache.yaml")


async def log_times(stage: Stage) -> AsyncIterator[Acts]:
    """See when lines were written, and that of one only both ends are known."""
    alpha = await _with_redis(stage)
    await _created(stage)
    log, logs = alpha.folder / "logs" / "cache.log", alpha.core.rooms.jails.logs
    await logs.look_at_all()
    for seconds, line in ((1.0, "Ready to accept connections"), (858.0, "Background saving started")):
        stage.clock.time += seconds
        with log.open("a") as file:
            file.write(f"{line}\n")
        await logs.look_at_all()
    yield {}


async def restore(stage: Stage) -> AsyncIterator[Acts]:
    """See what snapshots there are, what a restore would do, and what is kept elsewhere."""
    alpha = await _edge(stage, EDGE)
    vault = stage.folder / "vault"
    vault.mkdir()
    alpha.targets = {"vault": TargetSettings(directory=Directory(path=vault))}
    await stage.hang_up("alpha")
    await alpha.restart()
    await stage.listen("alpha")
    stage.clock.time += 60.0
    await stage.quietly("jailctl jail snapshot edge-1 --name before-import")
    stage.clock.time += 3600.0
    await stage.quietly("jailctl backup send vault edge-1")
    yield {}


async def confirm(stage: Stage) -> AsyncIterator[Acts]:
    """Deploy something that comes back by itself."""
    await _edge(stage, EDGE)
    yield {}


async def staged(stage: Stage) -> AsyncIterator[Acts]:
    """Stage a deploy outside of the maintenance window, and cut over to it."""
    await _edge(stage, f"{EDGE}maintenance: ['Sun 03:59-04:00 Europe/Berlin']\n")
    stage.clock.time += 61.0
    yield {}


async def _edge(stage: Stage, spec: str, name: str = "edge-1") -> FakeHost:
    alpha = await stage.add("alpha")
    await alpha.add_base("tiny-1")
    for release in ("web/1", "web/2"):
        await alpha.add_release(release)
    (stage.folder / f"{name}.yaml").write_text(spec)
    await stage.quietly(f"jailctl jail create {name} -f {name}.yaml")
    return alpha


async def unhealthy(stage: Stage) -> AsyncIterator[Acts]:
    """Fail a check of its liveness."""
    spec = f"{EDGE}health:\n  - {{kind: tcp, port: 80}}\nliveness: {{interval: 5, failures: 3}}\n"
    spec += "network: {mode: vnet, addresses: [10.98.0.20/24]}\n"
    alpha = await _edge(stage, spec, "cache")
    alpha.probe.problem = "Connection refused"
    jails = alpha.core.use_cases.jails
    await stage.until(lambda: (health := jails.get("cache").health) is not None and health.failures >= 5)
    yield {}


async def crash_loop(stage: Stage) -> AsyncIterator[Acts]:
    """End by itself again and again."""
    alpha = await _edge(stage, f"{EDGE}restart: {{policy: on-failure, max: 2, within: 600}}\n", "cache")
    jails = alpha.core.use_cases.jails
    for _ in range(3):
        await stage.until(lambda: jails.get("cache").state is JailState.RUNNING and not jails.get("cache").operation)
        alpha.runtime.end("cache", 1, -9)
        await stage.until(lambda: jails.get("cache").state is not JailState.RUNNING)
    await stage.until(lambda: jails.get("cache").state is JailState.CRASH_LOOP)
    yield {}
