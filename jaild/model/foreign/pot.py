"""pot: a jail's `conf/pot.conf` and `conf/fscomp.conf`, and pot's own `pot.conf` with its network.

What it writes: share/pot/create.sh, create-base.sh, common.sh (`_POT_..._ATTRIBUTES`), export-ports.sh. Of a pot of
type multi, a base is mounted read-only at the root, in which /etc, /root, /var and the homes are links to /opt/custom;
the pot has datasets of its own for that and, unless it shares them with another pot, for /usr/local.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from jaild.model.foreign import drafts, texts
from jaild.model.foreign.jail import ForeignJail, ForeignMount, Left, Places, Tool, places
from jaild.model.foreign.keys import Key, leftovers, lost, moot, to, truth
from jaild.model.jails.spec import Boot, JailSpec, Limits, Mode, Network, Port, Stop

ROOT = "/opt/pot"
FILES = {
    "config": "jails/{name}/conf/pot.conf",
    "fscomp": "jails/{name}/conf/fscomp.conf",
    "own": "/usr/local/etc/pot/pot.conf",
    "devfs": "/etc/devfs.rules",
}

_BOOT = "jaild starts and stops jails by `command`, `hooks` and `stop`"
_MOUNTS = "jails of jaild mount nothing themselves"
_FIXED = "the same in all jails of jaild"
_OWN = "pot's own book-keeping"
_OFF = ("no", "0", "off", "false", "")

KEYS: Mapping[str, Key] = {
    "host.hostname": to("hostname", "www.example.org"),
    "osrelease": to("base", "13.2-RELEASE"),
    "pot.cmd": to("command", "/usr/local/bin/app --serve"),
    "network_type": to("network.mode", "inherit"),
    "vnet": moot("`network_type` says it"),
    "ip": to("network.addresses", "em0|10.192.0.9"),
    "bridge": to("network.bridge", "backend"),
    "pot.export.ports": to("network.ports", "tcp:8080:80"),
    "pot.env": to("environment", '"COLOUR=blue"'),
    "pot.rss.memory": to("limits.memory", "512M"),
    "pot.rss.cpuset": to("limits.cpuset", "0-1"),
    "pot.attr.start-at-boot": to("boot.autostart", "YES"),
    "pot.attr.early-start-at-boot": to("boot.autostart", "YES"),
    "pot.attr.raw_sockets": to("allow", "YES"),
    "pot.attr.mlock": to("allow", "YES"),
    "pot.attr.sysvshm": to("allow", "new"),
    "pot.attr.sysvsem": to("allow", "new"),
    "pot.attr.sysvmsg": to("allow", "new"),
    "pot.attr.devfs_ruleset": to("devfs_ruleset", "5"),
    "pot.attr.stop_timeout": to("stop.timeout", "90"),
    "pot.base": moot("where its userland is"),
    "pot.type": moot("how its tree is laid out: single or multi"),
    "pot.level": moot("how its tree is laid out"),
    "pot.potbase": lost("it shares /usr/local with another pot, which becomes a release of its own", ""),
    "pot.stack": moot("the addresses say it"),
    "pot.dns": lost("it keeps its own /etc/resolv.conf", "inherit", ""),
    "pot.depend": lost("name its jails in `boot.after` when they are adopted, too", ""),
    "pot.hosts": lost("add the line to its /etc/hosts", ""),
    "pot.rss.cpus": lost("name the CPUs in `limits.cpuset`, or how many in `limits.cpus`", ""),
    "pot.export.static.ports": lost("name the ports in `network.ports`", ""),
    "pot.attr.persistent": moot(_FIXED),
    "pot.attr.no-rc-script": moot("`pot.cmd` says what is started"),
    "pot.attr.prunable": moot(_OWN),
    "pot.attr.to-be-pruned": moot(_OWN),
    "pot.attr.localhost-tunnel": lost("name the ports in `network.ports`", *_OFF),
    "pot.attr.no-tmpfs": lost("the temporary files of a jail of jaild are in memory", *_OFF),
    "pot.attr.no-etc-hosts": moot("jaild writes no /etc/hosts"),
    "pot.attr.enforce_statfs": lost(_FIXED, "2", ""),
    "pot.attr.mount": lost(_MOUNTS, *_OFF),
    "pot.attr.fdescfs": moot("each jail of jaild on FreeBSD has /dev/fd where its /dev has it"),
    **{f"pot.attr.{kind}": lost(_MOUNTS, *_OFF) for kind in ("linprocfs", "nullfs", "procfs", "tmpfs", "zfs")},
    "pot.attr.children": lost("there are no jails in jails of jaild", "0", ""),
    "pot.attr.exec_stop": lost(_BOOT, "", "sh /etc/rc.shutdown"),
}
_SYSV = ("pot.attr.sysvshm", "pot.attr.sysvsem", "pot.attr.sysvmsg")
_PORT = ("tcp", "udp")


def read(name: str, root: str, found: Mapping[str, str]) -> ForeignJail:
    """Describe the jail `name` of the pot at `root` by its files."""
    listed = texts.assignments(found["config"])
    values = dict(listed)
    own = dict(texts.assignments(found.get("own", "")))
    left = leftovers(KEYS, listed)
    network = _network(values, own, left)
    sysvipc = drafts.shares_sysvipc({key: values.get(key, "") for key in _SYSV}, left)
    flags = {"raw_sockets": "pot.attr.raw_sockets", "mlock": "pot.attr.mlock"}
    allowed = {flag for flag, key in flags.items() if truth(values.get(key, ""))} | ({"sysvipc"} if sysvipc else set())
    boots = any(truth(values.get(f"pot.attr.{key}", "")) for key in ("start-at-boot", "early-start-at-boot"))
    stop = values.get("pot.attr.stop_timeout", "")
    environment = [value.strip('"').partition("=") for key, value in listed if key == "pot.env"]
    spec = JailSpec(
        hostname=values.get("host.hostname") or None,
        command=drafts.command(values.get("pot.cmd", "sh /etc/rc")),
        environment={key: value for key, _, value in environment},
        network=network,
        limits=Limits(
            memory=(values.get("pot.rss.memory") or "").upper() or None, cpuset=values.get("pot.rss.cpuset") or None
        ),
        allow=tuple(sorted(allowed)),
        devfs_ruleset=drafts.ruleset(values.get("pot.attr.devfs_ruleset", ""), found.get("devfs", ""), left),
        boot=Boot(autostart=boots),
        stop=Stop(timeout=float(stop) if stop.isdecimal() else 10.0),
    )
    return ForeignJail(
        tool=Tool.POT,
        name=name,
        kernel_name=name,
        spec=spec,
        places=_places(name, root, values),
        release=values.get("osrelease", ""),
        mounts=tuple(_mounts(name, root, found.get("fscomp", ""), own.get("POT_ZFS_ROOT", "zroot/pot"))),
        left=tuple(left),
        boots=boots,
    )


def _places(name: str, root: str, values: Mapping[str, str]) -> Places:
    base, pot = f"{root}/bases/{values.get('pot.base', '')}", f"{root}/jails/{name}"
    if values.get("pot.type") != "multi":
        return places(f"{pot}/m", userland=base)
    shared = values.get("pot.potbase", "") if values.get("pot.level") == "2" else ""
    local = f"{root}/jails/{shared or name}/usr.local"
    return Places(
        own=f"{pot}/custom",
        etc=f"{pot}/custom/etc",
        local=local,
        local_etc=f"{pot}/custom/usr.local.etc",
        packages=f"{local}/var.db.pkg",
        data={"var": f"{pot}/custom/var", "root": f"{pot}/custom/root", "home": f"{pot}/custom/usr.home"},
        userland=base,
        is_whole=False,
    )


def _mounts(name: str, root: str, text: str, dataset: str) -> list[ForeignMount]:
    """Return what a fscomp.conf mounts beside the base and the pot's own datasets: SOURCE TARGET [OPTION]."""
    found = []
    for line in text.splitlines():
        source, *rest = line.split()[:3] or [""]
        if not rest or source.startswith((f"{dataset}/bases/", f"{dataset}/jails/")):
            continue
        folder = source if source.startswith("/") else source.replace(dataset, root, 1)
        target = rest[0].removeprefix(f"{root}/jails/{name}/m") or "/"
        found.append(ForeignMount(source=folder, target=target, readonly="ro" in rest[1:]))
    return found


