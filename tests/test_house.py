"""The shape of the code base: small folders, all packages under contract and types, commands that are there."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ["scalenas", "experiments", "scaling_search", "nas", "search_spaces"]
CODE = [*PACKAGES, "benchmarks", "tests"]
MODULES = sorted(path.relative_to(ROOT) for folder in (*CODE, "docs") for path in (ROOT / folder).rglob("*.py"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "experiments" / "results").rglob("*.md")])


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_no_folder_holds_more_than_15_modules() -> None:
    held = Counter(path.parent for path in MODULES if path.name != "__init__.py")
    assert {str(folder): count for folder, count in held.items() if count > 15} == {}


def test_every_folder_of_code_is_a_package() -> None:
    assert [str(path) for path in MODULES if not (ROOT / path.parent / "__init__.py").exists()] == []


def test_every_package_is_installed_typed_and_under_contract(project: dict[str, Any]) -> None:
    found = sorted(
        path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name not in ("benchmarks", "tests")
    )
    tools = project["tool"]
    first, *others = tools["importlinter"]["contracts"]
    assert found == sorted(PACKAGES)
    assert first["layers"] == PACKAGES
    assert {name for each in others for name in each.get("containers", ()) if each["exhaustive"]} == {*PACKAGES[1:]}
    assert sorted(tools["importlinter"]["root_packages"]) == sorted(PACKAGES)
    assert sorted(tools["mypy"]["packages"]) == sorted(CODE)
    assert sorted(tools["setuptools"]["packages"]["find"]["include"]) == sorted(f"{name}*" for name in PACKAGES)
    assert {name for name, data in tools["setuptools"]["package-data"].items() if "py.typed" in data} == {*PACKAGES}


NAMING = [*PAGES, *(ROOT / path for path in MODULES if path.parts[0] == "benchmarks")]


@pytest.mark.parametrize("page", NAMING, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_that_are_named_are_there(page: Path) -> None:
    for name in re.findall(r"python -m\s+((?:benchmarks|scalenas|experiments)[\w.]*\w)", page.read_text()):
        assert find_spec(name) is not None, f"{page.name} names {name}"
        if (ROOT / Path(*name.split("."))).is_dir():
            assert find_spec(f"{name}.__main__") is not None, f"{page.name} names {name}"


def test_tests_use_public_names() -> None:
    """Of our packages: what is imported, what is taken of an imported name, and what is named in a string."""
    private = re.compile(rf"(?:{'|'.join(PACKAGES)})\.[\w.]*\b_[a-zA-Z]\w*")
    found = []
    for path in (path for path in MODULES if path.parts[0] in ("tests", "benchmarks")):
        ours = set()
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            match node:
                case ast.ImportFrom(module=str(module), names=names) if module.split(".")[0] in PACKAGES:
                    ours |= {each.asname or each.name for each in names}
                    found += [f"{path}: {each.name}" for each in names if each.name.startswith("_")]
                case ast.Attribute(value=ast.Name(id=name), attr=attr) if name in ours and attr[0] == "_" != attr[1]:
                    found.append(f"{path}: {name}.{attr}")
                case ast.Constant(value=str(text)) if private.fullmatch(text):
                    found.append(f"{path}: {text}")
    assert found == []


def test_scripts_of_the_report_fit_the_page_and_tools_name_no_host() -> None:
    scripts = sorted((ROOT / "experiments" / "report" / "assets").glob("*.js"))
    assert len(scripts) > 5
    assert [script.name for script in scripts for line in script.read_text().splitlines() if len(line) > 120] == []
    assert '"resolved"' not in (ROOT / ".ci" / "javascript" / "package-lock.json").read_text()


WORDS = re.findall(
    r"^\| ([^|]+) \| [^|]+ \| `([\w./]+)`(?:: `(\w+)`)? \|$", (ROOT / "docs" / "words.md").read_text(), re.M
)


@pytest.mark.parametrize(("word", "place", "name"), WORDS, ids=[word for word, *_ in WORDS])
def test_words_are_where_the_glossary_says(word: str, place: str, name: str) -> None:
    assert word == word.strip()
    assert re.search(rf"\b{name}\b", (ROOT / place).read_text())


def test_every_line_of_the_glossary_is_checked() -> None:
    lines = [line for line in (ROOT / "docs" / "words.md").read_text().splitlines() if line.startswith("| ")]
    assert len(lines) - len(WORDS) == sum(line == "| word | what it is | where |" for line in lines)
    assert len({word for word, *_ in WORDS}) == len(WORDS)


def test_what_the_architecture_names_is_there() -> None:
    files = {f"/{path.relative_to(ROOT)}" for folder in (*CODE, "docs") for path in (ROOT / folder).rglob("*.*")} | {
        "/docs/words.md"
    }
    named = set(
        re.findall(r"[\w./]*\w\.(?:py|js|md)\b|\b[a-z_/]+/(?=[\s`)])", (ROOT / "docs" / "architecture.md").read_text())
    )
    assert len(named) > 80
    assert {name for name in named if not any(f"/{name}" in file for file in files)} == set()
