"""The accuracy of exp, sigmoid and tanh, over every float32 there is, on every instruction set.

    python bench/ulp.py

Takes some minutes on two cores; --part 64 looks at every 64th block of floats only. Ends with
status 1 if an error is larger than 2 units in the last place, or a special value is wrong.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import one_thread  # noqa: F401  (before NumPy)
from compiler import NATIVE, compiled

import numpy as np  # isort: skip

from fastgru import _core, ops
from fastgru._bench.machine import usable_cores

FUNCTIONS = ("exp", "sigmoid", "tanh")  # as ulp.c counts them
ALLOWED = 2.0
BLOCK = 1 << 20
BLOCKS = (1 << 32) // BLOCK

Errors = dict[tuple[str, str], tuple[float, float, int]]  # by ISA and function: worst, where, wrong


def check(library: Path, blocks: range) -> Errors:
    """Check all functions on all instruction sets over some blocks of floats."""
    c = ctypes.CDLL(str(library))
    c.compare.restype = ctypes.c_double
    right = np.empty(BLOCK)
    errors: Errors = {}
    for block in blocks:
        bits = np.arange(BLOCK, dtype=np.uint32) + np.uint32(block * BLOCK)
        x = bits.view(np.float32)
        for number, name in enumerate(FUNCTIONS):
            c.evaluate(number, ctypes.c_long(BLOCK), pointer(x), pointer(right))
            for isa in _core.available_isas():
                _core.set_isa(isa)
                y = getattr(ops, name)(x)
                at, wrong = ctypes.c_long(), ctypes.c_long()
                arrays = (pointer(a) for a in (x, y, right))
                worst = c.compare(
                    ctypes.c_long(BLOCK), *arrays, ctypes.byref(at), ctypes.byref(wrong)
                )
                found = {(isa, name): (worst, float(x[at.value]), wrong.value)}
                errors = merge([errors, found])
    return errors


def pointer(a: np.ndarray) -> ctypes.c_void_p:
    """Return the address of an array's data."""
    return ctypes.c_void_p(a.ctypes.data)


def merge(parts: Iterable[Errors]) -> Errors:
    """Return the worst of several parts."""
    merged: Errors = {}
    for part in parts:
        for key, (worst, where, wrong) in part.items():
            before = merged.get(key, (-1.0, 0.0, 0))
            largest = max(before[:2], (worst, where))
            merged[key] = (*largest, before[2] + wrong)
    return merged


def main() -> None:
    """Check all floats and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", type=int, default=1, metavar="N", help="only every Nth block")
    step = parser.parse_args().part
    library = compiled("ulp", (*NATIVE, "-shared", "-fPIC"))
    processes = len(usable_cores())
    ranges = [range(i * step, BLOCKS, 64 * step) for i in range(64)]
    with ProcessPoolExecutor(processes) as pool:
        errors = merge(pool.map(check, [library] * len(ranges), ranges))

    print("| instruction set | function | largest error, ULP | at | special values wrong |")
    print("|---|---|---|---|---|")
    for (isa, name), (worst, where, wrong) in sorted(errors.items()):
        print(f"| {isa} | {name} | {worst:.4f} | {where.hex()} | {wrong} |")
    if any(worst > ALLOWED or wrong for worst, _, wrong in errors.values()):
        sys.exit("the error is larger than allowed, or a special value is wrong")


if __name__ == "__main__":
    main()
