"""Which packages of Debian, and what apt fetches for them once, into the cache."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tests.demo import debian
from tests.demo.programs import run

# Programs with many libraries and plug-ins, of both releases, that apt installs beside each other.
NAMES = (
    "apache2", "bind9", "binutils", "bird2", "chrony", "clamav", "collectd", "cups", "curl", "default-jre-headless",
    "dovecot-core", "emacs-nox", "erlang-base", "ffmpeg", "freeradius", "gcc", "gdb", "ghostscript", "gimp", "git",
    "gnuplot-nox", "graphviz", "gstreamer1.0-plugins-good", "guile-3.0", "haproxy", "imagemagick", "iperf3", "jq",
    "keepalived", "knot", "krb5-kdc", "libapache2-mod-php", "libc6-i386", "lighttpd", "lua5.4", "lvm2",
    "mariadb-server", "mc", "memcached", "mosquitto", "nfs-common", "nginx-extras", "nmap", "nodejs", "octave",
    "openssh-server", "openvswitch-switch", "pdns-server", "perl", "php-cli", "postfix", "postgresql", "proftpd-core",
    "python3-numpy", "python3-scipy", "qemu-system-x86", "qemu-utils", "r-base-core", "redis-server", "rsync",
    "rsyslog", "ruby", "samba", "slapd", "smartmontools", "snmpd", "sqlite3", "squid", "strongswan", "stunnel4",
    "subversion", "systemd", "tcpdump", "tmux", "tor", "unbound", "uwsgi-core", "valgrind", "varnish", "vim",
    "vlc-plugin-base", "wireshark-common", "zabbix-agent",
)  # fmt: skip
_INSTALLED = re.compile(r"^Inst (\S+) \((\S+) ", re.MULTILINE)
_RELATION = re.compile(r"[a-z0-9][a-z0-9.+-]+")


class Package(msgspec.Struct, frozen=True):
    """A package: which others of those fetched it depends on. `file` is empty if it is for any machine."""

    file: str = ""
    depends: tuple[str, ...] = ()


@dataclass(frozen=True)
class Apt:
    """The machine's apt, on a tree's sources, keys and list of installed packages: nothing is run in the tree."""

    tree: Path

    def __call__(self, program: str, *words: str, cwd: Path | None = None) -> str:
        """Run `apt-get` or `apt-cache`; return what it printed."""
        options = {
            "Dir": self.tree,
            "Dir::State::status": self.tree / "var/lib/dpkg/status",
            "Dir::Bin::methods": "/usr/lib/apt/methods",
            "Dir::Bin::dpkg": "/usr/bin/dpkg",
            "APT::Sandbox::User": "root",
            "APT::Install-Recommends": "false",
        }
        given = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return run([program, "-qq", *given, *words], cwd=cwd)


def fetch(suite: str, base: Path, folder: Path) -> None:
    """Fetch what apt would install on `base` (an archive) for `NAMES` into `folder`, with packages.json about it."""
    tree = folder / "tree"
    tree.mkdir()
    run(["bsdtar", "-xpf", str(base), "-C", str(tree)])
    (tree / "etc/apt/sources.list").write_text(f"deb {debian.machine_mirror()} {suite} main\n")
    for name in ("var/lib/apt/lists/partial", "var/cache/apt/archives/partial"):
        (tree / name).mkdir(parents=True, exist_ok=True)
    apt = Apt(tree)
    apt("apt-get", "update")
    versions = dict(_INSTALLED.findall(apt("apt-get", "--simulate", "install", *NAMES)))
    wanted = {name: f"{name}={version}" for name, version in versions.items()}
    shown = map(_fields, apt("apt-cache", "show", *wanted.values()).split("\n\n"))
    about = {fields["Package"]: fields for fields in shown if fields}
    ours = [wanted[name] for name, fields in about.items() if fields["Architecture"] != "all"]
    apt("apt-get", "download", *ours, cwd=folder)
    files = {path.name.partition("_")[0]: path.name for path in folder.glob("*.deb")}
    providers: dict[str, set[str]] = {}
    for name, fields in about.items():
        for provided in (name, *_names(fields.get("Provides", ""))):
            providers.setdefault(provided, set()).add(name)
    packages = {name: Package(files.get(name, ""), _depends(fields, providers)) for name, fields in about.items()}
    (folder / "packages.json").write_bytes(msgspec.json.format(msgspec.json.encode(packages), indent=1))
    shutil.rmtree(tree)


def _fields(paragraph: str) -> dict[str, str]:
    lines = (line.partition(":") for line in paragraph.splitlines() if line[:1] not in {" ", ""})
    return {name: value.strip() for name, _, value in lines}


def _names(relations: str) -> list[str]:
    """Return the packages that a field names, whatever their versions, alternatives too."""
    alternatives = (word for relation in relations.split(",") for word in relation.split("|"))
    return [match[0] for word in alternatives if (match := _RELATION.match(word.strip()))]


def _depends(fields: Mapping[str, str], providers: Mapping[str, set[str]]) -> tuple[str, ...]:
    wanted = [name for field in ("Pre-Depends", "Depends") for name in _names(fields.get(field, ""))]
    return tuple(sorted({provider for name in wanted for provider in providers.get(name, ())}))


def read(folder: Path) -> dict[str, Package]:
    """Read packages.json."""
    return msgspec.json.decode((folder / "packages.json").read_bytes(), type=dict[str, Package])


def closure(packages: Mapping[str, Package], name: str) -> list[str]:
    """Return a package and what it depends on, and so on."""
    names = [name]
    for each in names:
        names.extend(other for other in packages[each].depends if other not in names)
    return names
