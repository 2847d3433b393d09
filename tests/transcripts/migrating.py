"""The stories of docs/migrating-to-jaild.md."""

from __future__ import annotations

from collections.abc import AsyncIterator

from tests.hosts import foreign
from tests.transcripts.stage import Acts, Stage

_IOCAGE = "tank/elsewhere"
_BASTILLE = """\
shop {
  enforce_statfs = 2;
  devfs_ruleset = 4;
  exec.clean;
  exec.consolelog = /var/log/bastille/shop_console.log;
  exec.start = '/usr/local/bin/shop';
  exec.stop = '/bin/sh /etc/rc.shutdown';
  host.hostname = shop;
  mount.devfs;
  mount.fstab = /usr/local/bastille/jails/shop/fstab;
  path = /usr/local/bastille/jails/shop/root;
  securelevel = 2;
  osrelease = "12";

  ip4.addr = bastille0|10.17.89.5/24;
  ip6 = disable;
}
"""


async def iocage(stage: Stage) -> AsyncIterator[Acts]:
    """A jail of iocage that runs; then it is adopted."""
    alpha = await stage.add("alpha")
    await stage.hang_up("alpha")
    keys = {
        "boot": 1,
        "vnet": 1,
        "ip4_addr": "vnet0|10.0.0.5/24",
        "defaultrouter": "10.0.0.1",
        "memoryuse": "deny=2G",
        "exec_start": "/usr/local/bin/shop",
        "exec_prestart": "/root/before.sh",
    }
    at = await foreign.folder_of(alpha, "tank") / "elsewhere"
    await foreign.iocage(alpha, running=True, at=_IOCAGE, folders={"/iocage": at}, **keys)
    await stage.listen("alpha")
    await stage.quietly(f"jailctl base import debian-12 {at}/releases/12/root --on-host")
    yield {}
    yield {}


async def bastille(stage: Stage) -> AsyncIterator[Acts]:
    """A thin jail of Bastille, and no base for it; one is made of its release."""
    alpha = await stage.add("alpha")
    await stage.hang_up("alpha")
    prefix = stage.folder / "bastille"
    foreign.write(prefix / "releases/12", foreign.userland() | {"usr/local/.keep": "", "home/.keep": ""})
    foreign.write(prefix / "jails/shop", {"jail.conf": _BASTILLE, "settings.conf": 'boot="off"\n'})
    foreign.write(
        prefix / "jails/shop",
        {"fstab": "/usr/local/bastille/releases/12 /usr/local/bastille/jails/shop/root/.bastille nullfs ro 0 0\n"},
    )
    root = prefix / "jails/shop/root"
    foreign.write(root, foreign.own() | {"etc/os-release": 'ID=debian\nVERSION_ID="12"\n'})
    (root / ".bastille").mkdir()
    (root / "bin").symlink_to("/.bastille/bin")
    await foreign.known(alpha, {"/usr/local/bastille": prefix})
    await stage.listen("alpha")
    yield {}
    await stage.quietly(f"jailctl base import debian-12 {prefix}/releases/12 --on-host")
    yield {}
