"""A product team on a real daemon, by its certificate and jailctl: how far it reaches, and who is told its secrets."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from jaild.adapters.certificates import CertificateAuthority
from jaild.adapters.system.process import ProcessRunner
from jaild.adapters.zfs.private_namespace import running
from jaild.rpc.tls import TlsFiles
from tests.conftest import LINUX_HOST
from tests.demo.programs import environment
from tests.e2e import trees
from tests.e2e.client import until
from tests.e2e.conftest import furnish
from tests.e2e.node import CHECKOUT, Node, hosted

pytestmark = pytest.mark.real(*LINUX_HOST)
SECRET = "s3cret-of-the-jail"
WHO = ("host", "web-team", "dashboard", "prometheus")


@dataclass(frozen=True)
class Site:
    """A host with a policy for web-team, and callers with certificates."""

    node: Node
    address: str
    metrics: str
    files: dict[str, TlsFiles]
    folder: Path

    def jailctl(self, who: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one as somebody."""
        return subprocess.run(
            [Path(sys.executable).with_name("jailctl"), "--context", who, *words],
            env=environment(XDG_CONFIG_HOME=str(self.folder)),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def spec(self, number: int, **more: str) -> str:
        """Write a spec with the host's address `number`; return its path."""
        path = self.folder / "spec.yaml"
        network = f"{{mode: vnet, addresses: [{self.node.addresses[number]}]}}"
        path.write_text(trees.spec("tiny-1", "web/1", network=network, environment=f"{{PASSWORD: {SECRET}}}", **more))
        return str(path)


@pytest.fixture(scope="module")
def site(workshop: Path) -> Iterator[Site]:
    async def issued() -> dict[str, TlsFiles]:
        authority = CertificateAuthority(ProcessRunner(), workshop / "tls")
        return {who: await authority.issue(who, ["127.0.0.1"]) for who in WHO}

    (workshop / "tls").mkdir()
    files = asyncio.run(issued())
    with socket.socket() as free, socket.socket() as another:
        addresses = []
        for each in (free, another):
            each.bind(("127.0.0.1", 0))
            addresses.append(f"127.0.0.1:{each.getsockname()[1]}")
        address, metrics = addresses
    node = Node("solo")
    upper = ipaddress.ip_interface(node.addresses[8]).ip  # .9 of a /28: the range is its upper half
    policy = {"networks": ["none", "vnet"], "addresses": [f"{upper - 1}/29"], "limits": {"open_files": 4096}}
    node.config["listen"] = {"address": address, "tls": _settings(files["host"])}
    node.config["grants"] = {
        "web-team": {"roles": ["product"], "apps": ["web"], "policy": policy},
        "dashboard": {"roles": ["viewer"]},
        "prometheus": {"roles": ["metrics"]},
    }
    node.config["metrics"] = {"address": metrics, "tls": _settings(files["host"]), "every": 1}
    with hosted(node) as made:
        furnish(made.api, workshop)
        site = Site(made, address, metrics, files, workshop)
        for who in WHO[1:]:
            told = files[who]
            words = ["--ca", str(told.authority), "--cert", str(told.certificate), "--key", str(told.key)]
            subprocess.run(
                [Path(sys.executable).with_name("jailctl"), "context", "add", who, "--address", address, *words],
                env=environment(XDG_CONFIG_HOME=str(workshop)),
                check=True,
                capture_output=True,
            )
        limits = "{open_files: 1024}"
        done = site.jailctl("web-team", "jail", "create", "web", "-f", site.spec(9, limits=limits))
        assert done.returncode == 0, done.stderr
        yield site
        made.api.delete("web")


def _settings(files: TlsFiles) -> dict[str, str]:
    return {"certificate": str(files.certificate), "key": str(files.key), "authority": str(files.authority)}


def programs(language: str) -> list[str]:
    """The programs of docs/clients.md in a language, in their order."""
    page = (CHECKOUT / "docs/clients.md").read_text()
    return [block.partition("\n```")[0] for block in page.split(f"```{language}\n")[1:]]


def run(site: Site, *argv: str | Path, tls: bool = True, **more: str) -> str:
    """Run a client in the checkout, by TLS as web-team or over the socket; return what it printed."""
    told = site.files["web-team"]
    where = (
        [site.address, told.authority, told.certificate, told.key] if tls else [f"unix://{site.node.folder}/jaild.sock"]
    )
    done = subprocess.run(
        [*argv, *where], cwd=CHECKOUT, env=environment(**more), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def built(source: str, folder: Path) -> Path:
    """Build a Go program with the code that is generated for it as docs/clients.md says, and Debian's Go packages."""
    module = folder / "src/example.com/fleet"
    module.mkdir(parents=True)
    (module / "main.go").write_text(source)
    protos = [str(path.relative_to(CHECKOUT / "proto")) for path in (CHECKOUT / "proto/jaild/v1").glob("*.proto")]
    packages = dict.fromkeys(protos, "example.com/fleet/jaildv1")
    packages["google/longrunning/operations.proto"] = "google.golang.org/genproto/googleapis/longrunning"
    options = []
    for kind in ("go", "go-grpc"):
        options += [f"--{kind}_out={module}", f"--{kind}_opt=module=example.com/fleet"]
        options += [f"--{kind}_opt=M{proto}={package}" for proto, package in packages.items()]
    subprocess.run(["protoc", "-I", "proto", *options, *protos], cwd=CHECKOUT, check=True, timeout=60)
    paths = {"GO111MODULE": "off", "GOPATH": f"{folder}:/usr/share/gocode"}
    go = ["go", "build", "-o", str(folder / "fleet"), "example.com/fleet"]
    subprocess.run(go, cwd=folder, env=environment(**paths), check=True, timeout=600)
    return folder / "fleet"


def test_the_programs_of_docs_clients_run_against_a_daemon(site: Site, tmp_path: Path) -> None:
    packaged, generated = programs("python")
    said = "jails/web STATE_RUNNING\nrestarted jails/web\nhello\n"
    assert run(site, sys.executable, "-c", packaged) == said
    assert run(site, sys.executable, "-c", packaged, tls=False) == said
    protos = [path.relative_to(CHECKOUT) for path in sorted((CHECKOUT / "proto/jaild/v1").glob("*.proto"))]
    outputs = [f"--{kind}_out={tmp_path}" for kind in ("python", "grpc_python")]
    python = CHECKOUT / "build/proto-venv/bin/python"
    command: list[str | Path] = [python, "-m", "grpc_tools.protoc", "-I", "proto", *outputs, *protos]
    subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, timeout=60)
    (tmp_path / "list.py").write_text(generated)
    assert run(site, python, tmp_path / "list.py") == "jails/web\n"
    modules = CHECKOUT / "build/clients/node_modules"
    if os.environ.get("JAILD_CLIENTS"):  # make clients
        (script,) = programs("js")
        (tmp_path / "list.js").write_text(script)
        for tls in (True, False):
            told = run(site, "node", tmp_path / "list.js", tls=tls, NODE_PATH=str(modules))
            assert told == "jails/web STATE_RUNNING\nhello\n"
        (source,) = programs("go")
        program = built(source, tmp_path / "go")
        assert [run(site, program, tls=tls) for tls in (True, False)] == [said, said]


def test_what_the_policy_does_not_allow_is_refused_with_the_rule(site: Site) -> None:
    before = site.node.api.all_jails()["web"]
    refused = site.jailctl("web-team", "jail", "configure", "web", "-f", site.spec(2, limits="{open_files: 1024}"))
    assert refused.returncode == 4, refused.stderr
    for told in ("POLICY_ADDRESS $.network.addresses[0]", "grants.web-team.policy.addresses: ", "ask an operator"):
        assert told in refused.stderr
    lifted = site.jailctl("web-team", "jail", "configure", "web", "-f", site.spec(9), "--plan")
    assert "POLICY_LIMIT $.limits.open_files" in lifted.stdout + lifted.stderr
    after = site.node.api.all_jails()["web"]
    assert (after.generation, after.start_time) == (before.generation, before.start_time)


def test_only_the_team_is_told_its_secrets_and_a_viewers_spec_keeps_them(site: Site) -> None:
    shown = site.jailctl("dashboard", "jail", "show", "web", "-o", "json")
    assert json.loads(shown.stdout)["spec"]["environment"] == {"PASSWORD": "(redacted)"}
    mine = json.loads(site.jailctl("web-team", "jail", "show", "web", "-o", "json").stdout)
    assert mine["spec"]["environment"] == {"PASSWORD": SECRET}
    text = Path(site.spec(9, limits="{open_files: 512}")).read_text().replace(SECRET, "(redacted)")
    (site.folder / "kept.yaml").write_text(text)
    kept = site.jailctl("web-team", "jail", "configure", "web", "-f", str(site.folder / "kept.yaml"))
    assert kept.returncode == 0, kept.stderr
    assert site.node.api.sh("web", "echo $PASSWORD").strip() == SECRET


def test_nobody_else_on_the_host_finds_a_secret(site: Site) -> None:
    site.node.folder.chmod(0o755)  # a folder of a test's own is closed, that of an installed daemon is not

    def holding_it(*who: str) -> set[str]:
        search = ["grep", "-rlsa", "--devices=skip", SECRET, str(site.node.folder)]
        mounts = ["nsenter", f"--mount=/proc/{running(site.node.folder)}/ns/mnt", "--"]  # where the datasets are seen
        found = subprocess.run([*mounts, *who, *search], capture_output=True, text=True, check=False, timeout=120)
        return {Path(line).name for line in found.stdout.splitlines()}

    assert holding_it() >= {"generation.json", "config.json", "run.json"}
    assert holding_it("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups") == set()
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    assert [line for line in lines if SECRET.encode() in line] == []
    assert SECRET not in site.node.log()


def scraped(site: Site, who: str) -> dict[str, float]:
    """What the host tells somebody, by series with their labels as they stand there."""
    told = site.files[who]
    context = ssl.create_default_context(cafile=told.authority)
    context.load_cert_chain(told.certificate, told.key)
    with urllib.request.urlopen(f"https://{site.metrics}/metrics", context=context, timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {series: float(value) for series, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def test_prometheus_reads_metrics_by_tls_and_nothing_else(site: Site) -> None:
    usage = 'jaild_jail_cpu_seconds_total{jail="web"}'
    until(lambda: usage in scraped(site, "prometheus"))
    found = scraped(site, "prometheus")
    assert found['jaild_jail_info{app="web",base="tiny-1",jail="web",release="1"}'] == 1
    assert found['jaild_jail_state{jail="web",state="running"}'] == 1
    assert found['jaild_operations_total{kind="create",outcome="done"}'] == 1
    assert found[f'jaild_pool_healthy{{pool="{site.node.pool}"}}'] == 1
    for setting in ("listen.tls", "metrics.tls"):
        assert found[f'jaild_certificate_expiry_timestamp_seconds{{setting="{setting}"}}'] > time.time()
    assert scraped(site, "dashboard").keys() >= {usage}
    refused = site.jailctl("prometheus", "jail", "ls")
    assert "ROLE_REQUIRED" in refused.stderr
