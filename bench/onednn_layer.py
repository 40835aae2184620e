"""oneDNN's lbr_gru, lstm and vanilla_rnn, through a small C++ caller that is compiled here.

The packages onednn and onednn-devel, in an environment of their own, have all that it needs.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
Job = tuple[Callable[[], Any], Callable[[Any], Arrays]]

CELLS = ("gru", "lstm", "simple_rnn")  # in the order of the C++ caller

PREFIX = Path(sys.prefix)
# Its CPU engine is a SYCL device, which is found through OpenCL.
os.environ.setdefault("OCL_ICD_FILENAMES", str(PREFIX / "lib" / "libintelocl.so"))


def version() -> str:
    """Return the library's version."""
    number = _library.layer_version()
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"


def infer(cell: str, arrays: Arrays, threads: int) -> Job:
    """Run forward, time first, on weights that were reordered before."""
    layer = _Layer(cell, arrays, training=False)
    layer.run()
    _library.layer_keep_weights(layer.handle)
    return layer.run, lambda _: {"y": layer.time_first("y", "H")}


def train(cell: str, arrays: Arrays, threads: int) -> Job:
    """Run forward and backward, time first; weights are reordered each time."""
    layer = _Layer(cell, arrays, training=True)
    layer.write("dy", arrays["dy"].swapaxes(0, 1))

    def results(_: Any) -> Arrays:
        dbias = layer.read("dbias", layer.bias.shape)
        if cell == "gru":
            dz, dr, dn, dc = dbias
            dbias = np.stack([np.concatenate([dz, dr, d]) for d in (dn, dc)])
        return {
            "y": layer.time_first("y", "H"),
            "dx": layer.time_first("dx", "I"),
            "dkernel": layer.read("dkernel", arrays["kernel"].shape),
            "drecurrent_kernel": layer.read("drecurrent_kernel", arrays["recurrent_kernel"].shape),
            "dbias": dbias.reshape(arrays["bias"].shape),
        }

    return layer.run, results


def step(cell: str, arrays: Arrays, threads: int) -> Job:
    """Refuse: it has layers, not models."""
    raise NotImplementedError("it has no optimizer")


class _Layer:
    def __init__(self, cell: str, arrays: Arrays, training: bool) -> None:
        H = len(arrays["recurrent_kernel"])
        self.sizes = dict(zip("BTIH", (*arrays["x"].shape, H), strict=True))
        sizes = map(ctypes.c_long, self.sizes.values())
        made = _library.layer_create(CELLS.index(cell), *sizes, int(training))
        self.handle = ctypes.c_void_p(made)
        _check(self.handle)
        self.bias = arrays["bias"].reshape(-1, H)
        if cell == "gru":  # the two biases of z and r are one
            b, c = self.bias.reshape(2, 3, H)
            self.bias = np.stack([b[0] + c[0], b[1] + c[1], b[2], c[2]])
        self.write("x", arrays["x"].swapaxes(0, 1))
        self.write("kernel", arrays["kernel"])
        self.write("recurrent_kernel", arrays["recurrent_kernel"])
        self.write("bias", self.bias)

    def run(self) -> None:
        _check(_library.layer_run(self.handle))

    def write(self, name: str, a: np.ndarray) -> None:
        self._copy(name, np.ascontiguousarray(a, np.float32), 1)

    def read(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        a = np.empty(shape, np.float32)
        self._copy(name, a, 0)
        return a

    def time_first(self, name: str, last: str) -> np.ndarray:
        shape = (self.sizes["T"], self.sizes["B"], self.sizes[last])
        return self.read(name, shape).swapaxes(0, 1)

    def _copy(self, name: str, a: np.ndarray, write: int) -> None:
        data = a.ctypes.data_as(ctypes.c_void_p)
        _check(_library.layer_copy(self.handle, name.encode(), data, write))


def _check(result: Any) -> None:
    if not result:
        raise RuntimeError(_library.layer_error().decode())


def _compile(folder: str) -> ctypes.CDLL:
    """Compile the caller against the library of this environment, and load both."""
    lib, target = PREFIX / "lib", Path(folder) / "onednn_layer.so"
    if not (lib / "libdnnl.so").exists():
        raise NotImplementedError("the packages onednn and onednn-devel are not installed")
    source = Path(__file__).with_suffix(".cpp")
    command = ["c++", "-O2", "-std=c++17", "-shared", "-fPIC", f"-I{PREFIX / 'include'}", source]
    # The old kind of run path, which also serves the libraries that this one needs.
    link = [f"-L{lib}", "-ldnnl", f"-Wl,--disable-new-dtags,-rpath,{lib}"]
    subprocess.run([*command, "-o", target, *link], check=True)
    library = ctypes.CDLL(str(target))
    library.layer_create.restype = ctypes.c_void_p
    library.layer_error.restype = ctypes.c_char_p
    return library


with tempfile.TemporaryDirectory() as _folder:
    _library = _compile(_folder)
