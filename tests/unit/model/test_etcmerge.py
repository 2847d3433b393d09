from __future__ import annotations

from difflib import SequenceMatcher
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaild.model import bounds
from jaild.model.etc.linematch import Steps
from jaild.model.etc.merge import Merged, merge
from jaild.model.etc.tree import Entry, Kind, Tree, stale
from jaild.model.problems import Severity


def text(content: str, mode: int = 0o644, uid: int = 0) -> Entry:
    return Entry(kind=Kind.FILE, mode=mode, uid=uid, content=content.encode())


def link(target: str) -> Entry:
    return Entry(kind=Kind.LINK, mode=0, target=target)


FOLDER = Entry(kind=Kind.DIRECTORY, mode=0o755)


def one(ancestor: Entry | None, theirs: Entry | None, mine: Entry | None, path: str = "f") -> Merged:
    return merge(*({} if entry is None else {path: entry} for entry in (ancestor, theirs, mine)))


def same(one: Tree, other: Tree) -> bool:
    return one.keys() == other.keys() and all(entry.same(other[path]) for path, entry in one.items())


LINES = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=6).map(lambda lines: "".join(f"{x}\n" for x in lines))
ENTRIES = st.one_of(
    st.builds(text, LINES, st.sampled_from([0o644, 0o600]), st.sampled_from([0, 1])),
    st.builds(link, st.sampled_from(["x", "y"])),
)
TREES = st.builds(
    lambda top, below: (
        dict(top) | ({"d": FOLDER} | {f"d/{name}": entry for name, entry in below.items()} if below else {})
    ),
    st.dictionaries(st.sampled_from(["d", "f", "g", "pwd.db"]), ENTRIES),
    st.dictionaries(st.sampled_from(["f", "g"]), ENTRIES),
)


@given(TREES)
def test_the_merge_of_one_tree_with_itself_is_that_tree(tree: dict[str, Entry]) -> None:
    merged = merge(tree, tree, tree)
    assert (merged.tree, merged.conflicts, merged.changed) == (tree, (), ())


@given(TREES, TREES)
def test_a_jail_that_changed_nothing_gets_the_new_version(ancestor: dict[str, Entry], theirs: dict[str, Entry]) -> None:
    merged = merge(ancestor, theirs, ancestor)
    assert merged.conflicts == ()
    assert same(merged.tree, theirs)


@given(TREES, TREES)
def test_a_new_version_that_changed_nothing_leaves_the_jail_alone(
    ancestor: dict[str, Entry], mine: dict[str, Entry]
) -> None:
    merged = merge(ancestor, ancestor, mine)
    assert (merged.tree, merged.conflicts, merged.changed) == (mine, (), ())


def deepest(merged: Merged) -> set[str]:
    """Return where the conflicts are; one below a folder may bring one of the folder with it, on one side only."""
    paths = {c.path for c in merged.conflicts}
    return {path for path in paths if not any(other.startswith(f"{path}/") for other in paths)}


@settings(max_examples=3 * settings().max_examples)
@given(TREES, TREES, TREES)
def test_both_sides_are_equal_before_a_merge_but_for_conflicts(
    a: dict[str, Entry], t: dict[str, Entry], m: dict[str, Entry]
) -> None:
    one_way, other_way = merge(a, t, m), merge(a, m, t)
    assert deepest(one_way) == deepest(other_way)
    if not one_way.conflicts:
        generated = {"pwd.db"}  # the new version's is taken, and then made again anyway
        assert same(*({p: e for p, e in w.tree.items() if p not in generated} for w in (one_way, other_way)))


@settings(max_examples=3 * settings().max_examples)
@given(TREES, TREES, TREES)
def test_every_path_of_a_result_has_its_folders(a: dict[str, Entry], t: dict[str, Entry], m: dict[str, Entry]) -> None:
    tree = merge(a, t, m).tree
    for path in tree:
        parent = path.rpartition("/")[0]
        assert not parent or tree[parent].kind is Kind.DIRECTORY


