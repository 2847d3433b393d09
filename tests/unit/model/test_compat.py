from __future__ import annotations

from typing import Any

import msgspec
import pytest

from jaild.model.layers.compatibility import ElfFile, Libraries, check, check_abi, check_kernel
from jaild.model.layers.libraries import Linker, Start
from jaild.model.layers.records import BaseRecord, Family
from jaild.model.problems import Problem, Severity

RTLD = "/lib64/ld-linux-x86-64.so.2"


def elf(path: str, **more: Any) -> ElfFile:
    fields: dict[str, Any] = {"path": path, "machine": "EM_X86_64", "bits": 64}
    return ElfFile(**(fields | more))


LIBC = elf(
    "/usr/lib/libc.so.6",
    soname="libc.so.6",
    needed=("ld-linux-x86-64.so.2",),
    versions=("GLIBC_2.2.5", "GLIBC_2.34"),
    defines={"GLIBC_2.2.5": ("malloc", "printf"), "GLIBC_2.34": ("pthread_create",)},
)
LOADER = elf(
    "/usr/lib/ld-linux-x86-64.so.2",
    soname="ld-linux-x86-64.so.2",
    versions=("GLIBC_2.3",),
    defines={"GLIBC_2.3": ("__tls_get_addr",)},
)
LIBZ = elf("/usr/lib/libz.so.1", soname="libz.so.1", needed=("libc.so.6",), defines={"": ("deflate", "inflate")})
BASE = Libraries(
    files=(LIBC, LOADER, LIBZ),
    links={"/lib": "/usr/lib", "/lib64": "/usr/lib", "/usr/lib/libz.so": "/usr/lib/libz.so.1"},
    search_path=("/lib", "/usr/lib"),
    cached=("/lib", "/usr/lib"),
    ldconfig=True,
)


def program(**more: Any) -> ElfFile:
    return elf(
        **(
            {
                "path": "/usr/local/bin/redis-server",
                "interpreter": RTLD,
                "needed": ("libc.so.6",),
                "needs": {"libc.so.6": {"GLIBC_2.2.5": ("malloc",)}},
            }
            | more
        )
    )


def found(*files: ElfFile, base: Libraries = BASE, start: Start | None = None, **more: Any) -> tuple[Problem, ...]:
    release = Libraries(**({"files": files, "search_path": ("/usr/local/lib",)} | more))
    return check(release, base, mount_point="/usr/local", start=start)


def codes(problems: tuple[Problem, ...]) -> list[str]:
    return [problem.code for problem in problems]


def test_a_release_whose_needs_are_all_met_has_no_problems() -> None:
    assert found(program()) == ()


def test_a_symbol_of_a_newer_c_library_is_named_with_its_version_and_library() -> None:
    newer = {"libc.so.6": {"GLIBC_2.36": ("arc4random",), "GLIBC_2.2.5": ("malloc",)}}
    (problem,) = found(program(needs=newer))
    assert problem.severity is Severity.ERROR
    assert problem.code == "MISSING_SYMBOL_VERSION"
    assert problem.subject == "/usr/local/bin/redis-server"
    assert problem.evidence == ("redis-server needs arc4random@GLIBC_2.36 of libc.so.6",)


def test_a_missing_version_without_symbols_is_named_by_itself() -> None:
    (problem,) = found(program(needs={"libc.so.6": {"GLIBC_ABI_DT_RELR": ()}}))
    assert problem.evidence == ("redis-server needs GLIBC_ABI_DT_RELR of libc.so.6",)


def test_a_version_that_is_wanted_weakly_may_be_missing() -> None:
    weak = program(needs={"libc.so.6": {"GLIBC_2.99": ()}}, weak_versions=("libc.so.6 GLIBC_2.99",))
    assert found(weak) == ()


