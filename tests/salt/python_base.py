"""A tiny base with this machine's Python in it, for states within jails."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests import clibrary
from tests.e2e import trees

# The system's own: what a venv is made of may be anywhere.
_PROGRAM = Path("/usr/bin/python3")
_ASK = "import sysconfig; print(sysconfig.get_path('stdlib'))"
# Of no use there: other programs' modules, tests, what is compiled.
_LEFT_OUT = frozenset({"test", "__pycache__", "dist-packages", "site-packages", "idlelib", "tkinter", "lib2to3"})


def python_base(path: Path) -> Path:
    """Make the base: Python is /usr/bin/python3 there, with its own modules and the libraries that they need.

    Salt asks ldconfig(8) for libcrypto before it does anything (`salt/utils/rsax931.py`).
    """
    told = subprocess.run([_PROGRAM, "-c", _ASK], check=True, text=True, capture_output=True).stdout
    library = Path(told.strip())
    modules = [
        file for file in library.rglob("*") if file.is_file() and not _LEFT_OUT & set(file.relative_to(library).parts)
    ]
    shared = [str(module) for module in modules if module.suffix == ".so"]
    linked = subprocess.run(["ldd", *shared], check=True, text=True, capture_output=True).stdout
    needed = [Path(word) for line in linked.splitlines() for word in line.split()[-2:-1] if word.startswith("/")]
    files = {str(file)[1:]: file for file in (*modules, *needed)}
    files |= clibrary.programs(str(_PROGRAM)) | clibrary.system()
    return trees.with_files(path, "python", files, etc={"ld.so.conf": clibrary.LD_SO_CONF})
