"""What README and docs show of a console is what the programs say: nothing of it is written by hand."""

from __future__ import annotations

import re
import shlex
import warnings
from collections import defaultdict
from pathlib import Path

import click
import pytest

from jaild.cli.main import command
from tests.transcripts.pages import Block, blocks, pages, said, written
from tests.transcripts.stories import STORIES, play

BLOCKS = [block for page in pages() for block in blocks(page)]
_CONTINUED = re.compile(r"\\\n\s*")


@pytest.mark.rule
def test_every_block_with_a_prompt_is_a_transcript_of_a_story_and_every_story_is_told_once() -> None:
    assert [str(block) for block in BLOCKS if block.commands and not block.name] == []
    told = defaultdict(set)
    for block in BLOCKS:
        if block.name:
            told[block.name].add(block.page)
    assert set(told) == set(STORIES)
    assert {name: pages for name, pages in told.items() if len(pages) > 1} == {}


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", STORIES)
async def test_a_transcript_is_what_its_commands_say(name: str) -> None:
    """Where this fails, `make docs` writes it anew: look at what became of it."""
    there = [block for block in BLOCKS if block.name == name]
    for block, body in zip(there, await play(STORIES[name], there), strict=True):
        assert said(body) == said(block.body), block


@pytest.mark.rule
def test_every_command_in_a_block_is_one_that_jailctl_takes() -> None:
    wrong = []
    typed = [(block, line) for block in BLOCKS if block.kind in {"console", "sh"} for line in _typed(block)]
    for block, line in typed:
        try:
            _parsed(shlex.split(line.partition(" | ")[0].partition(" && ")[0], comments=True)[1:])
        except click.UsageError as error:
            if "exist" not in error.message and "No such file" not in error.message:  # the reader's own files
                wrong.append(f"{block}: {line}: {error.message}")
    assert len(typed) > 80
    assert wrong == []


def _typed(block: Block) -> list[str]:
    text = _CONTINUED.sub(" ", block.body)
    lines = (re.sub(r"^[a-z]*[$#] ", "", line) for line in text.splitlines())
    return [line for line in lines if line.startswith("jailctl ")]


def _parsed(words: list[str]) -> None:
    """Raise `click.UsageError` as jailctl would, without doing anything."""
    found: click.Command = command
    context, rest = None, list(words)
    while True:
        context = found.make_context(found.name or "jailctl", rest, parent=context)
        if not isinstance(found, click.Group):
            return
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # click has no other name for it
            rest = [*context.protected_args, *context.args]
        _, chosen, rest = found.resolve_command(context, rest)
        assert chosen is not None
        found = chosen


def test_new_bodies_stand_where_the_old_ones_stood_with_their_indentation(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    begin = "- a\n\n  <!-- transcript: x -->\n  ```console\n  beta$ ls -l\n  old\n  ```\n"
    page.write_text(f"{begin}\n```sh\nnot $ me\n```\nend\n")
    first, second = blocks(page)
    assert (first.name, [(c.host, c.text, c.output) for c in first.commands]) == ("x", [("beta", "ls -l", "old\n")])
    assert (second.name, second.commands) == ("", ())
    text = written(page, {first.span: "beta$ ls -l\nnew\n\nline\n"})
    assert "  ```console\n  beta$ ls -l\n  new\n\n  line\n  ```\n" in text
    assert text.endswith("```sh\nnot $ me\n```\nend\n")