def test_a_symbol_missing_from_a_version_that_is_there_is_told() -> None:
    (problem,) = found(program(needs={"libc.so.6": {"GLIBC_2.34": ("pthread_create", "dlopen")}}))
    assert problem.code == "MISSING_SYMBOL"
    assert problem.evidence == ("redis-server needs dlopen@GLIBC_2.34 of libc.so.6",)


def test_a_symbol_that_moved_to_another_library_of_the_process_is_found_there() -> None:
    stub = elf("/usr/lib/libpthread.so.0", soname="libpthread.so.0", needed=("libc.so.6",), versions=("GLIBC_2.34",))
    base = msgspec.structs.replace(BASE, files=(*BASE.files, stub))
    moved = program(needed=("libpthread.so.0",), needs={"libpthread.so.0": {"GLIBC_2.34": ("pthread_create",)}})
    assert found(moved, base=base) == ()


def test_a_library_that_lost_its_versions_still_answers_by_name() -> None:
    lost = program(needed=("libz.so.1",), needs={"libz.so.1": {"ZLIB_1.2": ("inflate", "inflateX")}})
    (problem,) = found(lost)
    assert problem.evidence == ("redis-server needs inflateX@ZLIB_1.2 of libz.so.1",)


def test_a_plain_symbol_of_a_program_must_be_in_some_library_it_loads() -> None:
    plain = program(needed=("libz.so.1",), needs={"": {"": ("deflate", "malloc", "deflate_fast")}})
    (problem,) = found(plain)
    assert problem.code == "MISSING_SYMBOL"
    assert problem.evidence == ("redis-server needs deflate_fast",)


def test_a_plain_symbol_of_a_plug_in_may_come_from_its_host() -> None:
    assert (
        found(elf("/usr/local/lib/mod.so", soname="mod.so", needed=("libc.so.6",), needs={"": {"": ("host_api",)}}))
        == ()
    )


def test_what_the_loader_itself_defines_counts_for_every_program() -> None:
    tls = program(needed=(), needs={"": {"": ("__tls_get_addr",)}})
    assert found(tls) == ()


def test_a_library_that_nobody_has_is_an_error_with_who_needs_it() -> None:
    (problem,) = found(program(needed=("libc.so.6", "libjemalloc.so.2")))
    assert (problem.code, problem.severity) == ("MISSING_LIBRARY", Severity.ERROR)
    assert problem.evidence == ("redis-server needs libjemalloc.so.2",)


def test_a_library_missing_further_down_is_told_with_the_library_that_needs_it() -> None:
    between = elf("/usr/local/lib/liba.so", soname="liba.so", needed=("libb.so",))
    problems = found(program(needed=("liba.so",), needs={}), between)
    assert ("/usr/local/bin/redis-server", ("liba.so needs libb.so",)) in [(f.subject, f.evidence) for f in problems]


def test_the_releases_own_library_comes_before_the_bases() -> None:
    old = elf("/usr/local/lib/libz.so.1", soname="libz.so.1", defines={"": ("deflate",)})
    assert codes(found(program(needed=("libz.so.1",), needs={"": {"": ("inflate",)}}), old)) == ["MISSING_SYMBOL"]


def test_what_the_base_has_below_the_mount_point_is_hidden_by_the_release() -> None:
    hidden = elf("/usr/local/lib/libx.so", soname="libx.so")
    base = msgspec.structs.replace(BASE, files=(*BASE.files, hidden))
    assert codes(found(program(needed=("libx.so",), needs={}), base=base)) == ["MISSING_LIBRARY"]


@pytest.mark.parametrize("attribute", ["rpath", "runpath"])
def test_a_library_is_found_by_the_path_in_the_file(attribute: str) -> None:
    private = elf("/usr/local/private/libp.so", soname="libp.so")
    assert found(program(needed=("libp.so",), needs={}, **{attribute: ("/usr/local/private",)}), private) == ()
    assert codes(found(program(needed=("libp.so",), needs={}), private)) == ["MISSING_LIBRARY"]


