"""What the package shows, holds and imports."""

import ast
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module, resources
from pathlib import Path

import pytest

import imharmony
from imharmony.inference.models import MODELS

PUBLIC = [
    "Curves",
    "Harmonizer",
    "Result",
    "__version__",
    "curve_files",
    "errors",
    "harmonize",
    "harmonize_file",
    "read_photo",
    "write_photo",
]
OBJECTS = [
    name for name in PUBLIC if name not in ("__version__", "curve_files", "errors")
]
BASE_INSTALL = {
    *("numpy", "onnxruntime", "pyvips", "tifftools", "jpeglib", "typer", "rich"),
}
# Imported where needed, or under TYPE_CHECKING.
FOLDERS = {
    "batch": {"ray", "pyarrow", "fsspec"},
    "web": {
        *("fastapi", "starlette", "pydantic", "uvicorn", "h11", "python_multipart"),
        "prometheus_client",
    },
    "video": {"av", "OpenImageIO", "PyOpenColorIO", "Imath", "OpenEXR"},
}
EXTRAS = {
    "adapters.py": {"PIL"},
    "cost_plots.py": {"matplotlib"},
    "plots.py": {"matplotlib"},
    "curves.py": {"matplotlib"},
    "cloning.py": {"cv2"},
    "resampling.py": {"cv2", "PIL"},
    "tiff_codecs.py": {"tifffile", "imagecodecs"},
    "pillow_codecs.py": {"PIL", "pi_heif"},
}
MAX_WEIGHTS_BYTES = 9_000_000  # of all bundled weights together

PACKAGE = Path(imharmony.__file__).parent
PROJECT = Path(__file__).parents[1]
MODULES = sorted(PACKAGE.rglob("*.py"))


def modules_after(code: str) -> set[str]:
    """Run some Python on its own and return the packages that it imported."""
    report = "\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code + report],
        env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        check=True,
        text=True,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def imported_packages(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


def may_import_torch(path: Path) -> bool:
    """Training may, and of the benchmark what says so in its name."""
    place = path.relative_to(PACKAGE).parts
    return place[0] == "training" or (
        place[0] == "benchmark" and path.name.startswith("torch_")
    )


def name_of(path: Path) -> str:
    """Return a module's name, as it is imported."""
    place = path.relative_to(PACKAGE.parent).with_suffix("")
    return ".".join(place.parts).removesuffix(".__init__")


# Names


def test_public_names_are_the_checked_in_list() -> None:
    assert imharmony.__all__ == PUBLIC
    assert dir(imharmony) == PUBLIC


@pytest.mark.parametrize("name", OBJECTS)
def test_public_name_resolves_and_is_documented(name: str) -> None:
    value = getattr(imharmony, name)
    assert (value.__name__, value.__module__.partition(".")[0]) == (name, "imharmony")
    assert value.__doc__


def test_public_packages_and_version_resolve() -> None:
    for name in ("curve_files", "errors"):
        assert getattr(imharmony, name).__name__ == f"imharmony.{name}"
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert imharmony.__version__ == project["version"]


def test_public_name_is_the_same_object_as_at_home() -> None:
    home = import_module("imharmony.default")
    assert imharmony.harmonize is home.harmonize


def test_unknown_name_is_an_attribute_error() -> None:
    message = r"^module 'imharmony' has no attribute 'harmonise'$"
    with pytest.raises(AttributeError, match=message):
        _ = imharmony.harmonise


@pytest.mark.parametrize(
    "path",
    [p for p in MODULES if not may_import_torch(p) and p.stem != "__main__"],
    ids=lambda p: str(p.relative_to(PACKAGE)),
)
def test_names_that_a_module_exports_exist(path: Path) -> None:
    module = import_module(name_of(path))
    exported = getattr(module, "__all__", [])
    assert [name for name in exported if not hasattr(module, name)] == []


# Imports


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = {"numpy", "pyvips", "onnxruntime", "torch", "typer"}
    assert not heavy & modules_after("import imharmony")


def test_harmonizing_imports_no_torch() -> None:
    code = """
import numpy as np, imharmony
mask = np.eye(8, dtype=bool)
imharmony.harmonize(np.zeros((8, 8, 3), np.uint8), mask)
"""
    found = modules_after(code)
    assert "imharmony.harmonizer" in found
    assert not {"torch", "lightning", "imharmony.training"} & found


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if not may_import_torch(path)],
    ids=lambda p: str(p.relative_to(PACKAGE)),
)
def test_outside_training_the_base_install_is_enough(path: Path) -> None:
    allowed = BASE_INSTALL | sys.stdlib_module_names | {"imharmony"}
    allowed |= EXTRAS.get(path.name, set())
    for folder, packages in FOLDERS.items():
        if folder in path.parts:
            allowed |= packages
    assert set(imported_packages(path)) <= allowed


def test_base_install_is_what_the_project_file_says() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    names = {
        line.partition(">")[0].partition("[")[0] for line in project["dependencies"]
    }
    assert names == BASE_INSTALL


def test_entry_point_resolves() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    module, _, name = project["scripts"]["imharmony"].partition(":")
    assert callable(getattr(import_module(module), name))


# Files in the package


def test_package_holds_weights_and_types() -> None:
    package = resources.files("imharmony")
    held = {entry.name for entry in package.joinpath("weights").iterdir()}
    for model in MODELS:
        assert {f"{model}.onnx", f"{model}.safetensors"} <= held
    assert package.joinpath("py.typed").is_file()


def test_bundled_weights_are_small() -> None:
    # Checkpoints for further training stay in the repository.
    kept = (PACKAGE / "weights").iterdir()
    files = [path for path in kept if path.suffix != ".safetensors"]
    assert sum(path.stat().st_size for path in files) < MAX_WEIGHTS_BYTES


def test_models_are_files_of_the_package() -> None:
    assert all(path.parent == PACKAGE / "weights" for path in MODELS.values())
