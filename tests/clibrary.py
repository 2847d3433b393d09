"""This machine's compiler, C library and ldconfig(8), for trees whose programs are really linked and started."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from jaild.adapters.files import elf
from tests.conftest import SYSTEM_PATH

_LIBC = "libc.so.6"


def compiled(target: Path, source: str, *arguments: str) -> Path:
    """Make a program, or with -shared a library, of C."""
    target.parent.mkdir(parents=True, exist_ok=True)
    command = ["gcc", "-x", "c", "-", "-x", "none", "-o", str(target), "-Wl,--no-as-needed", *arguments]
    environment = {"PATH": SYSTEM_PATH, "LC_ALL": "C.UTF-8"}
    subprocess.run(command, check=True, text=True, input=source, env=environment, capture_output=True)
    return target


def library(target: Path, name: str, *arguments: str, gives: str = "f", needs: str = "") -> Path:
    """Make a library with the soname `name` that defines a function, and calls another (`needs`)."""
    body = (
        f"int {needs}(void);\nint {gives}(void) {{ return {needs}(); }}"
        if needs
        else f"int {gives}(void) {{ return 0; }}"
    )
    return compiled(target, body, "-shared", "-fPIC", f"-Wl,-soname,{name}", *arguments)


def program(target: Path, *arguments: str, calls: str = "f") -> Path:
    """Make a program that ends well if it can call a function of what it is linked with."""
    return compiled(target, f"int {calls}(void);\nint main(void) {{ return {calls}(); }}", *arguments)


def system() -> dict[str, Path]:
    """Return what a base needs for dynamic programs and for ldconfig: paths in it, and the files of this machine.

    Everything in the linker's own folder, as on Debian: what is there is found without a cache.
    """
    with tempfile.TemporaryDirectory() as folder:
        compiled(Path(folder) / "true", "int main(void) { return 0; }")
        (true,) = elf.index(Path(folder), prefix="/x").files
    linker = Path(true.interpreter)
    libc = next(place / _LIBC for place in (linker.resolve().parent, Path("/lib64")) if (place / _LIBC).exists())
    ldconfig = shutil.which("ldconfig", path=SYSTEM_PATH)
    assert ldconfig is not None
    found = {linker: linker, libc.parent / linker.name: linker, libc: libc, Path("/sbin/ldconfig"): Path(ldconfig)}
    return {str(path)[1:]: source for path, source in found.items()}


def programs(*names: str) -> dict[str, Path]:
    """Return what a base needs for programs of this machine, as ldd(1) says: paths in it, and the files."""
    found: dict[str, Path] = {}
    for name in names:
        path = shutil.which(name, path=SYSTEM_PATH)
        assert path is not None
        told = subprocess.run(["ldd", path], check=True, text=True, capture_output=True).stdout
        libraries = [word for line in told.splitlines() for word in line.split() if word.startswith("/")]
        found |= {place[1:]: Path(place) for place in (path, *libraries)}
    return found


LD_SO_CONF = "/usr/local/lib\n"
