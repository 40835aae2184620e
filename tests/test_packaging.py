"""What is installed: its metadata, its files, what importing it costs."""

import importlib.metadata
import importlib.resources
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from pages import ROOT, code_of, text_of

import fastgru
from fastgru import _core


def python(code):
    """Return what `code` prints in a new interpreter."""
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


def test_metadata():
    metadata = importlib.metadata.metadata("fastgru")
    assert metadata["Version"] == fastgru.__version__
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"


def test_numpy_and_tqdm_are_all_it_needs():
    requirements = importlib.metadata.requires("fastgru")
    assert {r for r in requirements if "extra ==" not in r} == {"numpy>=2.0", "tqdm"}


def test_is_typed():
    package = importlib.resources.files("fastgru")
    assert package.joinpath("py.typed").is_file()
    assert package.joinpath("_core.pyi").is_file()


def test_extension_serves_every_later_python():
    if sysconfig.get_config_var("Py_GIL_DISABLED") or sys.platform == "win32":
        pytest.skip("no limited API without the GIL; Windows' file names do not tell")
    assert Path(_core.__file__).name == "_core.abi3.so"


def test_sources_that_are_not_built_say_what_to_do(tmp_path):
    package = tmp_path / "fastgru"
    built = shutil.ignore_patterns("_core.*", "__pycache__")
    shutil.copytree(Path(fastgru.__file__).parent, package, ignore=built)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"}
    ran = subprocess.run(
        [sys.executable, "-S", "-c", "import fastgru"],  # -S: without what is installed
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    message = ran.stderr.splitlines()[-1]
    assert message.startswith(f"ImportError: fastgru: no compiled core in {package}; ")
    assert message.endswith("or install it in place: pip install -e .")
    assert "During handling" not in ran.stderr


def test_import_loads_nothing_beyond_numpy():
    # Modules without a specification are Cython's own bookkeeping.
    code = (
        "import sys, numpy; before = set(sys.modules); import fastgru; "
        "print(*{name.partition('.')[0] for name, module in sys.modules.items() "
        "if name not in before and module.__spec__})"
    )
    loaded = set(python(code).split())
    assert loaded - sys.stdlib_module_names <= {"fastgru", "numpy"}


def test_import_adds_less_than_a_tenth_of_a_second():
    code = (
        "import time, numpy; start = time.perf_counter(); import fastgru; "
        "print(time.perf_counter() - start)"
    )
    assert min(float(python(code)) for _ in range(5)) < 0.1


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_documents_name_files_that_exist(name):
    text = text_of(name)
    paths = set(re.findall(r"\b(?:csrc|fastgru|tests|bench|examples)/[\w/]+\.\w+", text))
    assert paths
    assert not {path for path in paths if not (ROOT / path).exists()}


def test_the_readme_runs():
    accuracy, *_ = python("".join(code_of("README.md"))).split()
    assert float(accuracy) > 0.9
