"""Import this before NumPy: it gives every numerical library one thread."""

import os
import sys

if "numpy" in sys.modules:
    raise ImportError("one_thread: NumPy was loaded before its threads could be pinned")

for _library in ("FASTGRU", "MKL", "OMP", "OPENBLAS", "VECLIB"):
    _setting = "MAXIMUM" if _library == "VECLIB" else "NUM"
    os.environ[f"{_library}_{_setting}_THREADS"] = "1"
