#!/bin/sh
# What click writes for zsh, loaded from the function path, completes at the first TAB and not at the second.
#
# Tool      click 8.5.1 of PyPI, with zsh 5.9 of Debian 12.
# Expected  click's documentation: the script may be saved, and zsh(1) compinit: a file `_greet` in `fpath` is loaded when
#           it is first needed. Then every TAB completes.
# Seen      The first TAB completes, the second does nothing but ring, the third and later ones complete again. Sourced, the
#           same script completes at every TAB.
#           - The file's end asks `zsh_eval_context` whether it is being loaded, and calls its function then; else it
#             registers that. Zsh takes the whole file for the body of `_greet`: at the second TAB this body is run, is not
#             being loaded any more, registers the function, and completes nothing.
# So        Call compdef before the function where it is being loaded, too; from then on zsh does not run the body again.
# In jaild  jaild/cli/commands/completion.py; tests/unit/cli/test_shells.py.
# Run       as anybody, with Python 3.11 or newer and zsh. Status 0: as described; 1: no longer so; 2: it cannot be tried here.
set -eu
folder=$(mktemp -d /tmp/finding.XXXXXX)
trap 'rm -rf "$folder"' EXIT
trap 'exit 2' HUP INT TERM
command -v zsh >/dev/null || { echo "it cannot be tried here: no zsh" >&2; exit 2; }
{ python3 -m venv "$folder/venv" && "$folder/venv/bin/pip" -qq install --only-binary :all: click==8.5.1; } || {
    echo "it cannot be tried here: no click 8.5.1" >&2
    exit 2
}

cat >"$folder/greet" <<END_OF_PROGRAM
#!$folder/venv/bin/python
import click


@click.command()
@click.argument("whom", type=click.Choice(["alice", "alfred"]))
def greet(whom):
    print("hello", whom)


greet()
END_OF_PROGRAM
chmod +x "$folder/greet"
mkdir "$folder/functions"
_GREET_COMPLETE=zsh_source "$folder/greet" >"$folder/functions/_greet"

cat >"$folder/experiment.py" <<'END_OF_PYTHON'
import os
import pty
import select
import sys

folder = sys.argv[1]
LOADED = f"fpath=({folder}/functions $fpath); autoload -Uz compinit; compinit -u -D"
SOURCED = f"autoload -Uz compinit; compinit -u -D; . {folder}/functions/_greet"


def shown(terminal, wanted, seconds):
    """Return whether the shell shows it, within so many seconds of silence."""
    text = ""
    while wanted not in text:
        if not select.select([terminal], [], [], seconds)[0]:
            return False
        text += os.read(terminal, 4096).decode(errors="replace")
    return True


def tabs(begin):
    """Return for four TABs, each on a line of its own, whether it completed."""
    child, terminal = pty.fork()
    if not child:
        environment = {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": folder, "TERM": "xterm", "LC_ALL": "C.UTF-8"}
        os.execvpe("zsh", ["zsh", "-f", "-i"], environment)
    os.write(terminal, f"{begin}; echo rea''dy\n".encode())
    if not shown(terminal, "ready\r\n", 30):
        sys.exit(2)
    found = []
    for _ in range(4):
        os.write(terminal, b"greet al\t")
        found.append(shown(terminal, "alfred", 5))
        os.write(terminal, b"\x15")
    os.close(terminal)
    os.waitpid(child, 0)
    return found


seen = {"loaded": tabs(LOADED), "sourced": tabs(SOURCED)}
described = {"loaded": [True, False, True, True], "sourced": [True, True, True, True]}
for how, found in seen.items():
    print(how, " ".join("completed" if each else "nothing" for each in found))
if seen != described:
    print("this is not as described:", described)
    sys.exit(1)
END_OF_PYTHON
"$folder/venv/bin/python" "$folder/experiment.py" "$folder"