@pytest.mark.parametrize(("attribute", "expected"), [("rpath", []), ("runpath", ["MISSING_LIBRARY"])])
def test_only_an_rpath_serves_the_libraries_of_a_programs_libraries_too(attribute: str, expected: list[str]) -> None:
    first = elf("/usr/local/private/liba.so", soname="liba.so", needed=("libb.so",))
    second = elf("/usr/local/private/libb.so", soname="libb.so")
    problems = found(program(needed=("liba.so",), needs={}, **{attribute: ("/usr/local/private",)}), first, second)
    assert [f.code for f in problems if f.subject.endswith("redis-server")] == expected


def test_a_library_that_lacks_a_path_is_excused_if_the_program_that_loads_it_brings_the_other() -> None:
    first = elf("/usr/local/private/liba.so", soname="liba.so", needed=("libb.so",))
    second = elf("/usr/local/private/libb.so", soname="libb.so")
    assert found(program(needed=("liba.so",), needs={}, rpath=("/usr/local/private",)), first, second) == ()


def test_a_plug_in_whose_library_is_in_the_release_but_not_on_its_path_is_a_warning() -> None:
    plugin = elf("/usr/local/plugins/p.so", soname="p.so", needed=("libq.so",))
    other = elf("/usr/local/plugins/deps/libq.so", soname="libq.so")
    (problem,) = found(plugin, other)
    assert (problem.code, problem.severity) == ("MISSING_LIBRARY", Severity.WARNING)


def test_links_of_files_and_folders_lead_to_the_library_and_circles_end() -> None:
    versioned = elf("/usr/local/lib/libv.so.1.2", soname="libv.so.1")
    links = {
        "/usr/local/lib/libv.so.1": "/usr/local/lib/libv.so.1.2",
        "/usr/local/lib/libw.so": "/usr/local/lib/libw.so",
    }
    assert found(program(needed=("libv.so.1",), needs={}), versioned, links=links) == ()
    assert codes(found(program(needed=("libw.so",), needs={}), links=links)) == ["MISSING_LIBRARY"]


def test_a_filters_library_answers_for_it_and_may_be_absent() -> None:
    libc = elf("/usr/lib/libc.so.7", soname="libc.so.7", filters=("libsys.so.7", "libgone.so"), versions=("FBSD_1.0",))
    libsys = elf("/usr/lib/libsys.so.7", soname="libsys.so.7", defines={"FBSD_1.0": ("read",)})
    base = msgspec.structs.replace(BASE, files=(*BASE.files, libc, libsys))
    assert found(program(needed=("libc.so.7",), needs={"libc.so.7": {"FBSD_1.0": ("read",)}}), base=base) == ()


def strict_base(version: str = "GLIBC_2.41") -> Libraries:
    newer = msgspec.structs.replace(LIBC, versions=(*LIBC.versions, "GLIBC_PRIVATE", version))
    return msgspec.structs.replace(BASE, files=(newer, LOADER, LIBZ))


STACKED = elf("/usr/local/lib/libx.so", soname="libx.so", executable_stack=True)


@pytest.mark.parametrize(("version", "expected"), [("GLIBC_2.40", []), ("GLIBC_2.41", ["EXECUTABLE_STACK"])])
def test_a_plug_in_that_wants_an_executable_stack_is_a_warning_where_the_base_does_not_load_it(
    version: str, expected: list[str]
) -> None:
    problems = found(program(), STACKED, base=strict_base(version))
    assert [(f.code, f.severity, f.subject) for f in problems] == [
        (code, Severity.WARNING, STACKED.path) for code in expected
    ]


def test_a_program_and_what_it_loads_at_its_start_may_have_an_executable_stack() -> None:
    wants = program(needed=("libx.so",), needs={}, executable_stack=True)
    assert found(wants, STACKED, base=strict_base()) == ()