def _network(values: Mapping[str, str], own: Mapping[str, str], left: list[Left]) -> Network:
    kind = values.get("network_type", "inherit")
    listed = drafts.Addresses()
    if kind == "inherit":
        return Network(mode=Mode.HOST)
    listed.take("ip", values.get("ip", ""))
    left += listed.left
    if kind == "alias":
        listed.left.clear()
        network = listed.shared("ip")
        left += listed.left
        return network
    mask = own.get("POT_NETMASK", "255.192.0.0")
    prefix = ipaddress.ip_network(f"0.0.0.0/{mask}").prefixlen
    addresses = [text.replace("/32", f"/{prefix}") for text in listed.addresses]
    gateway = own.get("POT_GATEWAY", "10.192.0.1") if kind == "public-bridge" else None
    return Network(
        mode=Mode.VNET,
        addresses=tuple(addresses),
        gateway=gateway,
        bridge=values.get("bridge") or None,
        ports=tuple(_ports(values.get("pot.export.ports", ""), left)),
    )


def _ports(text: str, left: list[Left]) -> list[Port]:
    """Return the ports that are exported: [PROTOCOL:]PORT[:PORT-OF-THE-HOST]."""
    ports = []
    for item in text.split():
        protocol, *numbers = item.split(":") if item.startswith(_PORT) else ["tcp", *item.split(":")]
        if not all(number.isdecimal() for number in numbers) or len(numbers) != len(("port", "host")):
            why = "pot chooses a port of the host itself: name one in `network.ports`"
            left.append(Left(key="pot.export.ports", value=item, why=why))
            continue
        ports.append(Port(host=int(numbers[1]), jail=int(numbers[0]), protocol="udp" if protocol == "udp" else "tcp"))
    return ports
