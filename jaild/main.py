"""The daemon's command line."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

from jaild import ownlog, stdio
from jaild.adapters.zfs.private_namespace import enter
from jaild.model import quantity
from jaild.model.errors import JaildError

# FreeBSD's place, which a hand-made installation has too, and that of Debian's package: the first that is there counts.
CONFIGS = (Path("/usr/local/etc/jaild/jaild.yaml"), Path("/etc/jaild/jaild.yaml"))


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the daemon."""
    began = time.monotonic()
    stdio.settle()  # the log, too, must not end what it tells of
    arguments = _arguments(argv)
    given = {name: told for name in ("format", "level") if (told := getattr(arguments, f"log_{name}")) is not None}
    ownlog.write(ownlog.Log(**given))
    try:
        folder = arguments.embedded and arguments.embedded.resolve()
        if folder is not None:
            if arguments.destroy and not folder.is_dir():
                sys.stdout.write(f"{folder} is not there: nothing to remove\n")
                return
            if arguments.command is None and not arguments.destroy:
                folder.mkdir(parents=True, exist_ok=True)
            # As it was started: `-m jaild` would take a package of that name in the folder that one happens to be in.
            enter(folder, [sys.executable, *sys.orig_argv[1:]])
        sys.exit(_carry_out(arguments, folder, began, given))
    except (JaildError, OSError) as error:  # a folder that cannot be made, an address in use, a report on a full disk
        sys.exit(f"jaild: {error}")


def _carry_out(arguments: argparse.Namespace, folder: Path | None, began: float, log: dict[str, Any]) -> int:
    from jaild import assembly  # noqa: PLC0415 -- all of jaild: not before `enter`, which would throw it away again

    path = arguments.config or next((each for each in CONFIGS if each.exists()), CONFIGS[0])
    if folder is None:
        if arguments.command == "doctor":
            return assembly.examine(path, as_json=arguments.json)
        asyncio.run(assembly.configured(path, began, log))
    elif arguments.command == "doctor":
        return assembly.examine_embedded(folder, arguments.config, as_json=arguments.json)
    elif arguments.destroy:
        staying = asyncio.run(assembly.destroy(folder, arguments.config))
        sys.stdout.write("\n".join(["removed: jails, pool, state and logs", *staying, ""]))
    else:
        size = quantity.parse(arguments.pool_size)
        asyncio.run(assembly.embedded(folder, arguments.config, size, began, log))
    return 0


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line; the manual is made of it, too."""
    found = argparse.ArgumentParser(prog="jaild", description="Jails from versioned ZFS datasets.")
    found.add_argument(
        "command", nargs="?", choices=("doctor",), help="check this host and say how to fix it; status 1: something is"
    )
    found.add_argument("--config", type=Path, help=f"default: {', '.join(map(str, CONFIGS))}: the first that is there")
    found.add_argument(
        "--embedded", type=Path, metavar="DIR", help="keep everything in DIR: a pool on a file, state, socket, logs"
    )
    found.add_argument(
        "--pool-size",
        default="16G",
        metavar="SIZE",
        help="with --embedded: of a new pool's file, which is sparse; 64M at least (default: %(default)s)",
    )
    found.add_argument(
        "--destroy", action="store_true", help="with --embedded: remove jails, pool and all else of jaild in DIR"
    )
    found.add_argument("--log-level", choices=get_args(ownlog.Level), help="default: log.level of jaild.yaml")
    found.add_argument("--log-format", choices=get_args(ownlog.Format), help="default: log.format of jaild.yaml")
    found.add_argument("--json", action="store_true", help="with doctor: the report for programs")
    found.add_argument("--version", action="version", version=f"jaild {version('jaild')}")
    return found


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    reader = parser()
    arguments = reader.parse_args(argv)
    for given in sys.argv[1:] if argv is None else argv:
        if given != given.encode(errors="replace").decode():
            reader.error(f"{os.fsencode(given)!r} is no UTF-8: paths go into the names of pools, and into records")
    if arguments.embedded is None and arguments.destroy:
        reader.error("--destroy goes with --embedded DIR")
    if arguments.json and arguments.command is None:
        reader.error("--json goes with doctor")
    return arguments
