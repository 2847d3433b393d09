"""Bastille: a jail's `jail.conf`, `fstab`, `settings.conf`, `rctl.conf`, `cpuset.conf` and `rdr.conf`.

What it writes: usr/local/share/bastille/create.sh, limits.sh, rdr.sh. A thin jail has links to /.bastille, where its
fstab mounts the release; the address of a vnet jail is in its own rc.conf.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from jaild.model.foreign import drafts, jailconf, texts
from jaild.model.foreign.jail import ForeignJail, Left, Tool, places
from jaild.model.foreign.keys import Key, leftovers, lost, moot, to, truth
from jaild.model.jails.spec import Boot, JailSpec, Mode, Network, Port, Stop

ROOT = "/usr/local/bastille"
FILES = {
    "config": "jails/{name}/jail.conf",
    "fstab": "jails/{name}/fstab",
    "settings": "jails/{name}/settings.conf",
    "rctl": "jails/{name}/rctl.conf",
    "cpuset": "jails/{name}/cpuset.conf",
    "rdr": "jails/{name}/rdr.conf",
    "rc": "jails/{name}/root/etc/rc.conf",
    "devfs": "/etc/devfs.rules",
}
THIN = "/.bastille"

_BOOT = "jaild starts and stops jails by `command`, `hooks` and `stop`"
_MOUNTS = "jails of jaild mount nothing themselves"
_FIXED = "the same in all jails of jaild"

KEYS: Mapping[str, Key] = {
    "host.hostname": to("hostname", "www.example.org"),
    "ip4.addr": to("network.addresses", "em0|10.0.0.5/24"),
    "ip6.addr": to("network.addresses", "em0|2001:db8::5/64"),
    "ip4": to("network.mode", "inherit"),
    "ip6": to("network.mode", "inherit"),
    "vnet": to("network.mode", ""),
    "interface": to("network.interface", "em7"),
    "exec.start": to("command", "/usr/local/bin/app --serve"),
    "exec.jail_user": to("user", "www"),
    "stop.timeout": to("stop.timeout", "90"),
    "allow.raw_sockets": to("allow", ""),
    "allow.mlock": to("allow", ""),
    "allow.socket_af": to("allow", ""),
    "allow.sysvipc": to("allow", ""),
    "sysvmsg": to("allow", "new"),
    "sysvsem": to("allow", "new"),
    "sysvshm": to("allow", "new"),
    "devfs_ruleset": to("devfs_ruleset", "5"),
    "osrelease": to("base", "13.2-RELEASE"),
    "path": moot("where its tree is"),
    "mount.fstab": moot("its fstab is read"),
    "mount.devfs": moot("each jail of jaild has /dev"),
    "mount.fdescfs": moot("each jail of jaild on FreeBSD has /dev/fd where its /dev has it"),
    "mount.procfs": lost(_MOUNTS),
    "vnet.interface": moot("jaild makes the interface"),
    "exec.prestart": lost(_BOOT),
    "exec.poststart": lost(_BOOT),
    "exec.prestop": lost(_BOOT),
    "exec.poststop": lost(_BOOT),
    "exec.created": lost(_BOOT),
    "exec.stop": lost(_BOOT, "/bin/sh /etc/rc.shutdown", "/bin/sh /etc/rc.shutdown jail"),
    "exec.clean": moot(_FIXED),
    "exec.consolelog": moot("jaild keeps the jail's log: jailctl jail logs"),
    "exec.timeout": lost(_BOOT),
    "enforce_statfs": lost(_FIXED, "2"),
    "securelevel": lost(_FIXED, "2", "-1"),
    "children.max": lost("there are no jails in jails of jaild", "0"),
    "persist": moot(_FIXED),
    "allow.set_hostname": lost("the spec says it: `hostname`", "", "0", "1"),
    "allow.chflags": lost("immutable files would outlive the jail's data"),
    **{
        f"allow.mount{kind}": lost(_MOUNTS)
        for kind in ("", ".devfs", ".fdescfs", ".fusefs", ".nullfs", ".procfs", ".linprocfs", ".tmpfs", ".zfs")
    },
    "zfs.dataset": lost("a jail of jaild has no datasets of its own: name a volume"),
    "depend": lost("name its jails in `boot.after` when they are adopted, too", ""),
    # settings.conf
    "boot": to("boot.autostart", "on"),
    "priority": to("boot.order", "7"),
}
SETTINGS = ("boot", "priority", "depend")  # of KEYS, in settings.conf; the others are jail.conf's
_PRIVILEGES = {f"allow.{name}": name for name in ("raw_sockets", "mlock", "socket_af", "sysvipc")}
_SYSV = ("sysvmsg", "sysvsem", "sysvshm")
_RDR = 7  # columns: family, interface, from, to, protocol, port of the host, port of the jail
_RULE = 4  # parts of jail:NAME:RESOURCE:ACTION=AMOUNT/jail


def read(name: str, root: str, found: Mapping[str, str]) -> ForeignJail:
    """Describe the jail `name` of the Bastille at `root` by its files. `InvalidArgumentError` (FOREIGN_CONFIG_...)."""
    conf = jailconf.parse(found["config"], name)
    settings = dict(texts.assignments(found.get("settings", "")))
    own = f"{root}/jails/{name}/root"
    mounts = texts.mounts(found.get("fstab", ""), own)
    thin = next((each for each in mounts if each.target == THIN), None)
    release = _one(conf, "osrelease")
    left = leftovers(KEYS, [(k, " ".join(v)) for k, v in conf.items() if not _is_for_vnet(k, conf)])
    left += leftovers(KEYS, settings.items())
    network = _network(conf, found, left)
    limits, not_kept = drafts.limits(_rules(found.get("rctl", "")), ",".join(found.get("cpuset", "").split()) or None)
    left += not_kept
    spec = JailSpec(
        hostname=_one(conf, "host.hostname") or None,
        command=drafts.command("; ".join(conf.get("exec.start", ("/bin/sh /etc/rc",)))),
        user=_one(conf, "exec.jail_user") or None,
        network=network,
        limits=limits,
        allow=_allowed(conf, left),
        devfs_ruleset=drafts.ruleset(_one(conf, "devfs_ruleset"), found.get("devfs", ""), left),
        boot=Boot(autostart=truth(settings.get("boot", "on")), order=drafts.order(settings.get("priority", ""))),
        stop=Stop(timeout=float(_one(conf, "stop.timeout") or 10)),
    )
    return ForeignJail(
        tool=Tool.BASTILLE,
        name=name,
        kernel_name=name,
        spec=spec,
        places=places(
            own,
            userland=thin.source if thin is not None else f"{root}/releases/{release}" if release else "",
            links=f"{THIN}/" if thin is not None else "",
            hidden=(THIN.lstrip("/"),) if thin is not None else (),
        ),
        release=release,
        mounts=tuple(each for each in mounts if each is not thin),
        left=tuple(left),
        boots=truth(settings.get("boot", "on")),
    )


def _one(conf: Mapping[str, tuple[str, ...]], key: str) -> str:
    return (conf.get(key) or ("",))[0]


def _is_for_vnet(key: str, conf: Mapping[str, tuple[str, ...]]) -> bool:
    """Tell whether it is what Bastille writes to make a vnet jail's interface, which jaild does itself."""
    made = ("jib ", "jng ", "ifconfig ", "epair0=")
    return (
        "vnet" in conf
        and key in {"exec.prestart", "exec.poststop", "exec.prestop"}
        and all(line.startswith(made) for line in conf[key])
    )


