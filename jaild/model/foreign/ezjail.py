"""ezjail: a jail's file in its folder of configurations, and its /etc/fstab.NAME.

What it writes: ezjail-admin (`writejailinfo`). A jail has links to /basejail, where its fstab mounts the basejail.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from jaild.model.foreign import drafts, texts
from jaild.model.foreign.jail import ForeignJail, Left, Tool, places
from jaild.model.foreign.keys import Key, leftovers, lost, moot, to
from jaild.model.jails.spec import Boot, JailSpec, Limits, Mode, Network

ROOT = "/usr/local/etc/ezjail"  # of the configurations; each names the jail's tree
FILES = {
    "config": "{safe}",
    "norun": "{safe}.norun",
    "fstab": "/etc/fstab.{safe}",
    "devfs": "/etc/devfs.rules",
}
THIN = "/basejail"

_BOOT = "jaild starts and stops jails by `command`, `hooks` and `stop`"
_IMAGE = "a jail in an image is no folder: copy it out of the image first"

KEYS: Mapping[str, Key] = {
    "hostname": to("hostname", "www.example.org"),
    "ip": to("network.addresses", "em0|10.0.0.5"),
    "exec_start": to("command", "/usr/local/bin/app --serve"),
    "devfs_ruleset": to("devfs_ruleset", "devfsrules_jail_vnet"),
    "cpuset": to("limits.cpuset", "0-1"),
    "rootdir": moot("where its tree is"),
    "exec_stop": lost(_BOOT, "", "/bin/sh /etc/rc.shutdown"),
    "exec": lost(_BOOT, ""),
    "mount_enable": moot("its fstab is read"),
    "devfs_enable": moot("each jail of jaild has /dev"),
    "procfs_enable": lost("jails of jaild have no /proc on FreeBSD", "no", "", "yes"),
    "fdescfs_enable": moot("each jail of jaild on FreeBSD has /dev/fd where its /dev has it"),
    "image": lost(_IMAGE, ""),
    "imagetype": lost(_IMAGE, "", "zfs"),
    "attachparams": lost(_IMAGE, ""),
    "attachblocking": lost(_IMAGE, ""),
    "forceblocking": lost(_IMAGE, ""),
    "zfs_datasets": lost("a jail of jaild has no datasets of its own: name a volume", ""),
    "fib": lost("jaild has one routing table", "", "0"),
    "parentzfs": moot("ezjail's own book-keeping"),
    "parameters": lost("name what of them is in a spec by --spec", ""),
    "post_start_script": lost(_BOOT, ""),
    "retention_policy": moot("of `ezjail-admin snapshot`"),
}


def safe(name: str) -> str:
    """Return what ezjail makes of a name in its files and variables."""
    return re.sub(r"[^A-Za-z0-9]", "_", name)


def read(name: str, root: str, found: Mapping[str, str]) -> ForeignJail:
    """Describe the jail `name` of the ezjail whose configurations are at `root` by its files."""
    del root  # the jail's own file says where its tree is
    prefix = f"jail_{safe(name)}_"
    listed = texts.assignments(found.get("config") or found["norun"])
    values = {key.removeprefix(prefix): value for key, value in listed if key.startswith(prefix)}
    own = values.get("rootdir", f"/usr/jails/{name}").rstrip("/")
    left = leftovers(KEYS, values.items())
    mounts = texts.mounts(found.get("fstab", ""), own)
    thin = next((each for each in mounts if each.target == THIN), None)
    boots = "config" in found
    spec = JailSpec(
        hostname=values.get("hostname") or None,
        command=drafts.command(values.get("exec_start") or "/bin/sh /etc/rc"),
        network=_network(values.get("ip", ""), left),
        limits=Limits(cpuset=values.get("cpuset") or None),
        devfs_ruleset=drafts.ruleset(values.get("devfs_ruleset", ""), found.get("devfs", ""), left),
        boot=Boot(autostart=boots),
    )
    return ForeignJail(
        tool=Tool.EZJAIL,
        name=name,
        kernel_name=safe(name),
        spec=spec,
        places=places(
            own,
            userland=thin.source if thin is not None else "",
            links=f"{THIN}/" if thin is not None else "",
            hidden=(THIN.lstrip("/"),) if thin is not None else (),
        ),
        mounts=tuple(each for each in mounts if each is not thin),
        left=tuple(left),
        boots=boots,
    )


def _network(text: str, left: list[Left]) -> Network:
    listed = drafts.Addresses()
    listed.take("ip", text)
    network = listed.shared("ip") if listed.addresses else Network(mode=Mode.NONE)
    left += listed.left
    return network