PRIVATE = elf("/usr/local/private/libp.so", soname="libp.so")
WANTS_PRIVATE = program(needed=("libp.so",), needs={})


def test_the_releases_own_lib_is_known_only_where_the_base_has_ldconfig() -> None:
    own = elf("/usr/local/lib/libp.so", soname="libp.so")
    assert found(WANTS_PRIVATE, own) == ()
    without = msgspec.structs.replace(BASE, ldconfig=False)
    assert codes(found(WANTS_PRIVATE, own, base=without)) == ["MISSING_LIBRARY"]


def test_the_environment_of_the_command_may_say_where_libraries_are() -> None:
    assert codes(found(WANTS_PRIVATE, PRIVATE)) == ["MISSING_LIBRARY"]
    environment = {"LD_LIBRARY_PATH": "/nowhere:/usr/local/private"}
    assert found(WANTS_PRIVATE, PRIVATE, start=Start.of(environment)) == ()


def test_a_runpath_comes_after_the_environments_folders_and_an_rpath_before() -> None:
    other = elf("/usr/local/other/libp.so", soname="libp.so", defines={"": ("p",)})
    start = Start.of({"LD_LIBRARY_PATH": "/usr/local/other"})
    wants = program(needed=("libp.so",), needs={"": {"": ("p",)}}, runpath=("/usr/local/private",))
    assert found(wants, PRIVATE, other, start=start) == ()
    wants = msgspec.structs.replace(wants, runpath=(), rpath=("/usr/local/private",))
    assert codes(found(wants, PRIVATE, other, start=start)) == ["MISSING_SYMBOL"]


FREEBSD = Libraries(
    files=(
        elf("/libexec/ld-elf.so.1", soname="ld-elf.so.1"),
        elf("/lib/libc.so.7", soname="libc.so.7", versions=("FBSD_1.0",), defines={"FBSD_1.0": ("malloc",)}),
        elf("/usr/lib/libz.so.6", soname="libz.so.6", defines={"": ("inflate",)}),
    ),
    search_path=("/lib", "/usr/lib", "/usr/lib/compat"),
    linker=Linker.FREEBSD,
    ldconfig=True,
)


def freebsd_program(**more: Any) -> ElfFile:
    needs = {"libc.so.7": {"FBSD_1.0": ("malloc",)}}
    return program(**({"interpreter": "/libexec/ld-elf.so.1", "needed": ("libc.so.7",), "needs": needs} | more))


def test_freebsds_linker_finds_the_releases_own_lib_by_its_hints_and_after_the_bases() -> None:
    own = elf("/usr/local/lib/plug.so", soname="plug.so")
    wants = freebsd_program(needed=("plug.so",), needs={})
    assert found(wants, own, base=FREEBSD) == ()  # by the file's name, whatever that is
    assert codes(found(wants, own, base=FREEBSD, start=Start(folders=False))) == ["MISSING_LIBRARY"]
    poorer = elf("/usr/local/lib/libz.so.6", soname="libz.so.6")
    wants = freebsd_program(needed=("libz.so.6",), needs={"": {"": ("inflate",)}})
    assert found(wants, poorer, base=FREEBSD) == ()


def test_origin_is_the_real_files_folder_to_freebsds_linker_and_the_links_to_others() -> None:
    linked = elf("/usr/local/private/libq.so", soname="libq.so", needed=("libp.so",), rpath=("$ORIGIN",))
    links = {"/usr/local/lib/libq.so": "/usr/local/private/libq.so"}
    wants = freebsd_program(needed=("libq.so",), needs={})
    assert found(wants, linked, PRIVATE, base=FREEBSD, links=links) == ()
    wants = program(needed=("libq.so",), needs={})
    problems = found(wants, linked, PRIVATE, links=links)
    assert [(f.code, f.subject) for f in problems] == [("MISSING_LIBRARY", "/usr/local/bin/redis-server")]


