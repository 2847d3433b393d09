"""A small reader of jail.conf(5), written from the grammar of FreeBSD's usr.sbin/jail/{jaillex.l,jailparse.y}.

Of the grammar: blocks, parameters, `=`, `+=`, lists, comments, words, both kinds of quotes with their backslash codes.
Variables are refused: what jaild writes has none, and one that appeared would be a mistake.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

Jail = dict[str, list[str]]  # a boolean without a value has an empty list

_SPACE = re.compile(r"[ \t\r\n]+|#[^\n]*|//[^\n]*|/\*([^*]|(\*+([^*/])))*\*+/")
_SIGN = re.compile(r"\+=|[,;={}]")
_WORD = re.compile(r"[A-Za-z0-9_!%&()\-.:<>?@\[\]^`|~]+|[*+/]")
_SINGLE = re.compile(r"'([^'\\]|\\(.|\n))*'")
_DOUBLE = re.compile(r'"([^"\\]|\\(.|\n))*"')
_CODES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\n": ""}


class JailConfError(ValueError):
    """It is not jail.conf."""


def read(text: str) -> dict[str, Jail]:
    """Return the jails with their parameters, in the file's order."""
    tokens = list(_tokens(text))
    jails: dict[str, Jail] = {}
    at = 0
    while at < len(tokens):
        kind, name = tokens[at]
        if kind != "string" or tokens[at + 1] != ("sign", "{"):
            raise JailConfError(f"a jail's name and {{ expected, not {name!r}")
        at = _block(tokens, at + 2, jails.setdefault(name, {}))
    return jails


def _block(tokens: list[tuple[str, str]], at: int, jail: Jail) -> int:
    while tokens[at] != ("sign", "}"):
        if tokens[at] == ("sign", ";"):
            at += 1
            continue
        kind, name = tokens[at]
        if kind != "string":
            raise JailConfError(f"a parameter expected, not {name!r}")
        at += 1
        values: list[str] = []
        sign = tokens[at][1] if tokens[at][0] == "sign" else ""
        if sign in {"=", "+="}:
            at += 1
            values.append(_string(tokens[at]))
            while tokens[at + 1] == ("sign", ","):
                at += 2
                values.append(_string(tokens[at]))
            at += 1
        if tokens[at] != ("sign", ";"):
            raise JailConfError(f"{tokens[at][1]}: syntax error")
        jail[name] = (jail.get(name, []) if sign == "+=" else []) + values
    return at + 1


def _string(token: tuple[str, str]) -> str:
    if token[0] != "string":
        raise JailConfError(f"{token[1]}: syntax error")
    return token[1]


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """Yield signs and strings; pieces without white space between them are one string."""
    at, word, pieces = 0, False, ""
    while at < len(text):
        if piece := _SINGLE.match(text, at) or _DOUBLE.match(text, at):
            if piece[0][0] == '"' and "$" in piece[0]:
                raise JailConfError("a variable")
            pieces, word, at = pieces + _unescaped(piece[0][1:-1]), True, piece.end()
            continue
        space, sign, plain = _SPACE.match(text, at), _SIGN.match(text, at), _WORD.match(text, at)
        if plain and not space and not sign:
            pieces, word, at = pieces + plain[0], True, plain.end()
            continue
        if word:
            yield "string", pieces
            word, pieces = False, ""
        if space:
            at = space.end()
        elif sign:
            yield "sign", sign[0]
            at = sign.end()
        else:
            raise JailConfError(f"unexpected {text[at : at + 20]!r}")


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{1,3}|x[0-9A-Fa-f]{1,2}|.|\n)", _code, text, flags=re.DOTALL)


def _code(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] in "01234567":
        return chr(int(code, 8))
    if code[0] == "x" and len(code) > 1:
        return chr(int(code[1:], 16))
    return _CODES.get(code, code)
