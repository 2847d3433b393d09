"""The API's methods as functions of an execution module, made of their descriptors and of what the protos say.

What is sent in a stream, and what goes on until somebody hangs up, is no such function: what is worth having of these
is written by hand (modules/jaild.py).
"""

from __future__ import annotations

import functools
import inspect
import json
import keyword
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from google.protobuf import descriptor_pool

from jaild.client import READ_SECONDS, Api, pages
from jaild.salt import plain

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NAMED = re.compile(r"([a-z]+)/\{\w+\}(?:/([a-z]+)/\{\w+\})?")
_ENDLESS = frozenset({"TailBuild", "TailLogs", "WatchEvents", "WatchOperation", "ExportJail"})
_STREAM_SECONDS = 600.0  # for all that is streamed of one question
_PAGES = frozenset({"page_size", "page_token"})
_OPERATION = "google.longrunning.Operation"
_SPEC = "jaild.v1.SpecSource"
# What stands for a value in an example.
_EXAMPLES = {
    "apps/": "redis",
    "apps/releases": "redis/7.0",
    "bases/": "debian-12",
    "channels/": "stable",
    "jails/": "web",
    "jails/generations": "web/3",
    "jails/volumes": "web/data",
    "app_id": "redis",
    "base_id": "debian-12",
    "jail_id": "web",
    "release_id": "7.0",
    "spec": "salt://jails/web.yaml",
}


