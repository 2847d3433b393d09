"""Rules of this house that no linter knows."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.project.sources import parsed

pytestmark = pytest.mark.rule

ROOT = Path(__file__).parents[3]
LONGEST = 500  # lines, a guide: what is one thought stays in one file
MOST = 6  # arguments of a constructor in a room
VAGUE = frozenset({"utils", "util", "common", "helpers", "helper", "misc"})

PROCESS = "jaild/adapters/system/process.py"
# What may stand elsewhere, and why.
ALLOWED = {
    ("jaild/adapters/zfs/private_namespace.py", "os.execvp"): (
        "it was started by process.py in a new mount namespace, and becomes the program that is to run in it"
    ),
    ("jaild/adapters/system/take_terminal.py", "os.execvp"): (
        "it was started by process.py on a new terminal, and becomes the program that is to run on it"
    ),
}
STARTERS = frozenset(
    {"create_subprocess_exec", "create_subprocess_shell", "subprocess_exec", "subprocess_shell"}
)  # of asyncio and its loops
BEGINNERS = frozenset({"create_task", "ensure_future"})
MODULES = frozenset({"subprocess", "asyncio.subprocess", "multiprocessing", "pty", "pexpect", "sh"})
OS_PREFIXES = ("exec", "spawn", "posix_spawn", "popen", "system", "fork", "startfile")

# Where something is done with jails: the capabilities, their frame, and what puts them together.
ACTING = (
    *("jaild/engine/", "jaild/layers/", "jaild/jails/", "jaild/transfer/", "jaild/migration/", "jaild/replication/"),
    *(
        "jaild/backups/",
        "jaild/copies/",
        "jaild/jailfiles/",
        "jaild/jailkeys/",
        "jaild/rollouts/",
        "jaild/adoption/",
        "jaild/evacuation/",
        "jaild/questions/",
        "jaild/salvage/",
        "jaild/sinks/",
        "jaild/host/",
        "jaild/rpc/",
        "jaild/server.py",
        "jaild/daemon.py",
    ),
)
AUTHORITY = "jaild/model/jails/authority.py"
# What decides whether something may be done with a jail is asked by `Inventory.may`, `permitted` and `owned` alone.
DECIDING = {
    "unconfirmed": {
        "jaild/engine/inventory.py": "keeps it, and asks with it",
        "jaild/replication/start_guard.py": "finds out by asking standbys",
        "jaild/transfer/sole_owner.py": "puts in doubt what another host has said to have",
        "jaild/replication/fencing.py": "nothing is in doubt any more when a jail is given up",
    },
    "known_epochs": {
        "jaild/engine/inventory.py": "asks with it",
        "jaild/transfer/build.py": "the journals know it",
        "jaild/jails/recovery.py": "tells it",
    },
    "host_id": {
        "jaild/transfer/hosts.py": "counts what jails here were promised; nothing is done with them",
        "jaild/host/service.py": "counts jails; nothing is done with them",
    },
}


# Where a task may be begun beside the supervisor: each is awaited, or ended, by whoever begins it.
AWAITED = "children of a call that waits for them"
TASKS = {
    "jaild/engine/supervisor.py": "the supervisor",
    "jaild/engine/dispatcher.py": "the queues: one task for each target, which ends an operation whatever it raises",
    "jaild/engine/saga.py": "the way back, waited for however often its operation is cancelled",
    "jaild/rpc/interceptor.py": "calls that go on when their caller hangs up, waited for when the daemon stops",
    "jaild/rpc/streams.py": AWAITED,
    "jaild/migration/activation.py": AWAITED,
    "jaild/host/autostart.py": AWAITED,
    "jaild/jails/health.py": AWAITED,
    "jaild/jails/hooks.py": AWAITED,
    "jaild/migration/cutover.py": AWAITED,
    "jaild/evacuation/worker.py": AWAITED,
    "jaild/rollouts/worker.py": AWAITED,
    "jaild/layers/sealing.py": AWAITED,
    "jaild/engine/concurrency.py": AWAITED,
    "jaild/adapters/archives/skopeo.py": AWAITED,
    "jaild/adapters/archives/bsdtar.py": AWAITED,
    "jaild/adapters/peers.py": AWAITED,
    "jaild/adapters/system/process.py": AWAITED,
    "jaild/adapters/freebsd/first_process.py": AWAITED,
    "jaild/adapters/oci/exec.py": AWAITED,
    "jaild/adapters/runtime/streaming.py": AWAITED,
    "jaild/adapters/zfs/ended.py": AWAITED,
    "jaild/adapters/zfs/streaming.py": AWAITED,
    "jaild/adapters/system/filters.py": AWAITED,
}


def is_generated(path: Path) -> bool:
    return path.name.endswith(("_pb2.py", "_pb2_grpc.py"))


MODULES_OF_JAILD = sorted(path for path in (ROOT / "jaild").rglob("*.py") if not is_generated(path))
EVERY_MODULE = sorted(MODULES_OF_JAILD + list((ROOT / "tests").rglob("*.py")))


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def starts_of_processes(tree: ast.AST) -> Iterator[str]:
    """Yield what in a module starts a process, or could."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            yield from starts_imported(node.module or "", [name.name for name in node.names])
        elif isinstance(node, ast.Attribute):
            whole = f"{node.value.id}.{node.attr}" if isinstance(node.value, ast.Name) else node.attr
            if node.attr in STARTERS or whole in MODULES or (whole == f"os.{node.attr}" and is_os_start(node.attr)):
                yield ast.unparse(node)
        elif isinstance(node, ast.keyword) and node.arg == "shell" and ast.unparse(node.value) != "False":
            yield "shell="