def test_lines_changed_far_apart_are_merged() -> None:
    old = "".join(f"{n}\n" for n in range(9))
    merged = one(text(old), text(old.replace("1\n", "one\n")), text(old.replace("7\n", "seven\n")))
    assert merged.conflicts == ()
    assert merged.tree["f"].content.decode() == old.replace("1\n", "one\n").replace("7\n", "seven\n")
    assert merged.changed == ("f",)


def test_the_same_line_changed_twice_is_a_conflict_that_shows_both_and_keeps_the_jails() -> None:
    merged = one(text("port 22\n"), text("port 23\n"), text("port 2222\n"))
    (conflict,) = merged.conflicts
    assert conflict.diff == ("< port 2222", "> port 23")
    assert merged.tree["f"].content == b"port 2222\n"
    problem = conflict.problem("/etc")
    assert (problem.code, problem.severity, problem.subject) == ("MERGE_CONFLICT", Severity.ERROR, "/etc/f")
    assert problem.hint


def test_lines_without_an_end_of_line_and_with_returns_survive() -> None:
    merged = one(text("a\r\nb\r\nc\r\nd"), text("A\r\nb\r\nc\r\nd"), text("a\r\nb\r\nc\r\nD"))
    assert merged.tree["f"].content == b"A\r\nb\r\nc\r\nD"


@pytest.mark.parametrize(
    ("ancestor", "theirs", "mine", "merged"),
    [
        ("b", "b\n", "b\nc\n", "b\nc\n"),
        ("b", "b\nc\n", "b\n", "b\nc\n"),
        ("b", "b\nc", "a\nb\n", "a\nb\nc\n"),  # what one side did to the end is kept, as what it did to lines is
        ("b\n", "b\nc\n", "a\nb", "a\nb\nc"),
        ("b\n", "b", "a\nb\n", "a\nb"),
        ("a\nb\n", "A\nb\n", "a\r\nb\r\nc\r\n", "A\r\nb\r\nc\r\n"),
        ("a\r\nb\r\n", "A\r\nb\r\n", "a\nb\nc\n", "A\nb\nc\n"),
        ("a\nb\n", "a\r\nb\r\n", "a\nb\nc\n", "a\r\nb\r\nc\r\n"),
        ("b", "b\r\n", "b\nc\n", "b\nc\n"),  # one line says nothing of the style: then it is the jail's
        ("a\n", "a\n\n", "a", "a\n\n"),
        ("", "", "", ""),
    ],
)
def test_how_lines_end_is_no_content_and_stays_as_the_side_has_it_that_changed_it(
    ancestor: str, theirs: str, mine: str, merged: str
) -> None:
    result = one(text(ancestor), text(theirs), text(mine))
    assert result.conflicts == ()
    assert result.tree["f"].content.decode() == merged


def test_a_file_that_both_sides_bring_and_that_differs_in_its_ends_alone_stays_the_jails() -> None:
    result = one(None, text("a\nb"), text("a\r\nb\r\n"))
    assert (result.conflicts, result.changed) == ((), ())


def test_where_a_text_has_ends_of_both_kinds_a_return_is_content() -> None:
    result = one(text("a\r\nb\nc\n"), text("a\r\nb\nC\n"), text("A\r\nb\nc\n"))
    assert result.tree["f"].content == b"A\r\nb\nC\n"
    (conflict,) = one(text("a\r\nb\nc\n"), text("a\nb\nC\n"), text("A\r\nb\nc\n")).conflicts
    assert conflict.diff == ("< A", "> a")


STYLED = st.tuples(
    st.lists(st.sampled_from(["a", "b", "c"]), max_size=3), st.sampled_from(["\n", "\r\n"]), st.booleans()
)


@settings(max_examples=3 * settings().max_examples)
@given(STYLED, STYLED, STYLED)
def test_lines_merge_the_same_however_they_end(
    a: tuple[list[str], str, bool], t: tuple[list[str], str, bool], m: tuple[list[str], str, bool]
) -> None:
    sides = (a, t, m)
    plain = merge(*({"f": text("".join(f"{line}\n" for line in lines))} for lines, _, _ in sides))
    styled = merge(
        *({"f": text(end.join(lines) + (end if closed and lines else ""))} for lines, end, closed in sides),
    )
    assert [conflict.diff for conflict in styled.conflicts] == [conflict.diff for conflict in plain.conflicts]
    assert styled.tree["f"].content.split() == plain.tree["f"].content.split()