def _network(conf: Mapping[str, tuple[str, ...]], found: Mapping[str, str], left: list[Left]) -> Network:
    listed = drafts.Addresses()
    if "vnet" in conf:
        rc, gateway = dict(texts.assignments(found.get("rc", ""))), None
        for key, value in rc.items():
            if key.startswith(("ifconfig_vnet", "ifconfig_ng", "ifconfig_e0b")):
                words = value.split()
                at = words.index("inet") + 1 if "inet" in words[:-1] else 0
                listed.take(key, words[at] if words else "")
            elif key == "defaultrouter" and value.upper() != "NO":
                gateway = value
        left += listed.left
        bridge = next((line.split()[1] for line in conf.get("exec.prestart", ()) if _joins(line)), None)
        network = Network(mode=Mode.VNET, addresses=tuple(listed.addresses), gateway=gateway, bridge=bridge)
    else:
        for key in ("ip4.addr", "ip6.addr"):
            for text in conf.get(key, ()):
                listed.take(key, text)
        if not listed.addresses:
            is_hosts = "inherit" in {_one(conf, "ip4"), _one(conf, "ip6")}
            return Network(mode=Mode.HOST if is_hosts else Mode.NONE)
        if not listed.interfaces and _one(conf, "interface"):
            listed.interfaces.append(_one(conf, "interface"))
        network = listed.shared("ip4.addr")
        left += listed.left
    ports = tuple(_ports(found.get("rdr", ""), network.mode, left))
    return msgspec.structs.replace(network, ports=ports)


def _joins(line: str) -> bool:
    words = line.split()
    return words[:1] == ["ifconfig"] and words[2:3] == ["addm"]


def _ports(text: str, mode: Mode, left: list[Left]) -> list[Port]:
    ports = []
    for line in text.splitlines():
        columns = line.split()
        if len(columns) < _RDR:
            continue
        _, _, source, address, protocol, host, jail = columns[:_RDR]
        plain = source == "any" and host.isdecimal() and jail.isdecimal() and protocol in {"tcp", "udp"}
        if not plain or (address == "any" and mode is Mode.SHARED_IP):
            why = "a spec's ports are single ones, for everybody, and in mode shared-ip of one address of the host"
            left.append(Left(key="rdr", value=line, why=why))
            continue
        to_address = None if address == "any" else address
        ports.append(
            Port(host=int(host), jail=int(jail), protocol="udp" if protocol == "udp" else "tcp", address=to_address)
        )
    return ports


def _rules(text: str) -> list[tuple[str, str, str]]:
    """Return the lines of an rctl.conf: jail:web:memoryuse:deny=1G/jail. Those that only log limit nothing."""
    parts = [line.strip().split(":", _RULE - 1) for line in text.splitlines() if line.startswith("jail:")]
    return [(f"rctl {p[2]}", p[2], p[3]) for p in parts if len(p) == _RULE and not p[3].startswith("log=")]


def _allowed(conf: Mapping[str, tuple[str, ...]], left: list[Left]) -> tuple[str, ...]:
    allowed = {name for key, name in _PRIVILEGES.items() if key in conf and truth(_one(conf, key) or "1")}
    if drafts.shares_sysvipc({key: _one(conf, key) for key in _SYSV}, left):
        allowed.add("sysvipc")
    return tuple(sorted(allowed))
