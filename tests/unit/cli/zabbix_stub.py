"""A Zabbix of a few tables behind a real HTTP server, as old or as new as a test wants it; no real one."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class ZabbixStub:
    """Answers `jailctl zabbix push`. `asked` is what was asked: method, parameters, and where the token stood."""

    def __init__(self, version: str = "6.0.14") -> None:
        self.version = version
        self.elsewhere = ""  # where it sends who asks
        self.asked: list[tuple[str, Any, str]] = []
        self.differs: Any = {"templates": {"added": [{}]}}
        self.proxies = {"north": "7"}
        self.refusal: dict[str, Any] | None = None
        self.hosts: dict[str, Any] = {}
        self.templates = dict[str, str]()
        self.groups = dict[str, str]()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                body = stub.answer(told, self.headers.get("Authorization", "")) if "api_jsonrpc" in self.path else None
                self.send_response(302 if stub.elsewhere else 200 if body is not None else 404)
                if stub.elsewhere:
                    self.send_header("Location", stub.elsewhere)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_words: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def changes(self) -> list[str]:
        """The methods that changed something, in order."""
        return [method for method, _, _ in self.asked if not method.endswith((".get", "version", "compare"))]

    def answer(self, told: dict[str, Any], header: str) -> dict[str, Any]:
        method, parameters = told["method"], told["params"]
        self.asked.append((method, parameters, f"auth {told['auth']}" if "auth" in told else header))
        if self.refusal is not None and method != "apiinfo.version":
            return {"error": self.refusal}
        return {"result": getattr(self, method.replace(".", "_"))(parameters)}

    def apiinfo_version(self, _: Any) -> str:
        return self.version

    def template_get(self, _: Any) -> Any:
        return [{"templateid": number} for number in self.templates.values()]

    def configuration_importcompare(self, _: Any) -> Any:
        return self.differs

    def configuration_import(self, _: Any) -> bool:
        self.templates["jaild by HTTP"] = "1"
        self.differs = []
        return True

    def hostgroup_get(self, asked: Any) -> Any:
        (name,) = asked["filter"]["name"]
        return [{"groupid": self.groups[name]}] if name in self.groups else []

    def hostgroup_create(self, asked: Any) -> Any:
        self.groups[asked["name"]] = "2"
        return {"groupids": ["2"]}

    def proxy_get(self, asked: Any) -> Any:
        ((name,),) = asked["filter"].values()
        return [{"proxyid": self.proxies[name]}] if name in self.proxies else []

    def host_get(self, asked: Any) -> Any:
        (name,) = asked["filter"]["host"]
        return [self.hosts[name]] if name in self.hosts else []

    def host_create(self, asked: Any) -> Any:
        macros = [{"hostmacroid": "9", **macro} for macro in asked["macros"]]
        self.hosts[asked["host"]] = {"hostid": "5", "parentTemplates": [{"host": "jaild by HTTP"}], "macros": macros}
        return {"hostids": ["5"]}

    def usermacro_update(self, asked: Any) -> Any:
        for host in self.hosts.values():
            host["macros"] = [{**macro, "value": asked["value"]} for macro in host["macros"]]
        return {}
