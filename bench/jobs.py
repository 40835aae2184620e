"""Whole jobs: the tutorial's model from import to the last epoch, each in a fresh process.

    python bench/jobs.py [--rounds 7] [--cpu 0]

Prints medians over the rounds: what `import fastgru` adds to `import numpy`; building, compiling
and fitting 20 epochs; one epoch of fit in the steady state, on the compiled operations and on the
NumPy reference; peak memory.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

import one_thread  # noqa: F401  (inherited by the processes that are measured)

from fastgru._bench.compare import readable

IMPORTS = """
import json, sys, time
start = time.perf_counter()
import numpy
middle = time.perf_counter()
import fastgru
end = time.perf_counter()
print(json.dumps({"import numpy": middle - start, "import fastgru, beyond NumPy": end - middle}))
"""

TUTORIAL = """
import json, resource, statistics, sys, time
import numpy as np
import fastgru
from fastgru import layers, models

class Stopwatch(fastgru.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.ends = []
    def on_epoch_end(self, epoch, logs=None):
        self.ends.append(time.perf_counter())

operations, = sys.argv[1:]
random = np.random.default_rng(1)
ids, labels = random.integers(0, 15, (5, 10)), np.array([1, 0, 1, 0, 1])
start = time.perf_counter()
with fastgru.use_ops(operations):
    model = models.Sequential([
        layers.Embedding(15, 8, input_length=10),
        layers.GRU(32),
        layers.Dense(1, activation="sigmoid"),
    ])
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    model.fit(ids, labels, epochs=20, verbose=0)
    first = time.perf_counter() - start
    watch = Stopwatch()
    model.fit(ids, labels, epochs=2000, verbose=0, callbacks=[watch])
epoch = statistics.median(np.diff(watch.ends[200:]).tolist())
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB, on macOS bytes
print(json.dumps({
    "build, compile, fit 20 epochs": first,
    "an epoch of fit, steady": epoch,
    "peak memory": peak if sys.platform == "darwin" else 1024 * peak,
}))
"""


def run(program: str, *arguments: str) -> dict[str, float]:
    """Run a program in a fresh process and return the figures that it prints."""
    command = [sys.executable, "-P", "-c", program, *arguments]  # -P: not the sources here
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    """Return the medians of figures of the same names."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def main() -> None:
    """Run each program in turn, round by round, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cpu", type=int, help="run on this core only")
    options = parser.parse_args()
    if options.cpu is not None:
        os.sched_setaffinity(0, {options.cpu})

    programs = {
        "import": (IMPORTS,),
        "fastgru": (TUTORIAL, "compiled"),
        "numpy": (TUTORIAL, "reference"),
    }
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in programs}
    for _ in range(options.rounds):  # in turn, so that a busy moment hits all
        for name, program in programs.items():
            runs[name].append(run(*program))
    for name, figures in ((name, medians(measured)) for name, measured in runs.items()):
        for what, value in figures.items():
            text = f"{value / 1e6:.0f} MB" if "memory" in what else readable(value)
            print(f"{name:8} {what:32} {text}")


if __name__ == "__main__":
    main()
