"""iocage: `config.json` and `fstab` of a jail, below the folder that its pool has for it.

Keys and defaults: iocage_lib/ioc_json.py (`retrieve_default_props`), ioc_create.py; a jail's file has only those keys
that were set, `defaults.json` has the others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jaild.model.errors import InvalidArgumentError
from jaild.model.foreign import drafts, texts
from jaild.model.foreign.jail import ForeignJail, Left, Tool, places
from jaild.model.foreign.keys import Key, leftovers, lost, moot, to, truth
from jaild.model.jails.spec import Boot, JailSpec, Mode, Network, Stop

ROOT = "/iocage"  # the mount point of POOL/iocage where the pool has none of its own
FILES = {
    "config": "jails/{name}/config.json",
    "fstab": "jails/{name}/fstab",
    "defaults": "defaults.json",
    "devfs": "/etc/devfs.rules",
}

_BOOT = "jaild starts and stops jails by `command`, `hooks` and `stop`"
_MOUNTS = "jails of jaild mount nothing themselves"
_LIMIT = "a spec has limits of memory, CPUs, processes and open files"
_OWN = "iocage's own book-keeping"
_FIXED = "the same in all jails of jaild"
_DATASET = "jaild sets its datasets' properties itself"
_NAT = "name the ports in `network.ports`"
_OTHER_LIMITS = (
    *("memorylocked", "vmemoryuse", "cputime", "datasize", "stacksize", "coredumpsize", "pseudoterminals", "swapuse"),
    *("nthr", "msgqqueued", "msgqsize", "nmsgq", "nsem", "nsemop", "nshm", "shmsize", "wallclock"),
    *("readbps", "writebps", "readiops", "writeiops"),
)

KEYS: Mapping[str, Key] = {
    "host_hostname": to("hostname", "www.example.org"),
    "ip4_addr": to("network.addresses", "em0|10.0.0.9/24"),
    "ip6_addr": to("network.addresses", "em0|2001:db8::5/64"),
    "ip4": to("network.mode", "inherit"),
    "ip6": to("network.mode", "inherit"),
    "vnet": to("network.mode", "1"),
    "defaultrouter": to("network.gateway", "10.0.0.9"),
    "defaultrouter6": to("network.gateway", "2001:db8::1"),
    "interfaces": to("network.bridge", "vnet0:bridge7"),
    "exec_start": to("command", "/usr/local/bin/app --serve"),
    "exec_jail_user": to("user", "www"),
    "stop_timeout": to("stop.timeout", "90"),
    "allow_raw_sockets": to("allow", "1"),
    "allow_mlock": to("allow", "1"),
    "allow_socket_af": to("allow", "1"),
    "allow_sysvipc": to("allow", "1"),
    "sysvmsg": to("allow", "new"),
    "sysvsem": to("allow", "new"),
    "sysvshm": to("allow", "new"),
    "devfs_ruleset": to("devfs_ruleset", "5"),
    "boot": to("boot.autostart", "1"),
    "priority": to("boot.order", "7"),
    "memoryuse": to("limits.memory", "deny=512M"),
    "pcpu": to("limits.cpus", "deny=150"),
    "maxproc": to("limits.processes", "deny=80"),
    "openfiles": to("limits.open_files", "deny=2000"),
    "cpuset": to("limits.cpuset", "0-1"),
    "quota": to("quota", "15G"),
    "notes": to("labels", "the shop"),
    "release": to("base", "13.2-RELEASE"),
    "cloned_release": moot("the release that the userland is compared with"),
    "basejail": moot("its userland is found by its fstab"),
    "type": lost("templates and plugins are no jails of their own", "jail", "clonejail", "pluginv2", "basejail"),
    "template": lost("a template is cloned, not run: adopt a jail made of it", "0", "off", "no"),
    "exec_prestart": lost(_BOOT, "/usr/bin/true"),
    "exec_poststart": lost(_BOOT, "/usr/bin/true"),
    "exec_prestop": lost(_BOOT, "/usr/bin/true"),
    "exec_poststop": lost(_BOOT, "/usr/bin/true"),
    "exec_created": lost(_BOOT, "/usr/bin/true"),
    "exec_stop": lost(_BOOT, "/bin/sh /etc/rc.shutdown"),
    "exec_timeout": lost(_BOOT, "60"),
    "exec_clean": lost(_FIXED, "1", "on", "yes"),
    "exec_fib": lost("jaild has one routing table", "0"),
    "exec_system_jail_user": lost(_FIXED, "0", "1"),
    "exec_system_user": lost(_FIXED, "root"),
    "login_flags": moot("of `iocage console`"),
    "host_domainname": lost("there is no NIS in a jail of jaild", "none", ""),
    "host_hostuuid": moot("a jail of jaild has an identity of its own"),
    "host_time": moot(_FIXED),
    "hostid": moot(_OWN),
    "hostid_strict_check": moot(_OWN),
    "ip4_saddrsel": lost("source addresses are chosen by the system", "1"),
    "ip6_saddrsel": lost("source addresses are chosen by the system", "1"),
    "ip_hostname": lost("addresses are named in the spec", "0", "off", "no"),
    "dhcp": lost("a spec names addresses: give the jail one by --spec", "0", "off", "no"),
    "rtsold": lost("a spec names addresses: give the jail one by --spec", "0", "off", "no"),
    "bpf": lost("bpf sees the bridge's packets, and is for DHCP", "0", "off", "no"),
    "assign_localhost": lost("a vnet jail has a loopback interface; others have the host's", "0", "off", "no"),
    "localhost_ip": lost("a vnet jail has a loopback interface; others have the host's", "none"),
    "nat": lost(_NAT, "0", "off", "no"),
    "nat_prefix": lost(_NAT, "172.16"),
    "nat_interface": lost(_NAT, "none"),
    "nat_backend": lost(_NAT, "ipfw"),
    "nat_forwards": lost(_NAT, "none"),
    "resolver": lost("it keeps its own /etc/resolv.conf", "/etc/resolv.conf", "none"),
    "mac_prefix": moot("addresses of jaild's interfaces are made of the jail's id"),
    "vnet_default_interface": lost("name the bridge in `network.bridge`", "auto", "none"),
    "vnet_default_mtu": lost("set it inside the jail", "1500"),
    "vnet_interfaces": lost("a jail of jaild has one interface", "none"),
    **{f"vnet{n}_mac": lost("addresses of jaild's interfaces are made of the jail's id", "none") for n in range(4)},
    **{f"vnet{n}_mtu": lost("set it inside the jail", "auto") for n in range(4)},
    "mount_devfs": lost("each jail of jaild has /dev", "1", "on", "yes"),
    "mount_fdescfs": moot("each jail of jaild on FreeBSD has /dev/fd where its /dev has it"),
    "mount_procfs": lost(_MOUNTS, "0", "off", "no"),
    "mount_linprocfs": lost(_MOUNTS, "0", "off", "no"),
    "enforce_statfs": lost(_FIXED, "2"),
    "children_max": lost("there are no jails in jails of jaild", "0"),
    "securelevel": lost(_FIXED, "2", "-1"),
    "allow_set_hostname": lost("the spec says it: `hostname`", "0", "1", "on", "off"),
    "allow_chflags": lost("immutable files would outlive the jail's data", "0", "off", "no"),
    "allow_quotas": lost("ZFS's quotas are the spec's: `quota`", "0", "off", "no"),
    "allow_tun": lost("a jail of jaild makes no interfaces", "0", "off", "no"),
    "allow_vmm": lost("virtual machines are the host's", "0", "off", "no"),
    **{
        f"allow_mount{kind}": lost(_MOUNTS, "0", "off", "no")
        for kind in ("", "_devfs", "_fdescfs", "_fusefs", "_nullfs", "_procfs", "_linprocfs", "_tmpfs", "_zfs")
    },
    "rlimits": lost(_LIMIT, "off"),
    **{name: lost(_LIMIT, "off") for name in _OTHER_LIMITS},
    "jail_zfs": lost("a jail of jaild has no datasets of its own: name a volume", "0", "off", "no"),
    "jail_zfs_dataset": moot("of `jail_zfs`"),
    "jail_zfs_mountpoint": moot("of `jail_zfs`"),
    "depends": lost("name its jails in `boot.after` when they are adopted, too", "none"),
    "comment": moot(_OWN),
    "owner": lost("who may do what is in jaild.yaml: `roles`", "root"),
    "plugin_name": lost("a plugin's updates are iocage's", "none"),
    "plugin_repository": lost("a plugin's updates are iocage's", "none"),
    "source_template": moot(_OWN),
    "last_started": moot(_OWN),
    "count": moot(_OWN),
    "sync_state": moot(_OWN),
    "sync_target": moot(_OWN),
    "sync_tgt_zpool": moot(_OWN),
    "min_dyn_devfs_ruleset": moot(_OWN),
    "CONFIG_VERSION": moot(_OWN),
    "CONFIG_TYPE": moot(_OWN),
    "compression": moot(_DATASET),
    "compressratio": moot(_DATASET),
    "origin": moot(_DATASET),
    "mountpoint": moot(_DATASET),
    "available": moot(_DATASET),
    "used": moot(_DATASET),
    "dedup": moot(_DATASET),
    "reservation": lost("a spec has a quota, no reservation", "none"),
}
_PRIVILEGES = {
    "allow_raw_sockets": "raw_sockets",
    "allow_mlock": "mlock",
    "allow_socket_af": "socket_af",
    "allow_sysvipc": "sysvipc",
}
_SYSV = ("sysvmsg", "sysvsem", "sysvshm")
_LIMITS = ("memoryuse", "pcpu", "maxproc", "openfiles")
_NO = ("off", "none", "")
_STOP = 30.0  # seconds


def read(name: str, root: str, found: Mapping[str, str]) -> ForeignJail:
    """Describe the jail `name` of the iocage at `root` by its files. `InvalidArgumentError` (FOREIGN_CONFIG_...)."""
    own_keys = _values(found["config"], "config.json")
    defaults = _values(found["defaults"], "defaults.json") if "defaults" in found else {}
    values = _DEFAULTS | defaults | own_keys
    own = f"{root}/jails/{name}/root"
    left = leftovers(KEYS, own_keys.items())
    release = values.get("cloned_release") or values.get("release", "")
    userland = f"{root}/releases/{release}/root" if release not in {"", "EMPTY"} else ""
    mounts = texts.mounts(found.get("fstab", ""), own)
    of_userland = [each for each in mounts if _is_release(each.source, root)]
    network = _network(values, left)
    limits, not_kept = drafts.limits(
        [(key, key, values[key]) for key in _LIMITS if values[key] not in _NO],
        None if values["cpuset"] in _NO else values["cpuset"],
    )
    left += not_kept
    spec = JailSpec(
        hostname=values.get("host_hostname") or None,
        command=drafts.command(values["exec_start"]),
        user=None if values["exec_jail_user"] == "root" else values["exec_jail_user"],
        network=network,
        limits=limits,
        allow=_allowed(values, left),
        devfs_ruleset=drafts.ruleset(values["devfs_ruleset"], found.get("devfs", ""), left),
        boot=Boot(autostart=truth(values["boot"]), order=drafts.order(values["priority"])),
        stop=Stop(timeout=float(values["stop_timeout"]) if values["stop_timeout"].isdecimal() else _STOP),
        quota=None if values["quota"] in _NO else values["quota"],
        labels={} if values["notes"] in _NO else {"notes": values["notes"][:256]},
    )
    return ForeignJail(
        tool=Tool.IOCAGE,
        name=name,
        kernel_name=f"ioc-{name}".replace(".", "_"),
        spec=spec,
        places=places(own, userland=userland, hidden=tuple(each.target.lstrip("/") for each in of_userland)),
        release=values.get("release", ""),
        mounts=tuple(each for each in mounts if each not in of_userland),
        left=tuple(left),
        boots=truth(values["boot"]),
    )


# What iocage takes where neither file has a key.
_DEFAULTS = {
    "ip4_addr": "none",
    "ip6_addr": "none",
    "ip4": "new",
    "ip6": "new",
    "vnet": "0",
    "defaultrouter": "auto",
    "defaultrouter6": "auto",
    "interfaces": "vnet0:bridge0",
    "exec_start": "/bin/sh /etc/rc",
    "exec_jail_user": "root",
    "stop_timeout": "30",
    "devfs_ruleset": "4",
    "boot": "0",
    "priority": "99",
    "quota": "none",
    "notes": "none",
    "cpuset": "off",
    **dict.fromkeys(_PRIVILEGES, "0"),
    **dict.fromkeys(_SYSV, "new"),
    **dict.fromkeys(_LIMITS, "off"),
}


def _values(text: str, what: str) -> dict[str, str]:
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        document = error
    if not isinstance(document, dict):
        raise InvalidArgumentError(
            "FOREIGN_CONFIG_UNREADABLE", f"iocage's {what} cannot be read: {document}", hint="see `iocage get all JAIL`"
        )
    return {key: "none" if value is None else str(value) for key, value in document.items()}


def _is_release(source: str, root: str) -> bool:
    return source.startswith((f"{root}/releases/", f"{root}/templates/"))


def _network(values: Mapping[str, str], left: list[Left]) -> Network:
    listed = drafts.Addresses()
    for key in ("ip4_addr", "ip6_addr"):
        if values[key] not in _NO:
            listed.take(key, values[key])
    left += listed.left
    routers = [values[key] for key in ("defaultrouter", "defaultrouter6") if values[key] not in {"auto", *_NO}]
    if truth(values["vnet"]):
        bridges = [pair.partition(":")[2] for pair in values["interfaces"].split(",") if ":" in pair]
        left += [Left(key="interfaces", value=each, why="a jail of jaild has one interface") for each in bridges[1:]]
        left += [Left(key="defaultrouter6", value=each, why="a spec names one gateway") for each in routers[1:]]
        return Network(
            mode=Mode.VNET,
            addresses=tuple(listed.addresses),
            bridge=bridges[0] if bridges else None,
            gateway=routers[0] if routers else None,
        )
    if listed.addresses:
        listed.left.clear()
        network = listed.shared("ip4_addr")
        left += listed.left
        return network
    return Network(mode=Mode.HOST if "inherit" in {values["ip4"], values["ip6"]} else Mode.NONE)


def _allowed(values: Mapping[str, str], left: list[Left]) -> tuple[str, ...]:
    allowed = [name for key, name in _PRIVILEGES.items() if truth(values[key])]
    if drafts.shares_sysvipc({key: values[key] for key in _SYSV}, left):
        allowed.append("sysvipc")
    return tuple(sorted(set(allowed)))
