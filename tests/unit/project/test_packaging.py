"""What is installed is what is in the checkout; Debian's package agrees with the project, and with itself."""

from __future__ import annotations

import configparser
import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from jaild import config
from jaild.main import CONFIGS

pytestmark = pytest.mark.rule

ROOT = Path(__file__).parents[3]
DEBIAN = ROOT / "templates" / "debian"
# A namespace of its own for mounts, what jails would inherit, lists of devices: decision 417.
NOT_FOR_US = re.compile(
    r"(Protect|Private|Restrict|ReadOnly|ReadWrite|Inaccessible|NoExec|NoNew|SystemCall|MemoryDeny|Lock|Device|Dynamic"
    r"|Temporary|Bind|Root|Mount|UMask)"
)


def test_the_wheel_has_every_file_of_the_package() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    patterns = told["*"]  # below each folder with an __init__.py
    assert set(told) == {"*"}
    missing = []
    for path in (ROOT / "jaild").rglob("*"):
        if path.is_file() and path.suffix not in {".py", ".pyc"}:
            package = next(folder for folder in path.parents if (folder / "__init__.py").exists())
            if not any(fnmatch(str(path.relative_to(package)), pattern) for pattern in patterns):
                missing.append(str(path.relative_to(ROOT)))
    assert missing == []


def service(name: str) -> dict[str, str]:
    unit = configparser.RawConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # names with their capitals
    unit.read_string((DEBIAN / name).read_text())
    return dict(unit["Service"])


def test_debians_configuration_is_read_and_the_unit_makes_the_places_that_it_names() -> None:
    loaded, unit = config.load(DEBIAN / "jaild.yaml", {}), service("jaild.service")
    assert str(loaded.state) == f"/var/lib/{unit['StateDirectory']}"
    assert str(loaded.logs) == f"/var/log/{unit['LogsDirectory']}"
    assert str(loaded.run) == str(loaded.socket.parent) == f"/run/{unit['RuntimeDirectory']}"
    assert f"--config {CONFIGS[1]} " in unit["ExecStart"]
    assert f"unix://{loaded.socket} " in unit["ExecReload"]
    assert f"JAILCTL_ADDRESS=unix://{loaded.socket}" in service("jaild.jaild-jails.service")["Environment"]


def test_the_unit_lets_jails_outlive_the_daemon_and_has_nothing_that_they_would_inherit() -> None:
    unit = service("jaild.service")
    assert (unit["KillMode"], unit["RuntimeDirectoryPreserve"]) == ("process", "yes")
    assert float(unit["TimeoutStopSec"]) > 30  # what a cut-over gets to end
    assert [name for name in unit if NOT_FOR_US.match(name)] == []


def test_debians_package_has_every_extra_of_those_who_run_it() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    told = re.search(r"^EXTRAS = (.*)$", (DEBIAN / "rules").read_text(), re.MULTILINE)
    assert told is not None
    assert set(told[1].split(",")) == {name for name, of in extras.items() if of} - {"test", "dev", "proto"}
