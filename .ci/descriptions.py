"""Writes what the protos say: of each method and each field of its request, which `sys.doc jaild` shows (jaild/salt).

With the argument `reference`: of each field of a spec and of a manifest, which `jailctl explain` shows. Reads a
FileDescriptorSet with comments from stdin.
"""

import json
import re
import sys

from google.protobuf import descriptor_pb2

SEE = re.compile(r"See (\w+)\.(\w+)(?=[.;:])")
ROOTS = ("JailSpec", "Manifest")
SERVICE, METHOD, MESSAGE, FIELD = 6, 2, 4, 2  # numbers of these fields in descriptor.proto


def texts(file: descriptor_pb2.FileDescriptorProto) -> dict[tuple[int, ...], str]:
    """Return the comments of a file by the place of what they belong to."""
    found = {}
    for location in file.source_code_info.location:
        lines = [line.removeprefix(" ").rstrip() for line in location.leading_comments.splitlines()]
        found[tuple(location.path)] = "\n".join(lines).strip()
    return found


def whole(text: str, messages: dict[str, dict[str, str]]) -> str:
    """Return a text with those in it that it points to."""
    while (there := SEE.search(text)) is not None:
        text = text.replace(there[0], messages[there[1]][there[2]].removesuffix("."))
    return text


def reference(files: list[descriptor_pb2.FileDescriptorProto]) -> dict[str, object]:
    """Return the messages of specs and manifests: the words for each and for its fields, and what these are `of`."""
    known = {}
    for file in files:
        said = texts(file)
        for number, message in enumerate(file.message_type):
            entries = {f"{message.name}.{nested.name}": nested for nested in message.nested_type}
            fields = {}
            for index, field in enumerate(message.field):
                kind = field.type_name.removeprefix(f".{file.package}.")
                if kind in entries:  # a map: what its values are
                    kind = entries[kind].field[1].type_name.removeprefix(f".{file.package}.")
                fields[field.name] = {"words": said.get((MESSAGE, number, FIELD, index), ""), "of": kind}
            known[message.name] = {"words": said.get((MESSAGE, number), ""), "fields": fields}
    wanted = list(ROOTS)
    for name in wanted:
        wanted += [f["of"] for f in known[name]["fields"].values() if f["of"] in known and f["of"] not in wanted]
    return {name: known[name] for name in wanted}


def main() -> None:
    """Print methods and messages, each by its full name, in order of the names."""
    methods, messages, everything = {}, {}, {}
    files = descriptor_pb2.FileDescriptorSet.FromString(sys.stdin.buffer.read()).file
    if sys.argv[1:] == ["reference"]:
        json.dump(reference(files), sys.stdout, indent=1, sort_keys=True, ensure_ascii=False)
        sys.stdout.write("\n")
        return
    for file in files:
        said = texts(file)
        for number, service in enumerate(file.service):
            for index, method in enumerate(service.method):
                name = f"{file.package}.{service.name}.{method.name}"
                methods[name] = said.get((SERVICE, number, METHOD, index), "")
        for number, message in enumerate(file.message_type):
            fields = {
                field.name: said.get((MESSAGE, number, FIELD, index), "") for index, field in enumerate(message.field)
            }
            everything[message.name] = fields
            if message.name.endswith(("Request", "Header", "ExecStart")):
                messages[f"{file.package}.{message.name}"] = fields
    for fields in messages.values():
        for name, text in fields.items():
            fields[name] = whole(text, everything)
    json.dump({"methods": methods, "messages": messages}, sys.stdout, indent=1, sort_keys=True, ensure_ascii=False)
    sys.stdout.write("\n")


main()