def test_freebsds_linker_insists_on_what_is_preloaded_and_others_do_not() -> None:
    start = Start.of({"LD_PRELOAD": "/usr/local/lib/gone.so"})
    assert codes(found(freebsd_program(), base=FREEBSD, start=start)) == ["MISSING_LIBRARY"]
    assert found(program(), start=start) == ()


MUSL_RTLD = "/lib/ld-musl-x86_64.so.1"
MUSL = Libraries(
    files=(elf(MUSL_RTLD, soname="libc.musl-x86_64.so.1"),),
    search_path=("/lib", "/usr/local/lib", "/usr/lib"),
    linker=Linker.MUSL,
)


def test_musls_linker_looks_into_usr_local_lib_by_itself_and_nowhere_else_without_a_path_file() -> None:
    wants = program(interpreter=MUSL_RTLD, needed=("libp.so",), needs={})
    assert found(wants, elf("/usr/local/lib/libp.so", soname="libp.so"), base=MUSL) == ()
    assert codes(found(wants, PRIVATE, base=MUSL)) == ["MISSING_LIBRARY"]
    told = msgspec.structs.replace(MUSL, search_path=("/usr/local/private",))
    assert found(wants, PRIVATE, base=told) == ()


def test_musls_linker_inherits_runpaths_and_gives_one_up_whole_for_a_word_it_does_not_know() -> None:
    first = elf("/usr/local/one/liba.so", soname="liba.so", needed=("libp.so",))
    fields: dict[str, Any] = {"interpreter": MUSL_RTLD, "needed": ("liba.so",), "needs": {}}
    wants = program(**fields, runpath=("$ORIGIN/../one", "$ORIGIN/../private"))
    assert found(wants, first, PRIVATE, base=MUSL) == ()
    wants = program(**fields, runpath=("/usr/local/one", "/usr/local/$LIB"))
    assert "redis-server needs liba.so" in {line for f in found(wants, first, base=MUSL) for line in f.evidence}


def test_the_linker_itself_is_loaded_for_a_library_too_wherever_it_lies() -> None:
    aside = msgspec.structs.replace(LOADER, path="/usr/lib64/ld-linux-x86-64.so.2")
    base = msgspec.structs.replace(BASE, files=(LIBC, aside, LIBZ), links={"/lib": "/usr/lib", "/lib64": "/usr/lib64"})
    plugin = elf("/usr/local/lib/libp.so", soname="libp.so", needed=("libc.so.6", "ld-linux-x86-64.so.2"))
    assert found(program(), plugin, base=base) == ()


def test_a_library_that_several_files_want_is_one_problem_that_names_them() -> None:
    wants = [elf(f"/usr/local/lib/lib{n}.so", soname=f"lib{n}.so", needed=("libgone.so",)) for n in "ab"]
    problems = found(program(needed=("liba.so", "libb.so"), needs={}), *wants)
    (problem,) = [problem for problem in problems if problem.subject == "/usr/local/bin/redis-server"]
    assert problem.evidence == ("liba.so needs libgone.so", "libb.so needs libgone.so")


def test_a_missing_interpreter_is_an_error() -> None:
    problems = found(program(interpreter="/lib/ld-musl-x86_64.so.1"))
    assert codes(problems) == ["MISSING_INTERPRETER"]


@pytest.mark.parametrize(
    ("path", "more", "severity"),
    [
        ("/usr/local/bin/a", {}, Severity.ERROR),
        ("/usr/local/lib/x.so", {"soname": "x.so"}, Severity.ERROR),
        ("/usr/local/share/qemu/firmware", {}, Severity.NOTE),
    ],
)
def test_a_file_of_another_machine_stops_only_if_it_would_run_or_be_linked(
    path: str, more: Any, severity: Severity
) -> None:
    (problem,) = found(elf(path, machine="EM_AARCH64", **more))
    assert (problem.code, problem.severity) == ("WRONG_MACHINE", severity)


