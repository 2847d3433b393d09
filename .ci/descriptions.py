"""Writes what the protos say of each method and of each field of its request: what `sys.doc jaild` shows (jaild/salt).

Reads a FileDescriptorSet with comments from stdin.
"""

import json
import re
import sys

from google.protobuf import descriptor_pb2

SEE = re.compile(r"See (\w+)\.(\w+)(?=[.;:])")
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


def main() -> None:
    """Print methods and messages, each by its full name, in order of the names."""
    methods, messages, everything = {}, {}, {}
    for file in descriptor_pb2.FileDescriptorSet.FromString(sys.stdin.buffer.read()).file:
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