def test_of_a_private_file_no_line_is_shown() -> None:
    merged = one(text("key 1\n", 0o600), text("key 2\n", 0o600), text("key 3\n", 0o600))
    assert not any("key" in line for line in merged.conflicts[0].diff)


def test_a_problem_can_be_sent_even_if_a_name_is_no_utf_8() -> None:
    (conflict,) = one(text("a"), text("b"), text("c"), path="caf\udce9").conflicts
    assert msgspec.json.decode(msgspec.json.encode(conflict.problem("/etc")))["subject"] == "/etc/caf\\udce9"


def test_long_diffs_are_cut_and_counted() -> None:
    old, new, my = ("".join(f"{word}{n}\n" for n in range(30)) for word in ("o", "n", "m"))
    assert one(text(old), text(new), text(my)).conflicts[0].diff[-1] == "and 40 more lines"


def test_binary_files_are_taken_whole_or_are_a_conflict() -> None:
    assert one(text("\0a"), text("\0b"), text("\0a")).tree["f"].content == b"\0b"
    (conflict,) = one(text("\0a"), text("\0b"), text("\0c")).conflicts
    assert "not text" in conflict.message


def test_content_from_one_side_and_attributes_from_the_other_come_together() -> None:
    merged = one(text("a\n"), text("b\n"), text("a\n", 0o600, uid=5))
    assert merged.conflicts == ()
    assert merged.tree["f"] == text("b\n", 0o600, uid=5)


def test_an_attribute_changed_differently_on_both_sides_is_a_conflict() -> None:
    (conflict,) = one(text("a", 0o644), text("a", 0o600), text("a", 0o640)).conflicts
    assert conflict.message == "both sides changed its mode: 640 here, 600 in the new version"


def test_a_link_is_merged_by_where_it_leads() -> None:
    assert one(link("a"), link("b"), link("a")).tree["f"].target == "b"
    assert one(link("a"), link("b"), link("c")).conflicts[0].message.startswith("both sides changed its target")


def test_removed_on_one_side_and_changed_on_the_other_is_a_conflict() -> None:
    assert "the new version removes it" in one(text("a"), None, text("b")).conflicts[0].message
    assert "the jail removed it" in one(text("a"), text("b"), None).conflicts[0].message


def test_removed_on_one_side_and_untouched_on_the_other_is_removed() -> None:
    assert one(text("a"), None, text("a")).tree == {}
    assert one(text("a"), text("a"), None).tree == {}
    assert one(text("a"), None, None).tree == {}


def test_a_file_here_and_a_link_there_is_a_conflict() -> None:
    assert (
        one(text("a"), link("b"), text("c")).conflicts[0].message
        == "it is a file in the jail, and a link in the new version"
    )


def test_a_folder_that_the_new_version_removes_stays_if_the_jail_put_a_file_into_it() -> None:
    merged = merge({"d": FOLDER}, {}, {"d": FOLDER, "d/mine": text("x")})
    assert set(merged.tree) == {"d", "d/mine"}
    assert merged.conflicts == ()


def test_a_folder_that_becomes_a_link_is_a_conflict_if_the_jail_put_a_file_into_it() -> None:
    merged = merge({"d": FOLDER}, {"d": link("e")}, {"d": FOLDER, "d/mine": text("x")})
    assert [c.path for c in merged.conflicts] == ["d"]
    assert set(merged.tree) == {"d", "d/mine"}


def test_a_generated_database_is_never_a_conflict_and_is_named_to_be_made_again() -> None:
    old = {"pwd.db": text("\0a"), "spwd.db": text("\0a"), "master.passwd": text("root:*:0:0::0:0::/:/bin/sh\n")}
    theirs = old | {"pwd.db": text("\0b"), "master.passwd": text("root:*:0:0::0:0::/root:/bin/sh\n")}
    mine = old | {"pwd.db": text("\0c"), "master.passwd": text("root:*:0:0::0:0::/:/bin/csh\n")}
    merged = merge(old, theirs, mine)
    assert merged.conflicts == ()
    assert merged.tree["master.passwd"].content == b"root:*:0:0::0:0::/root:/bin/csh\n"
    assert merged.regenerate == ("pwd.db", "spwd.db")


