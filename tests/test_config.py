"""show_config, and the instruction set it reports."""

import os
import subprocess
import sys

import numpy as np
import pytest

import fastgru
from fastgru import _core


def config_in_a_new_process(isa):
    """Run show_config in a process that has FASTGRU_ISA set to `isa`."""
    return subprocess.run(
        [sys.executable, "-c", "import fastgru; fastgru.show_config()"],
        env={**os.environ, "FASTGRU_ISA": isa},
        capture_output=True,
        text=True,
    )


def test_returned():
    config = fastgru.show_config("dicts")
    assert config == fastgru.show_config("dict")
    assert config["fastgru"] == fastgru.__version__
    assert config["numpy"] == np.__version__
    assert config["python"].endswith(sys.version.split()[0])
    assert config["isa"] == _core.isa()
    assert config["isa"] in config["available_isas"]
    assert isinstance(config["threads"], int) and config["threads"] >= 1
    assert config["compiler"].lower().startswith(("gcc", "clang", "apple clang"))


@pytest.mark.parametrize("mode", [None, "stdout"])
def test_printed(mode, capsys):
    assert fastgru.show_config(mode) is None
    lines = [line.split("  ", 1) for line in capsys.readouterr().out.splitlines()]
    printed = {name.replace(" ", "_"): value.strip() for name, value in lines}
    expected = fastgru.show_config("dicts")
    expected["available_isas"] = ", ".join(expected["available_isas"])
    assert printed == {name: str(value) for name, value in expected.items()}


def test_unknown_mode():
    with pytest.raises(ValueError, match="mode: expected .*'dicts'.*, got 'json'"):
        fastgru.show_config("json")


def test_environment_chooses_the_instruction_set(isa):
    ran = config_in_a_new_process(isa)
    assert ran.returncode == 0, ran.stderr
    assert f"isa             {isa}\n" in ran.stdout


def test_unsupported_instruction_set_is_an_error():
    ran = config_in_a_new_process("avx3")
    assert ran.returncode != 0
    assert "FASTGRU_ISA" in ran.stderr and "avx3" in ran.stderr
    assert all(isa in ran.stderr for isa in _core.available_isas())