def test_a_library_of_another_word_size_is_passed_over_in_the_search() -> None:
    narrow = elf("/usr/local/lib/libz.so.1", soname="libz.so.1", bits=32, machine="EM_386")
    problems = found(program(needed=("libz.so.1",), needs={"": {"": ("inflate",)}}), narrow)
    assert [(f.code, f.subject) for f in problems] == [("WRONG_MACHINE", "/usr/local/lib/libz.so.1")]


def test_of_a_library_that_cannot_be_read_no_symbol_is_said_to_be_missing() -> None:
    opaque = elf("/usr/local/lib/libo.so", soname="libo.so", opaque=True)
    assert found(program(needed=("libo.so",), needs={"": {"": ("o_init",)}}), opaque) == ()


def test_long_evidence_is_cut_and_counted() -> None:
    (problem,) = found(program(needs={"libc.so.6": {"GLIBC_2.34": tuple(f"f{n:03}" for n in range(40))}}))
    assert len(problem.evidence) == 26
    assert problem.evidence[-1] == "and 15 more"


def test_damaged_files_of_the_release_are_passed_on() -> None:
    warning = Problem(severity=Severity.WARNING, code="DAMAGED_ELF", message="m")
    assert found(program(), problems=(warning,)) == (warning,)


def test_an_index_survives_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(BASE), type=Libraries) == BASE


def base_record(**more: Any) -> BaseRecord:
    fields: dict[str, Any] = {
        "name": "b",
        "family": Family.FREEBSD,
        "version": "v",
        "abi": "FreeBSD:13:amd64",
        "osreldate": 1302001,
    }
    return BaseRecord(**(fields | more))


@pytest.mark.parametrize(
    ("base", "host", "family", "expected"),
    [
        (base_record(), 1302001, Family.FREEBSD, []),
        (base_record(), 1400097, Family.FREEBSD, []),
        (base_record(), 1302000, Family.FREEBSD, ["KERNEL_TOO_OLD"]),
        (base_record(osreldate=0), 1302000, Family.FREEBSD, ["KERNEL_UNKNOWN"]),
        (base_record(), 0, Family.LINUX, ["WRONG_FAMILY"]),
        (base_record(family=Family.LINUX, osreldate=0), 0, Family.LINUX, []),
    ],
)
def test_a_userland_may_be_older_than_the_kernel_and_never_newer(
    base: BaseRecord, host: int, family: Family, expected: list[str]
) -> None:
    assert codes(check_kernel(base, host, family)) == expected


@pytest.mark.parametrize(
    ("release", "base", "expected"),
    [
        ("", "FreeBSD:13:amd64", []),
        ("FreeBSD:13:amd64", "FreeBSD:13:amd64", []),
        ("FreeBSD:13:*", "FreeBSD:13:amd64", []),
        ("freebsd:13", "FreeBSD:13:amd64", []),
        ("FreeBSD:14:amd64", "FreeBSD:13:amd64", [Severity.ERROR]),
        ("FreeBSD:12:amd64", "FreeBSD:13:amd64", [Severity.ERROR]),
        ("FreeBSD:13:aarch64", "FreeBSD:13:amd64", [Severity.ERROR]),
        ("debian:12:amd64", "FreeBSD:13:amd64", [Severity.ERROR]),
        ("debian:12:amd64", "debian:13:amd64", [Severity.NOTE]),
        ("ubuntu:24.04:amd64", "debian:12:amd64", [Severity.NOTE]),
        ("debian:12:arm64", "debian:12:amd64", [Severity.ERROR]),
    ],
)
def test_another_major_version_is_an_error_on_freebsd_and_another_machine_everywhere(
    release: str, base: str, expected: list[Severity]
) -> None:
    problems = check_abi(release, base_record(abi=base))
    assert [f.severity for f in problems] == expected
    assert {f.code for f in problems} <= {"ABI_MISMATCH"}
