"""Record what each OpenZFS of the lab really says, for tests/unit/data/zfs: `python -m tests.lab.record`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.lab.image import SUITES, image
from tests.lab.machine import VDEV, Machine, running

_INTO = Path("tests/unit/data/zfs")
_HEAD = "Commands run on Debian's {kernel} with OpenZFS {zfs}, with what they printed and how they ended.\n"
# One after the other on one pool; a shell only where there is a pipe.
_COMMANDS = """
zfs version
zfs -?
zfs get
zpool create -O atime=off -o cachefile=none tank VDEV
zfs create tank/a
zfs create tank/a
zfs create tank/none/child
zfs create tank/b@d
zfs create tank/b$d
zfs get -Hp guid tank/missing
zfs snapshot tank/a@s1
zfs snapshot tank/a@s1
zfs snapshot tank/missing@s1
zfs clone tank/a@s1 tank/clone
zfs destroy tank/a@s1
zfs destroy tank/a
zfs destroy -r tank/a
zfs destroy -r tank/clone
zfs hold jaild:one tank/a@s1
zfs hold jaild:one tank/a@s1
zfs holds -H tank/a@s1
zfs destroy tank/a@s1
zfs destroy -r tank/a
zfs release jaild:two tank/a@s1
zfs release jaild:one tank/a@s1
zfs bookmark tank/a@s1 tank/a#b
zfs bookmark tank/a@s1 tank/a#b
sh -c head -c 20000000 /dev/urandom >/tank/a/f
zfs snapshot tank/a@s2
zfs bookmark tank/a@s2 tank/a#b
zfs rollback tank/a@s1
zfs rename tank/a tank/a/c
zfs rename tank/a tank/none/c
zfs set nonsense=1 tank/a
zfs set readonly=maybe tank/a
zfs set a:b=1 nonsense=1 tank/a
zfs set mountpoint=none tank
zfs mount tank
zfs set mountpoint=/tank tank
zfs mount tank/a
zfs unmount tank/missing
sh -c cd /tank/a && zfs unmount tank/a
zfs send -nP -L -e -c tank/a@s2
zfs send -nP -L -e -c -i tank/a@s1 tank/a@s2
zfs send -i @s2 tank/a@s1
zfs send -i @nope tank/a@s2
zfs send tank/a@nope
sh -c zfs send tank/a@s1 | zfs receive -u tank/a
sh -c zfs send -i @s1 tank/a@s2 | zfs receive -u tank/none
sh -c zfs send tank/a@s1 | zfs receive -u tank/r && zfs mount tank/r; touch /tank/r/x; zfs send -i @s1 tank/a@s2 | zfs receive -u tank/r
sh -c zfs send tank/a@s2 | head -c 9000000 | zfs receive -s -u tank/cut
zfs get -Hp -o value receive_resume_token tank/cut
sh -c zfs send tank/a@s2 | zfs receive -s -u tank/cut
sh -c zfs send -t $(zfs get -Hp -o value receive_resume_token tank/cut) | head -c 3000000 | zfs receive -s -u tank/cut
zfs receive -A tank/cut
zfs receive -A tank/cut
sh -c zfs send -t 1-0-0-0 | cat
sh -c echo garbage | zfs receive -u tank/g
sh -c (zfs send tank/a@s1; head -c 1000000 /dev/zero) | head -c 40000 | zfs receive -u tank/g
sh -c (zfs send tank/a@s2 | head -c 9000000; head -c 30000000 /dev/zero) | zfs receive -u tank/g
zfs create -o quota=4m tank/q
sh -c zfs send tank/a@s2 | zfs receive -u tank/q/full
sh -c head -c 9000000 /dev/urandom >/tank/q/f
zfs snapshot tank/q@s
sh -c cd /tank/q && zfs destroy -r tank/q
zfs list -H -t all -o name -r tank/q
setpriv --reuid 65534 --clear-groups zfs create tank/p
zpool get all tank
zpool export tank
zpool import -o readonly=on -o cachefile=none -d /dev tank
zfs create tank/p
zfs set a:b=1 tank/a
zfs snapshot tank/a@s3
zpool export tank
"""  # noqa: E501 -- commands are as long as they are


def main() -> None:
    """Record every suite."""
    for suite in SUITES:
        built = image(suite.name)
        versions = built.versions()
        with tempfile.TemporaryDirectory() as folder, running(Machine(built, Path(folder), "record")) as machine:
            texts = [_record(machine, line.replace("VDEV", VDEV)) for line in _COMMANDS.split("\n") if line]
        zfs = versions["zfs-dkms"].partition("-")[0]
        head = _HEAD.format(kernel=versions["kernel"], zfs=versions["zfs-dkms"])
        (_INTO / f"linux-openzfs-{zfs}.txt").write_text("\n".join([head, *texts]))


def _record(machine: Machine, line: str) -> str:
    argv = ["sh", "-c", line.removeprefix("sh -c ")] if line.startswith("sh -c ") else line.split()
    done = machine.run(*argv)
    lines = [f"@@@ {line}", f"$ {line}", f"# status {done.status}"]
    lines += [f"out| {each}" for each in done.text.splitlines()]
    lines += [f"err| {each}" for each in _without_usage(argv, done.error_text.splitlines())]
    return "\n".join(lines) + "\n"


def _without_usage(argv: list[str], lines: list[str]) -> list[str]:
    """Cut usage texts after an error, but not where they are what was asked for."""
    if "usage:" not in lines or argv in (["zfs", "-?"], ["zfs", "get"]):
        return lines
    return lines[: lines.index("usage:") + 1]


if __name__ == "__main__":
    main()