def starts_imported(module: str, names: list[str]) -> Iterator[str]:
    if module in MODULES:
        yield module
    for name in names:
        whole = f"{module}.{name}"
        if whole in MODULES or name in STARTERS or (module == "os" and is_os_start(name)):
            yield whole


def is_os_start(name: str) -> bool:
    return name.startswith(OS_PREFIXES)


@pytest.mark.parametrize(
    "text",
    [
        "import subprocess",
        "import asyncio.subprocess",
        "from asyncio import subprocess",
        "from asyncio.subprocess import PIPE",
        "from subprocess import run",
        "import asyncio\nasyncio.create_subprocess_exec('ls')",
        "import asyncio\nasyncio.subprocess.PIPE",
        "loop.subprocess_shell(None, 'ls')",
        "import os\nos.system('ls')",
        "import os\nos.execvp('ls', [])",
        "import os\nos.posix_spawn('ls', [], {})",
        "from os import popen",
        "run('ls', shell=True)",
        "run('ls', shell=flag)",
        "import multiprocessing",
    ],
)
def test_the_rule_about_processes_sees(text: str) -> None:
    assert list(starts_of_processes(ast.parse(text)))


def test_only_the_process_adapter_starts_processes() -> None:
    found = {
        (shown(path), what)
        for path in MODULES_OF_JAILD
        if shown(path) != PROCESS
        for what in starts_of_processes(parsed(path))
    }
    assert found - ALLOWED.keys() == set()
    assert ALLOWED.keys() - found == set(), "an exception that nobody needs any more: take it out of the list"


def begins_a_task(tree: ast.AST) -> bool:
    begun = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in BEGINNERS)
    return any("group" not in whole and "tasks." not in whole for whole in map(ast.unparse, begun))


def test_background_tasks_are_begun_by_the_supervisor_only() -> None:
    found = {shown(path) for path in MODULES_OF_JAILD if begins_a_task(parsed(path))}
    assert found - TASKS.keys() == set(), "begin it with engine.supervisor: whatever it raises is told and tried again"
    assert TASKS.keys() - found == set(), "an exception that nobody needs any more: take it out of the list"


def test_no_module_is_longer_than_one_can_read_at_once() -> None:
    lengths = {shown(path): len(path.read_text().splitlines()) for path in EVERY_MODULE}
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_every_modules_name_says_what_it_is_for() -> None:
    vague = [
        shown(path) for path in EVERY_MODULE if VAGUE & {part.strip("_") for part in (path.stem, path.parent.name)}
    ]
    assert vague == []


def test_the_rules_look_at_something() -> None:
    assert len(MODULES_OF_JAILD) > 100
    assert PROCESS in map(shown, MODULES_OF_JAILD)
    assert list(starts_of_processes(parsed(ROOT / PROCESS)))


def decisions(tree: ast.AST) -> Iterator[str]:
    """Yield what in a module decides by itself, or asks past `jaild.model.jails.authority`, what may be done with a
    jail.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in {"unconfirmed", "known_epochs"}:
            yield node.attr
        elif isinstance(node, ast.Compare):
            sides = [ast.unparse(side) for side in (node.left, *node.comparators)]
            if any(side.endswith(".owner") for side in sides) and any(side.endswith("host_id") for side in sides):
                yield "host_id"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("if entry.unconfirmed: pass", "unconfirmed"),
        ("self._inventory.known_epochs[record.uid]", "known_epochs"),
        ("mine = record.owner == self._inventory.host_id", "host_id"),
        ("if host_id != entry.record.owner: pass", "host_id"),
    ],
)
def test_the_rule_about_who_decides_over_jails_sees(text: str, what: str) -> None:
    assert list(decisions(ast.parse(text))) == [what]


def test_what_may_be_done_with_a_jail_is_decided_in_one_place() -> None:
    found = {
        (what, shown(path))
        for path in MODULES_OF_JAILD
        if shown(path) != AUTHORITY and shown(path).startswith(ACTING)
        for what in decisions(parsed(path))
    }
    allowed = {(what, where) for what, places in DECIDING.items() for where in places}
    assert found - allowed == set(), "ask Inventory.may, permitted or owned, with the Intent"
    assert allowed - found == set(), "an exception that nobody needs any more: take it out of the list"


def constructors(tree: ast.AST) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield the classes of a module with their constructors."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for each in node.body:
                if isinstance(each, ast.FunctionDef) and each.name == "__init__":
                    yield node.name, each


def test_a_class_stands_on_few_others_and_keeps_of_the_engine_what_it_needs() -> None:
    rooms = [path for path in MODULES_OF_JAILD if shown(path).startswith(ACTING)]
    found = [(shown(path), *each) for path in rooms for each in constructors(parsed(path))]
    many = [(where, name) for where, name, init in found if len(init.args.args) - 1 > MOST]
    whole = [(where, name) for where, name, init in found if "self._engine = engine\n" in ast.unparse(init) + "\n"]
    assert (many, whole) == ([], []), "see docs/decisions/0291-composition.md"