@dataclass(frozen=True)
class Method:
    """One method of a service. `described`: what the protos say of it, `fields` of each field of its request."""

    descriptor: Any
    described: str
    fields: Mapping[str, str]

    @property
    def name(self) -> str:
        """The function's name: create_jail."""
        return _snake(self.descriptor.name)

    @property
    def by_hand(self) -> bool:
        """Whether it is no function of its own: its request is a stream, or its answer has no end, or is a file."""
        return bool(self.descriptor.client_streaming or self.descriptor.name in _ENDLESS)

    @property
    def starts(self) -> bool:
        """Whether it answers with an operation to be waited for."""
        return bool(self.descriptor.output_type.full_name == _OPERATION and self.descriptor.name != "GetOperation")

    @property
    def lists(self) -> str:
        """The field of the response that the listed things are in; empty if it lists nothing."""
        if not self.descriptor.name.startswith("List"):
            return ""
        return str(next(each.name for each in self.descriptor.output_type.fields if each.message_type is not None))

    @property
    def pages(self) -> bool:
        """Whether it lists in pages."""
        return "next_page_token" in self.descriptor.output_type.fields_by_name

    @property
    def tells_secrets(self) -> bool:
        """Whether values of environments may be in its answer."""
        return _holds(self.descriptor.output_type)

    def parameters(self) -> Iterator[inspect.Parameter]:
        """Yield the function's: the request's fields, what is required without a default."""
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        names = [name for name in self.fields if name not in _PAGES]
        required = [name for name in names if self._is_required(name)]
        for name in required:
            yield inspect.Parameter(_argument(name), kind)
        optional = [*(name for name in names if name not in required), *(["limit"] if self.pages else [])]
        for name in optional:
            yield inspect.Parameter(_argument(name), kind, default=None)
        if self.starts:
            yield inspect.Parameter("wait", kind, default=True)
        if self.tells_secrets:
            yield inspect.Parameter("secrets", kind, default=False)
        yield inspect.Parameter("context", kind, default=None)

    def call(self, api: Api, values: Mapping[str, Any], *, limit: int = 0) -> Any:
        """Send the request that `values` are; return the response, or all that pages or a stream have."""
        request = plain.request(self.descriptor.input_type, self.whole(values))
        stub = getattr(getattr(api, _snake(self.descriptor.containing_service.name)), self.descriptor.name)
        if self.descriptor.server_streaming:
            return list(stub(request, timeout=_STREAM_SECONDS))
        if self.pages:
            return pages(stub, request, self.lists, limit)
        response = stub(request, timeout=self._seconds())
        return list(getattr(response, self.lists)) if self.lists else response

    def whole(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the request's values with whole names for short ones: jails/web for web."""
        fields = self.descriptor.input_type.fields_by_name
        return {name: self._whole(name, fields[name], value) for name, value in values.items()}

    def document(self) -> str:
        """Return the docstring."""
        listed = "\n\n".join(f"{name}\n{textwrap.indent(said, '    ')}" for name, said in self._told() if said)
        named = [self._example(each.name) for each in self.parameters() if each.default is each.empty]
        example = " ".join(["salt 'host' jaild." + self.name, *named])
        parts = [self.described, listed, f"CLI Example:\n\n.. code-block:: bash\n\n    {example}"]
        return "\n\n".join(part for part in parts if part)

    def _told(self) -> Iterator[tuple[str, str]]:
        for parameter in self.parameters():
            match parameter.name:
                case "context":
                    yield (
                        "context",
                        "The daemon to ask, of `jaild:contexts` in the configuration; the host's if absent.",
                    )
                case "wait":
                    yield "wait", "False: return the operation's name, and let it go on."
                case "secrets":
                    yield "secrets", "True: tell values of environments, too. The master's job cache keeps them then."
                case "limit":
                    yield "limit", "At most so many; all if absent."
                case name:
                    yield name, self.fields[_field(name)]

    def _is_required(self, name: str) -> bool:
        return "Required." in self.fields[name] or self.fields[name].startswith("The name of the operation resource")

    def _example(self, name: str) -> str:
        match = _NAMED.search(self.fields[_field(name)])
        kind = f"{match[1]}/{match[2] or ''}" if match else name
        return _EXAMPLES.get(kind, name.upper())

    def _seconds(self) -> float | None:
        # A plan reads layers, and may take as long as the change's own one.
        return None if self.starts else READ_SECONDS

    def _whole(self, name: str, field: Any, value: Any) -> Any:
        if field.message_type is not None and field.message_type.full_name == _SPEC:
            return source(value)
        match = _NAMED.search(self.fields[name])
        if isinstance(value, str) and match is not None:
            return resource(match[1], match[2] or "", value)
        return value


def source(spec: Any) -> Any:
    """Return a spec as a request takes it: as YAML text, whose mistakes the daemon tells with path and line."""
    if isinstance(spec, Mapping) and set(spec) <= {"template", "yaml"}:
        return spec
    # JSON is YAML, and what came out of YAML is JSON's kind of data.
    return {"yaml": spec if isinstance(spec, str) else json.dumps(spec)}


def resource(collection: str, below: str, name: str) -> str:
    """Return the whole name of `web` or, `below` jails, of `web/3`: jails/web, jails/web/generations/3."""
    if not name or name.startswith(f"{collection}/"):
        return name
    parent, slash, child = name.partition("/")
    return f"{collection}/{parent}/{below}/{child}" if below and slash else f"{collection}/{name}"


@functools.cache
def methods() -> tuple[Method, ...]:
    """Return all methods of the API, by name."""
    told = json.loads(resources.files("jaild.salt").joinpath("descriptions.json").read_text("utf-8"))
    found = []
    for name, described in told["methods"].items():
        descriptor = descriptor_pool.Default().FindMethodByName(name)
        said = told["messages"].get(descriptor.input_type.full_name, {})
        fields = {field.name: said.get(field.name, "") for field in descriptor.input_type.fields}
        if name.startswith("google.longrunning.") and "name" in fields and descriptor.name != "ListOperations":
            fields["name"] = "operations/{operation}. Required."
        found.append(Method(descriptor, described, fields))
    return tuple(sorted(found, key=lambda method: method.name))


def made(call: Callable[[Method, dict[str, Any]], Any], module: str) -> dict[str, Callable[..., Any]]:
    """Return the functions by name. `call` gets the method and the arguments; `module` is whose functions they are."""
    return {method.name: _function(method, call, module) for method in methods() if not method.by_hand}


def _function(method: Method, call: Callable[[Method, dict[str, Any]], Any], module: str) -> Callable[..., Any]:
    signature = inspect.Signature(list(method.parameters()))

    def function(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        return call(method, {_field(name): value for name, value in bound.arguments.items() if value is not None})

    function.__name__ = function.__qualname__ = method.name
    function.__module__ = module
    function.__doc__ = method.document()
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function


def _holds(kind: Any) -> bool:
    """Whether a message has values of environments, or one in it has: no message of the API is in itself."""
    if kind.full_name in plain.SECRET:
        return True
    return any(_holds(field.message_type) for field in kind.fields if field.message_type is not None)


def _argument(field: str) -> str:
    return f"{field}_" if keyword.iskeyword(field) else field


def _field(argument: str) -> str:
    return argument.removesuffix("_")


def _snake(name: str) -> str:
    return _WORDS.sub("_", name).lower()