def test_a_database_whose_source_stayed_is_not_named() -> None:
    tree = {"login.conf": text("a"), "login.conf.db": text("\0")}
    assert stale(tree, tree | {"motd": text("x")}) == ()


def test_the_linkers_cache_is_named_when_the_base_brings_another() -> None:
    merged = one(text("\0a"), text("\0b"), text("\0a"), path="ld.so.cache")
    assert merged.regenerate == ("ld.so.cache",)


def test_a_tools_own_backup_is_never_a_conflict() -> None:
    assert one(text("a"), text("b"), text("c"), path="passwd-").conflicts == ()


PASSWD = "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/:/usr/sbin/nologin\n"


def test_accounts_added_on_both_sides_at_the_same_place_are_both_kept() -> None:
    theirs, mine = PASSWD + "sys:x:3:3::/:/bin/sh\n", PASSWD + "web:x:900:900::/:/bin/sh\n"
    merged = one(text(PASSWD), text(theirs), text(mine), path="passwd")
    assert merged.conflicts == ()
    assert sorted(merged.tree["passwd"].content.decode().split()) == sorted({*theirs.split(), *mine.split()})


def test_one_entry_changed_in_two_fields_gets_both() -> None:
    theirs, mine = PASSWD.replace("/bin/bash", "/bin/sh"), PASSWD.replace("root:/root", "Charlie:/root")
    merged = one(text(PASSWD), text(theirs), text(mine), path="passwd")
    assert merged.tree["passwd"].content.decode().startswith("root:x:0:0:Charlie:/root:/bin/sh\n")


def test_one_field_changed_differently_is_a_conflict_that_names_it() -> None:
    theirs, mine = PASSWD.replace("/bin/bash", "/bin/sh"), PASSWD.replace("/bin/bash", "/bin/zsh")
    (conflict,) = one(text(PASSWD), text(theirs), text(mine), path="passwd").conflicts
    assert conflict.diff == ("root: both sides changed field 7 ('/bin/zsh' here, '/bin/sh' in the new version)",)


def test_members_of_a_group_are_merged_as_a_set() -> None:
    merged = one(text("wheel:*:0:root,old\n"), text("wheel:*:0:root,old,a\n"), text("wheel:*:0:root,b\n"), path="group")
    assert merged.conflicts == ()
    assert merged.tree["group"].content == b"wheel:*:0:root,b,a\n"


def test_an_entry_removed_here_and_changed_there_is_a_conflict() -> None:
    theirs = PASSWD.replace("daemon:x:1:1::/:", "daemon:x:1:1:The:/:")
    (conflict,) = one(text(PASSWD), text(theirs), text(PASSWD.split("daemon", maxsplit=1)[0]), path="passwd").conflicts
    assert conflict.diff == ("daemon: the jail removed an entry that the other side changed",)


def test_the_day_of_a_password_change_is_no_conflict_and_the_jails_password_stays() -> None:
    old, theirs, mine = "root:*:1:0:9:7:::\n", "root:*:2:0:9:7:::\n", "root:$6$s:3:0:9:7:::\n"
    merged = one(text(old, 0o640), text(theirs, 0o640), text(mine, 0o640), path="shadow")
    assert merged.conflicts == ()
    assert merged.tree["shadow"].content == mine.encode()


def test_a_removed_account_stays_removed_when_only_the_day_differs() -> None:
    merged = one(text("games:*:1:0:9:7:::\n"), text("games:*:2:0:9:7:::\n"), text(""), path="shadow")
    assert (merged.conflicts, merged.tree["shadow"].content) == ((), b"")


def test_no_hash_is_shown_in_a_conflict() -> None:
    old, theirs, mine = "root:$6$o:1:0:9:7:::\n", "root:$6$t:1:0:9:7:::\n", "root:$6$m:1:0:9:7:::\n"
    (conflict,) = one(text(old), text(theirs), text(mine), path="shadow").conflicts
    assert conflict.diff == ("root: both sides changed field 2",)


