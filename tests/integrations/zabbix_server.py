"""A real Zabbix: PostgreSQL, Zabbix's server and its web pages, of Debian's packages, in one folder.

Nothing of the machine's own Zabbix or PostgreSQL is touched: other ports, another cluster, and a copy of the web pages
that reads its configuration here.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import shutil
import signal
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integrations.servers import eventually, free_port, listens, server

PAGES = Path("/usr/share/zabbix")
_SCHEMA = Path("/usr/share/zabbix-server-pgsql")
_POSTGRES = "postgres"  # the database refuses to be root's


@dataclass
class ZabbixServer:
    """One that runs. `token` is a super admin's."""

    url: str
    token: str = ""

    def call(self, method: str, *words: str, **parameters: Any) -> Any:
        """Call the API with the token, with an array or an object; raises for what Zabbix refuses."""
        told = {"jsonrpc": "2.0", "method": method, "params": list(words) or parameters, "id": 1}
        if self.token:
            told["auth"] = self.token
        request = urllib.request.Request(  # noqa: S310 -- its own server
            f"{self.url}/api_jsonrpc.php", json.dumps(told).encode(), {"Content-Type": "application/json-rpc"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            said = json.load(answer)
        assert "result" in said, (method, said)
        return said["result"]

    def values(self, host: str) -> dict[str, str]:
        """The last value of each item of a host, of those that have one."""
        items = self.call("item.get", host=host, output=["key_", "lastvalue", "lastclock"])
        return {item["key_"]: item["lastvalue"] for item in items if item["lastclock"] != "0"}

    def unsupported(self, host: str) -> dict[str, str]:
        """Items that Zabbix cannot make a value for, with the reason."""
        items = self.call("item.get", host=host, filter={"state": 1}, output=["key_", "error"])
        return {item["key_"]: item["error"] for item in items}

    def problems(self, host: str) -> set[str]:
        """The alerts (their tag) that are on."""
        found = self.call("trigger.get", host=host, filter={"value": 1}, selectTags="extend", output=["description"])
        return {tag["value"] for trigger in found for tag in trigger["tags"] if tag["tag"] == "alert"}


@contextlib.contextmanager
def zabbix(certificates: Path) -> Iterator[ZabbixServer]:
    """Run one. `certificates` is where its server looks for those that an item names."""
    with contextlib.ExitStack() as stack:
        # Not below pytest's own folder, into which the database's user cannot look.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jaild-zabbix-", dir="/var/tmp")))
        folder.chmod(0o711)
        stack.enter_context(_database(folder))
        _fill(folder)
        pages, port = free_port(), free_port()
        _configure(folder, port, certificates)
        stack.enter_context(
            server(["zabbix_server", "--foreground", "--config", folder / "server.conf"], folder / "server.log")
        )
        eventually(lambda: listens(port), "Zabbix's server listens")
        env = {**os.environ, "PHP_CLI_SERVER_WORKERS": "2"}
        php = ["php", "-d", "memory_limit=256M", "-d", "post_max_size=16M", "-d", "max_execution_time=300"]
        stack.enter_context(
            server([*php, "-S", f"127.0.0.1:{pages}", "-t", folder / "pages"], folder / "php.log", env=env)
        )
        made = ZabbixServer(f"http://127.0.0.1:{pages}")
        eventually(lambda: _answers(made), "Zabbix's API answers")
        made.token = made.call("user.login", user="Admin", password="zabbix")  # as its packages make it
        (token,) = made.call("token.create", name="jaild")["tokenids"]
        (generated,) = made.call("token.generate", token)
        made.token = generated["token"]
        try:
            yield made
        except BaseException as error:
            items = made.call("item.get", output=["key_", "state", "error", "lastvalue"], filter={"host": "alpha"})
            error.add_note("\n".join(f"{item['key_']}: {item['lastvalue'][:80]} {item['error']}" for item in items))
            raise


def _answers(made: ZabbixServer) -> bool:
    try:
        return bool(made.call("apiinfo.version"))
    except urllib.error.URLError:
        return False


@contextlib.contextmanager
def _database(folder: Path) -> Iterator[None]:
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"))
    place = folder / "database"
    place.mkdir()
    shutil.chown(place, _POSTGRES, _POSTGRES)
    own: list[str | Path] = ["setpriv", f"--reuid={_POSTGRES}", f"--regid={_POSTGRES}", "--clear-groups"]
    made = [*own, programs / "initdb", "-D", place / "data", "-A", "trust", "--no-sync", "--locale=C.UTF-8"]
    subprocess.run(made, check=True, capture_output=True, cwd="/", timeout=120)
    # Nothing of it is to survive a power cut.
    settings = ("listen_addresses=", "fsync=off", "full_page_writes=off", "synchronous_commit=off")
    told = [word for setting in settings for word in ("-c", setting)]
    argv = [*own, programs / "postgres", "-D", place / "data", "-k", place, *told]
    with server(argv, folder / "database.log", how=signal.SIGINT):  # clients are cut off, not waited for
        eventually(lambda: _sql(place, _POSTGRES, b"select 1"), "the database answers")
        yield


def _sql(place: Path, database: str, text: bytes) -> bool:
    argv = ["psql", "-q", "-X", "-1", "-v", "ON_ERROR_STOP=1", "-h", str(place), "-U", _POSTGRES, "-d", database]
    return subprocess.run(argv, input=text, capture_output=True, check=False, timeout=120).returncode == 0


def _fill(folder: Path) -> None:
    place = folder / "database"
    subprocess.run(["createdb", "-h", place, "-U", _POSTGRES, "zabbix"], check=True, timeout=60)
    text = b"".join(gzip.decompress((_SCHEMA / f"{part}.sql.gz").read_bytes()) for part in ("schema", "images", "data"))
    assert _sql(place, "zabbix", text)


def _configure(folder: Path, port: int, certificates: Path) -> None:
    database = folder / "database"
    told = {
        "LogType": "console",
        "DBHost": database,
        "DBName": "zabbix",
        "DBUser": _POSTGRES,
        "ListenIP": "127.0.0.1",
        "ListenPort": port,
        "SocketDir": folder,
        "PidFile": folder / "server.pid",
        "AllowRoot": 1,
        "StartPollers": 2,
        "StartPingers": 0,
        "StartHTTPPollers": 0,
        "CacheUpdateFrequency": 1,  # seconds until its server knows what the API has changed
        "SSLCertLocation": certificates,
        "SSLKeyLocation": certificates,
        "SSLCALocation": certificates,
    }
    (folder / "server.conf").write_text("".join(f"{name}={value}\n" for name, value in told.items()))
    shutil.copytree(PAGES, folder / "pages")
    told_pages = folder / "pages.conf.php"
    where = folder / "pages/include/classes/core/CConfigFile.php"
    text, begin = where.read_text(), "const CONFIG_FILE_PATH = "
    assert begin in text
    line = next(line for line in text.splitlines() if begin in line)
    where.write_text(text.replace(line, f"\t{begin}'{told_pages}';"))
    database_told = {
        "TYPE": "POSTGRESQL",
        "SERVER": str(database),
        "PORT": "0",
        "DATABASE": "zabbix",
        "USER": _POSTGRES,
        **dict.fromkeys(("PASSWORD", "SCHEMA", "KEY_FILE", "CERT_FILE", "CA_FILE", "CIPHER_LIST"), ""),
        **dict.fromkeys(("VAULT_URL", "VAULT_DB_PATH", "VAULT_TOKEN"), ""),
    }
    lines = [f"$DB['{name}'] = '{value}';" for name, value in database_told.items()]
    lines += ["$DB['ENCRYPTION'] = false;", "$DB['VERIFY_HOST'] = false;", "$DB['DOUBLE_IEEE754'] = true;"]
    lines += ["$ZBX_SERVER = '127.0.0.1';", f"$ZBX_SERVER_PORT = '{port}';", "$ZBX_SERVER_NAME = 'jaild';"]
    lines += ["$IMAGE_FORMAT_DEFAULT = IMAGE_FORMAT_PNG;"]
    told_pages.write_text("\n".join(["<?php", *lines, ""]))
