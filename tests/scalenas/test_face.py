"""`import scalenas`: every public name, loaded when it is asked for."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import scalenas

HEAVY = {"torch", "optuna", "numpy", "pandas", "sklearn", "matplotlib", "click"}


@pytest.mark.parametrize("package", ["search_spaces", "nas", "scaling_search", "experiments"])
def test_all_names_of_a_package(package: str) -> None:
    module = import_module(package)
    for name in module.__all__:
        assert name in scalenas.__all__
        assert getattr(scalenas, name) is getattr(module, name)


def test_every_name_is_there() -> None:
    assert dir(scalenas) == sorted(set(scalenas.__all__))
    for name in scalenas.__all__:
        assert hasattr(scalenas, name)
    with pytest.raises(AttributeError, match="no attribute 'Bench'"):
        _ = scalenas.Bench  # type: ignore[attr-defined]


def loaded_by(code: str) -> set[str]:
    program = f"{code}\nimport sys; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )


def test_importing_it_loads_nothing_heavy() -> None:
    assert not HEAVY & loaded_by("import scalenas; scalenas.__version__; dir(scalenas)")


def test_architectures_and_coefficients_are_counted_without_torch() -> None:
    code = "from scalenas import Coefficients, count_macs, reference_arch, scale_arch\n"
    code += "count_macs(scale_arch(reference_arch('efficientnet_b0'), Coefficients(1.2, 1.1, 1.15), phi=1))"
    assert "torch" not in loaded_by(code)
    assert "torch" in loaded_by("from scalenas import build_network")


@pytest.mark.parametrize("kind", ["module", "package"])
def test_another_package_in_its_place_is_named(tmp_path: Path, kind: str) -> None:
    if kind == "module":
        (tmp_path / "search_spaces.py").write_text("")
    else:
        (tmp_path / "search_spaces").mkdir()
        (tmp_path / "search_spaces" / "__init__.py").write_text("")
    program = "import sys; sys.path.insert(0, '.'); import scalenas; scalenas.ArchSpec"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "hides the package 'search_spaces' of scalenas" in done.stderr.splitlines()[-1]
    assert str(tmp_path) in done.stderr.splitlines()[-1]
