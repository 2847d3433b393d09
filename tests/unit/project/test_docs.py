"""The documentation names what is there, and nothing that is not."""

from __future__ import annotations

import ast
import functools
import re
import tomllib
from pathlib import Path

import msgspec
import pytest
import yaml

from jaild import config
from jaild.adapters.files.room import Uploads
from jaild.cli.output.exits import MEANING
from jaild.jails.templates import Templates
from jaild.model.jails import specfile
from jaild.model.jails import validation as speccheck
from jaild.model.layers import recipe_check as recipecheck
from tests.unit.project.sources import parsed

pytestmark = pytest.mark.rule

ROOT = Path(__file__).parents[3]
_REASON = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
_FIRST_COLUMN = re.compile(r"^\| `([A-Z0-9_]+(?:\*)?)` \|", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")

# Texts of the code that look like reasons and are none.
NOT_REASONS = {
    "of the first version": {"HOST_HALTED"},
    "environment variables": {
        *("LC_ALL", "JAILD_PRIVATE_NAMESPACE", "LD_LIBRARY_PATH", "LD_PRELOAD"),
        *("JAILCTL_ADDRESS", "JAILCTL_CONTEXT", "NO_COLOR", "SOURCE_DATE_EPOCH"),
    },
    "OpenTelemetry's": {"OTEL_SERVICE_NAME", "OTEL_TRACES_EXPORTER"},
    "keys of iocage and pot": {"CONFIG_TYPE", "CONFIG_VERSION", "POT_GATEWAY", "POT_NETMASK", "POT_ZFS_ROOT"},
    "pkg.conf(5)": {"ASSUME_ALWAYS_YES", "IGNORE_OSVERSION", "REPOS_DIR"},
    "capabilities(7)": {
        *("AUDIT_WRITE", "DAC_OVERRIDE", "NET_BIND_SERVICE", "SYS_CHROOT"),
        *("CAP_IPC_LOCK", "CAP_NET_RAW"),
    },
    "elf(5)": {
        *("DT_NEEDED", "DT_SONAME", "ET_DYN", "ET_EXEC", "PT_DYNAMIC", "PT_GNU_STACK", "PT_INTERP"),
        *("EM_386", "EM_AARCH64", "EM_ARM", "EM_PPC", "EM_PPC64", "EM_RISCV", "EM_S390", "EM_X86_64"),
    },
    "os-release(5), setrlimit(2), sysconf(3)": {"VERSION_ID", "RLIMIT_NOFILE", "SC_PAGE_SIZE", "SC_PHYS_PAGES"},
}


@functools.cache
def _texts_of_the_code() -> set[str]:
    """Every reason-like text in the daemon's own code, and what errors are raised with."""
    found: set[str] = set()
    for path in (ROOT / "jaild").rglob("*.py"):
        if "cli" in path.relative_to(ROOT).parts or path.name.endswith(("_pb2.py", "_pb2_grpc.py")):
            continue
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and _REASON.fullmatch(node.value):
                found.add(node.value)
            elif isinstance(node, ast.Call) and node.args and ast.unparse(node.func).endswith("Error"):
                found |= _families(node.args[0])
    return found


def _families(reason: ast.expr) -> set[str]:
    """A reason of one word, or `PEER_*` for one that is put together."""
    if isinstance(reason, ast.Constant) and isinstance(reason.value, str) and reason.value.isupper():
        return {reason.value}
    return set()


def _put_together() -> set[str]:
    """What stands before the braces of f-strings such as `PEER_{code}`."""
    source = (path.read_text() for path in (ROOT / "jaild" / "adapters").rglob("*.py"))
    return {f"{prefix}*" for text in source for prefix in re.findall(r'\bf"([A-Z]+_)\{error', text)}


def test_every_reason_in_the_code_is_in_the_documentation_and_the_other_way_round() -> None:
    known = set().union(*NOT_REASONS.values())
    documented = set(_FIRST_COLUMN.findall((ROOT / "docs" / "errors.md").read_text()))
    reasons = (_texts_of_the_code() - known) | _put_together()
    assert reasons - documented == set(), "in the code, not in docs/errors.md"
    assert documented - reasons == set(), "in docs/errors.md, not in the code"


def test_what_is_said_to_be_no_reason_is_still_in_the_code() -> None:
    assert set().union(*NOT_REASONS.values()) <= _texts_of_the_code()


def test_no_reason_is_documented_twice() -> None:
    documented = _FIRST_COLUMN.findall((ROOT / "docs" / "errors.md").read_text())
    assert sorted(documented) == sorted(set(documented))


def test_every_exit_status_is_in_the_operators_page() -> None:
    page = (ROOT / "docs" / "operators.md").read_text()
    for status, meaning in MEANING.items():
        assert f"| {status.value} | {meaning} |" in page


def test_the_sample_configuration_loads_and_shows_every_setting() -> None:
    sample = ROOT / "templates" / "jaild.yaml.sample"
    loaded = config.load(sample, {})
    shown = set(yaml.safe_load(sample.read_text()))
    assert loaded.grants["cache-team"].apps == ("redis", "varnish")
    assert loaded.listen is not None
    assert set(config.Config.__struct_fields__) == shown
    for field in (*config.Network.__struct_fields__, *Uploads.__struct_fields__):
        assert re.search(rf"^  (# )?{field}: ", sample.read_text(), re.MULTILINE), field


VALUES = {
    "base": "debian-12",
    "app": "web/1.4.0",
    "release": "7.0.15",
    "address": "10.0.0.20/24",
    "gateway": "10.0.0.1",
    "port": "8080",
    "path": "/healthz",
    "quota": "2G",
    "memory": "512M",
}


@pytest.mark.parametrize("template", sorted(path.stem for path in config.TEMPLATES.glob("*.yaml")))
async def test_a_template_filled_in_is_a_valid_spec(template: str) -> None:
    from jaild.adapters.files.host import HostFiles

    text = (config.TEMPLATES / f"{template}.yaml").read_text()
    places = set(re.findall(r"\$\{(\w+)\}", text))
    templates = Templates(HostFiles(ROOT / "build" / "no-spool"), (config.TEMPLATES,))
    spec = specfile.parse(await templates.render(template, {name: VALUES[name] for name in places}), template)
    assert speccheck.check(spec) == ()


NUMBERS = {"port"}  # of the places: what the spec wants as a number


@pytest.mark.parametrize("template", sorted(path.stem for path in config.TEMPLATES.glob("*.yaml")))
async def test_a_template_takes_every_text_as_text_whatever_yaml_makes_of_it(template: str) -> None:
    from jaild.adapters.files.host import HostFiles

    places = set(re.findall(r"\$\{(\w+)\}", (config.TEMPLATES / f"{template}.yaml").read_text()))
    templates = Templates(HostFiles(ROOT / "build" / "no-spool"), (config.TEMPLATES,))
    for odd in ("15.10", "1_0", "on", "2026-01-02", "null", "a: b", "x #y", "[z]", "\\n", '"'):
        values = {name: "80" if name in NUMBERS else odd for name in places}
        spec = specfile.parse(await templates.render(template, values), template)
        assert spec.base == odd


@pytest.mark.parametrize("sample", sorted(path.name for path in (ROOT / "templates/recipes").glob("*.yaml")))
def test_a_sample_recipe_is_a_valid_one(sample: str) -> None:
    text = (ROOT / "templates/recipes" / sample).read_text()
    assert recipecheck.check(specfile.parse_recipe(text, sample)) == ()


def test_the_recipe_in_the_documentation_is_the_samples() -> None:
    page = (ROOT / "docs/product-teams.md").read_text()
    shown = next(block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "steps:" in block)
    sample = specfile.parse_recipe((ROOT / "templates/recipes/static-site.yaml").read_text())
    assert msgspec.structs.replace(sample, timeout=3600.0) == specfile.parse_recipe(shown)


@pytest.mark.parametrize(
    "page", ["README.md", "CHANGELOG.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))]
)
def test_a_page_links_only_to_files_that_are_there(page: str) -> None:
    path = ROOT / page
    broken = [
        target
        for target in _LINK.findall(path.read_text())
        if "://" not in target and not (path.parent / target).exists()
    ]
    assert broken == []


_REFERENCE = re.compile(r"`((?:[\w-]+/)*\w+\.py):([\w.]+)`")


@functools.cache
def _names(path: Path) -> set[str]:
    """What a module defines: functions, classes, values, and the methods of its classes as `Class.method`."""
    found: set[str] = set()
    for node in parsed(path).body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.add(name)
            case ast.ClassDef(name=name, body=body):
                functions = (each for each in body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
                found |= {name, *(f"{name}.{each.name}" for each in functions)}
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
    return found


def test_what_the_architecture_page_points_to_is_in_the_code() -> None:
    references = _REFERENCE.findall((ROOT / "docs" / "architecture.md").read_text())
    broken = [
        f"{path}:{name}"
        for path, name in references
        if not (ROOT / "jaild" / path).is_file() or name not in _names(ROOT / "jaild" / path)
    ]
    assert len(references) > 50
    assert broken == []


_MODULE = re.compile(r"`jaild(?!\.v1|\.peer\.v1)((?:\.\w+)+)`")  # but for what is protobuf's
_FILE = re.compile(r"`(?:jaild/)?([a-z_]+(?:/\w+)+\.py)`")


def _is_in_jaild(dotted: str) -> bool:
    """Whether a dotted name begins with a module of jaild, and goes on with what that defines."""
    *above, last = dotted.strip(".").split(".")
    place = ROOT / "jaild"
    for at, part in enumerate([*above, last]):
        if (place / part).is_dir():
            place /= part
            continue
        rest = ".".join([*above, last][at + 1 :])
        module = place / f"{part}.py"
        return module.is_file() and (not rest or rest.split(".")[0] in _names(module))
    return True


def test_what_a_docstring_or_a_comment_names_of_jaild_is_in_the_code() -> None:
    """Decisions are left out: they tell what was."""
    checked, broken = 0, []
    for path in [*(ROOT / "jaild").rglob("*.py"), *(ROOT / "docs").glob("*.md"), ROOT / "README.md"]:
        text = path.read_text()
        for dotted in _MODULE.findall(text) if path.suffix == ".py" else ():  # on pages: jaild.yaml, jaild.db
            checked += 1
            broken += [] if _is_in_jaild(dotted) else [f"{path.relative_to(ROOT)}: jaild{dotted}"]
        for file in _FILE.findall(text):
            checked += 1
            there = any((ROOT / each / file).is_file() for each in ("jaild", "tests", "tests/unit", "."))
            broken += [] if there else [f"{path.relative_to(ROOT)}: {file}"]
    assert checked > 50
    assert broken == []


def test_the_architecture_page_has_the_rooms_in_the_order_of_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(each["layers"] for each in contracts if each["type"] == "layers")
    rooms = [re.findall(r"jaild\.(\w+)", layer) for layer in layers]
    page = (ROOT / "docs" / "architecture.md").read_text()
    shown = [re.findall(r"`(\w+)`", row) for row in re.findall(r"^\| (`.*?) \| ", page, re.MULTILINE)]
    place = {room: row for row, names in enumerate(shown) for room in names}
    assert [room for rooms_ in rooms for room in rooms_ if room not in place] == []
    order = [max(place[room] for room in layer) for layer in rooms]
    assert order == sorted(order)
