"""Configurations as each tool writes them, by the files that its reader names."""

from __future__ import annotations

import json

IOCAGE = {
    "CONFIG_VERSION": "31",
    "basejail": 0,
    "boot": 1,
    "cloned_release": "14.1-RELEASE",
    "defaultrouter": "10.0.0.1",
    "host_hostname": "web",
    "host_hostuuid": "web",
    "interfaces": "vnet0:bridge0",
    "ip4_addr": "vnet0|10.0.0.5/24",
    "jail_zfs_dataset": "iocage/jails/web/data",
    "last_started": "2026-11-01 10:00:00",
    "memoryuse": "deny=2G",
    "release": "14.1-RELEASE-p5",
    "vnet": 1,
    "vnet0_mac": "02ff60aaaaaa 02ff60aaaaab",
}


def iocage(**keys: object) -> dict[str, str]:
    """Return the files of a jail that has these keys besides; None takes one away."""
    values = {key: value for key, value in (IOCAGE | keys).items() if value is not None}
    fstab = (
        "/tank/photos\t/iocage/jails/web/root/mnt/photos\tnullfs\trw\t0\t0 # Added by iocage on 2026-11-01\n"
        "/tank/the\\040music\t/iocage/jails/web/root/mnt/music\tnullfs\tro\t0\t0\n"
    )
    return {"config": json.dumps(values, sort_keys=True, indent=4), "fstab": fstab}


BASTILLE = """\
web {{
  enforce_statfs = 2;
  devfs_ruleset = 4;
  exec.clean;
  exec.consolelog = /var/log/bastille/web_console.log;
  exec.start = '/bin/sh /etc/rc';
  exec.stop = '/bin/sh /etc/rc.shutdown';
  host.hostname = web;
  mount.devfs;
  mount.fstab = /usr/local/bastille/jails/web/fstab;
  path = /usr/local/bastille/jails/web/root;
  securelevel = 2;
  osrelease = "14.1-RELEASE";

  {network}
  {more}
}}
"""
BASTILLE_SHARED = "ip4.addr = bastille0|10.17.89.5/24;\n\n  ip6 = disable;"
BASTILLE_VNET = r"""vnet;
  vnet.interface = e0b_web;
  exec.prestart += "epair0=\$(ifconfig epair create) && ifconfig \${epair0} up name e0a_web";
  exec.prestart += "ifconfig bridge1 addm e0a_web";
  exec.prestart += "ifconfig e0a_web description \"vnet0 host interface for Bastille jail web\"";
  exec.poststop += "ifconfig e0a_web destroy";"""
_BASTILLE_FSTAB = (
    "/usr/local/bastille/releases/14.1-RELEASE /usr/local/bastille/jails/web/root/.bastille nullfs ro 0 0\n"
)


def bastille(network: str = BASTILLE_SHARED, more: str = "", **files: str) -> dict[str, str]:
    """Return the files of a thin jail."""
    conf = BASTILLE.format(network=network, more=more)
    settings = 'boot="on"\ndepend=""\npriority="99"\n'
    return {"config": conf, "fstab": _BASTILLE_FSTAB, "settings": settings, **files}


POT = """\
pot.level=1
pot.type=multi
pot.base=14.1
pot.potbase=
pot.dns=inherit
pot.cmd=sh /etc/rc
host.hostname="web.host"
osrelease="14.1-RELEASE"
pot.attr.no-rc-script=NO
pot.attr.persistent=YES
pot.attr.start-at-boot=NO
pot.attr.prunable=NO
pot.attr.no-tmpfs=NO
pot.stack=ipv4
"""
POT_PUBLIC = "network_type=public-bridge\nvnet=true\nip=10.192.0.9\n"
_POT_FSCOMP = """\
zroot/pot/bases/14.1 / ro
zroot/pot/jails/web/usr.local /usr/local zfs-remount
zroot/pot/jails/web/custom /opt/custom zfs-remount
zroot/pot/fscomp/photos /opt/pot/jails/web/m/mnt/photos
"""


def pot(network: str = POT_PUBLIC, more: str = "") -> dict[str, str]:
    """Return the files of a pot of type multi."""
    own = "POT_ZFS_ROOT=zroot/pot\nPOT_NETMASK=255.192.0.0\nPOT_GATEWAY=10.192.0.1\n"
    return {"config": POT + network + more, "fscomp": _POT_FSCOMP, "own": own}


EZJAIL = """\
# To specify the start up order of your ezjails, use these lines to
# create a Jail dependency tree. See rcorder(8) for more details.
#
# PROVIDE: standard_ezjail
# REQUIRE:
# BEFORE:
#

export jail_web_example_hostname="web.example"
export jail_web_example_ip="em0|10.0.0.5,em0|2001:db8::5"
export jail_web_example_rootdir="/usr/jails/web.example"
export jail_web_example_exec_start="/bin/sh /etc/rc"
export jail_web_example_exec_stop=""
export jail_web_example_mount_enable="YES"
export jail_web_example_devfs_enable="YES"
export jail_web_example_devfs_ruleset="devfsrules_jail"
export jail_web_example_procfs_enable="YES"
export jail_web_example_fdescfs_enable="YES"
export jail_web_example_image=""
export jail_web_example_imagetype=""
export jail_web_example_attachparams=""
export jail_web_example_attachblocking=""
export jail_web_example_forceblocking=""
export jail_web_example_zfs_datasets=""
export jail_web_example_cpuset=""
export jail_web_example_fib=""
"""
_EZJAIL_FSTAB = "/usr/jails/basejail /usr/jails/web.example/basejail nullfs ro 0 0\n"


def ezjail(more: str = "") -> dict[str, str]:
    """Return the files of a jail."""
    return {"config": EZJAIL + more, "fstab": _EZJAIL_FSTAB}
