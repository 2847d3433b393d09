"""The comparison of the proof with a linker (tests.truth) sees every way in which the two can differ."""

from __future__ import annotations

import msgspec
import pytest

from jaild.model.layers.libraries import ElfFile, Libraries
from tests.truth.compare import Judgement
from tests.truth.linker import Answer, parse
from tests.truth.packages import Package, closure

SAID = """\
\tlinux-vdso.so.1 (0x00007fc265d02000)
\tlibatomic.so.1 => not found
\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007fc265920000)
\t/lib64/ld-linux-x86-64.so.2 (0x00007fc265d04000)
undefined symbol: SSL_free, version OPENSSL_3.0.0\t(/usr/local/bin/x)
undefined symbol: nallocx\t(/usr/local/bin/x)
undefined symbol: ldb_init, version \t(/usr/local/lib/libldb.so.1)
/usr/local/bin/x: /lib/x86_64-linux-gnu/libm.so.6: version `GLIBC_2.38' not found (required by /usr/local/bin/x)
/usr/local/bin/x: some other trouble
"""
PROGRAM = "/usr/local/bin/x"
LIBRARY = "/usr/local/lib/libf.so.1"
LINKER = "/lib64/ld-linux-x86-64.so.2"


def test_what_the_linker_prints_is_read_line_by_line() -> None:
    answer = parse(SAID, 1)
    assert answer.found["libm.so.6"] == "/lib/x86_64-linux-gnu/libm.so.6"
    assert answer.found[LINKER] == LINKER
    assert answer.missing == {"libatomic.so.1"}
    assert answer.versions == {(PROGRAM, "/lib/x86_64-linux-gnu/libm.so.6", "GLIBC_2.38")}
    assert answer.symbols == {
        (PROGRAM, "SSL_free", "OPENSSL_3.0.0"),
        (PROGRAM, "nallocx", ""),
        ("/usr/local/lib/libldb.so.1", "ldb_init", ""),
    }
    assert answer.other == ("/usr/local/bin/x: some other trouble", "status 1")


def test_plain_symbols_that_a_library_lacks_may_come_from_its_program() -> None:
    answer = parse("undefined symbol: host_api\t(/usr/local/lib/plug.so)\n")
    assert answer.loads(program=False)
    assert not answer.loads(program=True)
    assert not parse("undefined symbol: f, version ONE\t(/usr/local/lib/plug.so)\n").loads(program=False)


def elf(path: str, **more: object) -> ElfFile:
    return msgspec.convert({"path": path, "machine": "EM_X86_64", "bits": 64, **more}, ElfFile)


def judged(**lacks: object) -> Judgement:
    """A program with one library, over a base with a linker; `lacks` is of the program."""
    program = elf(PROGRAM, interpreter=LINKER, **{"needed": ["libf.so.1"], **lacks})
    library = elf(LIBRARY, soname="libf.so.1", versions=["ONE"], defines={"ONE": ["f"]})
    base = Libraries(files=(elf(LINKER, soname="ld-linux-x86-64.so.2"),), ldconfig=True)
    return Judgement(Libraries(files=(program, library), search_path=("/usr/local/lib",)), base)


GOOD = {"libf.so.1": LIBRARY, LINKER: LINKER}
LOST = {"needed": ["libf.so.1", "libg.so.1"]}
NEEDS = {"needs": {"libf.so.1": {"ONE": ["g"]}}}
NEWER = {"needs": {"libf.so.1": {"TWO": ["g"]}}}
AGREED = [
    ({}, Answer(GOOD)),
    (LOST, Answer(GOOD, frozenset({"libg.so.1"}))),
    (NEEDS, Answer(GOOD, symbols=frozenset({(PROGRAM, "g", "ONE")}))),
    (NEWER, Answer(GOOD, versions=frozenset({(PROGRAM, LIBRARY, "TWO")}), symbols=frozenset({(PROGRAM, "g", "TWO")}))),
]
DIFFERENT = [
    ({}, Answer(GOOD, other=("cannot enable executable stack",)), ["passed"]),
    ({}, Answer(GOOD, frozenset({"libg.so.1"})), ["passed", "another missing library"]),
    ({}, Answer(GOOD, symbols=frozenset({(PROGRAM, "g", "")})), ["passed", "other symbols"]),
    ({}, Answer(GOOD, versions=frozenset({(PROGRAM, LIBRARY, "TWO")})), ["passed", "other versions"]),
    ({}, Answer({**GOOD, "libf.so.1": "/usr/lib/libf.so.1"}), ["another library"]),
    (LOST, Answer(GOOD | {"libg.so.1": "/lib/libg.so.1"}), ["refused", "another library", "another missing library"]),
    (NEEDS, Answer(GOOD), ["refused", "other symbols"]),
    (NEWER, Answer(GOOD), ["refused", "other versions"]),
]  # fmt: skip


@pytest.mark.parametrize(("lacks", "answer"), AGREED)
def test_where_proof_and_linker_agree_there_is_no_difference(lacks: dict[str, object], answer: Answer) -> None:
    assert judged(**lacks).differences({PROGRAM: answer}) == []


@pytest.mark.parametrize(("lacks", "answer", "whats"), DIFFERENT)
def test_each_way_in_which_they_differ_is_told(lacks: dict[str, object], answer: Answer, whats: list[str]) -> None:
    differences = judged(**lacks).differences({PROGRAM: answer})
    assert [difference.what for difference in differences] == whats
    assert {difference.file for difference in differences} == {PROGRAM}


def test_what_a_programs_library_lacks_is_compared_too() -> None:
    library = elf(LIBRARY, soname="libf.so.1", needs={"": {"": ["g"]}})
    program = elf(PROGRAM, interpreter=LINKER, needed=["libf.so.1"], runpath=["/usr/local/lib"])
    base = Libraries(files=(elf(LINKER, soname="ld-linux-x86-64.so.2"),))
    judgement = Judgement(Libraries(files=(program, library)), base)
    lacks = frozenset({(LIBRARY, "g", "")})
    answers = {PROGRAM: Answer(GOOD, symbols=lacks), LIBRARY: Answer({LINKER: LINKER}, symbols=lacks)}
    assert judgement.differences(answers) == []
    whats = [each.what for each in judgement.differences(answers | {PROGRAM: Answer(GOOD)})]
    assert whats == ["refused", "other symbols"]


def test_a_library_may_lack_what_a_program_that_loads_it_brings() -> None:
    library = elf("/usr/local/lib/private/libg.so.1", soname="libg.so.1", needed=["libf.so.1"])
    program = elf(PROGRAM, interpreter=LINKER, needed=["libf.so.1", "libg.so.1"], runpath=["/usr/local/lib/private"])
    own = elf("/usr/local/lib/private/libf.so.1", soname="libf.so.1")
    base = Libraries(files=(elf(LINKER, soname="ld-linux-x86-64.so.2"),))
    found = {"libf.so.1": own.path, "libg.so.1": library.path, LINKER: LINKER}
    alone = Answer({LINKER: LINKER}, frozenset({"libf.so.1"}))
    judgement = Judgement(Libraries(files=(program, library, own)), base)
    assert judgement.differences({PROGRAM: Answer(found), library.path: alone}) == []
    assert [each.what for each in judgement.differences({library.path: alone})] == ["passed"]


def test_a_release_is_a_package_with_all_that_it_depends_on() -> None:
    packages = {
        "a": Package("a.deb", ("b",)),
        "b": Package("", ("c", "a")),
        "c": Package("c.deb"),
        "d": Package("d.deb"),
    }
    assert closure(packages, "a") == ["a", "b", "c"]