def test_one_number_given_to_two_names_by_the_two_sides_is_a_conflict() -> None:
    theirs, mine = PASSWD + "sys:x:900:900::/:/bin/sh\n", PASSWD + "web:x:900:900::/:/bin/sh\n"
    (conflict,) = one(text(PASSWD), text(theirs), text(mine), path="passwd").conflicts
    assert "both have the number 900" in conflict.diff[0]


def test_two_names_with_one_number_on_one_side_are_that_sides_affair() -> None:
    old = PASSWD + "toor:x:0:0::/root:/bin/sh\n"
    theirs, mine = old + "a:x:5:5::/:/bin/sh\n", old + "b:x:6:6::/:/bin/sh\n"
    assert one(text(old), text(theirs), text(mine), path="passwd").conflicts == ()


def test_a_file_with_an_entry_twice_is_merged_by_line() -> None:
    old = PASSWD + "root:x:0:0:again:/root:/bin/sh\n"
    merged = one(text(old), text(old.replace("again", "twice")), text("# mine\n" + old), path="passwd")
    assert merged.conflicts == ()
    assert merged.tree["passwd"].content.decode() == "# mine\n" + old.replace("again", "twice")


# --- what a merge may cost


def alike(seed: int, lines: int = 400) -> str:
    """Return a text of few different lines, each often: the worst for a comparison."""
    random = Random(seed)  # noqa: S311  # always the same
    return "".join(f"{random.randrange(3)}\n" for _ in range(lines))


def test_a_merge_ends_after_its_steps_and_says_which_file_was_too_costly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MERGE_STEPS", 30_000)
    mine = {"cheap": text("a\nb\nc\n"), "dear": text(alike(1, 150)), "later": text("a\nb\nd\n")}
    theirs = {"cheap": text("x\na\nb\n"), "dear": text(alike(2, 150)), "later": text("x\na\nb\n")}
    ancestor = {"cheap": text("a\nb\n"), "dear": text(alike(3, 150)), "later": text("a\nb\n")}
    merged = merge(ancestor, theirs, mine)
    assert [(conflict.path, conflict.code) for conflict in merged.conflicts] == [("dear", "MERGE_TOO_COSTLY")]
    assert merged.tree["dear"].content == mine["dear"].content
    assert merged.tree["cheap"].content == b"x\na\nb\nc\n"
    assert merged.tree["later"].content == b"x\na\nb\nd\n"  # one file's cost does not make the others conflicts
    assert merged.problems("/etc")[0].code == "MERGE_TOO_COSTLY"


def test_the_steps_are_those_of_all_files_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MERGE_STEPS", 100_000)
    sides = [{f"f{n}": text(alike(100 * side + n, 100)) for n in range(40)} for side in range(3)]
    codes = {conflict.code for conflict in merge(*sides).conflicts}
    assert codes == {"MERGE_CONFLICT", "MERGE_TOO_COSTLY"}


def test_counted_steps_change_nothing_in_a_merge_that_ends() -> None:
    for seed in range(20):
        one, two = alike(seed, 60).splitlines(), alike(seed + 100, 60).splitlines()
        counted = Steps(10**9).matcher(None, one, two).get_matching_blocks()
        assert counted == SequenceMatcher(None, one, two).get_matching_blocks()


def test_a_file_too_large_to_be_merged_is_a_conflict_and_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MERGE_FILE", 10)
    merged = one(text("a\n"), text("b\n"), text("c" * 20))
    assert [conflict.code for conflict in merged.conflicts] == ["MERGE_TOO_COSTLY"]


def test_of_conflicts_without_end_a_plan_shows_some_and_counts_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MERGE_CONFLICTS", 3)
    sides = [{f"f{n}": text(f"{side}\n") for n in range(9)} for side in "atm"]
    problems = merge(*sides).problems("/etc")
    assert len(problems) == 4
    assert problems[-1].message.endswith("6 more conflicts in the files below it")
    assert problems[-1].severity is Severity.ERROR
