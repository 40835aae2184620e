"""The machine's vector peak, in multiply-adds, and how fast it reads from each level of memory.

python bench/limits.py [--threads 2]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from compiler import output

from fastgru._bench.machine import usable_cores

KB, MB = 1024, 1024**2


@dataclass(frozen=True)
class Limits:
    """What the machine's vector units can do at most. Matrix tiles (AMX) may be faster.

    peak : FLOP/s, by multiply-adds in vector registers
    read : bytes/s, by the number of bytes that are read again and again
    """

    peak: float
    read: dict[int, float]


def measure(threads: int, sizes: tuple[int, ...]) -> Limits:
    """Measure the limits of so many cores, for buffers of so many bytes."""
    cores = ",".join(map(str, usable_cores()[:threads]))
    lines = [line.split() for line in output("limits", cores, *sizes).splitlines()]
    rates = [float(rate) for _, rate in lines]
    return Limits(rates[0], dict(zip(sizes, rates[1:], strict=True)))


def seconds_at_best(B: int, T: int, I: int, H: int, G: int, limits: Limits) -> float:
    """Return the least time of a forward pass whose steps wait for the recurrent kernel U.

    U, of G gates, is read once a step, from wherever 4 G H² bytes live; the input's product runs
    at the vector peak.
    """
    U = 4 * G * H * H
    return T * U / limits.read[U] + 2 * B * T * G * H * I / limits.peak


def main() -> None:
    """Print the limits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    sizes = (16 * KB, 256 * KB, MB, 3 * MB, 12 * MB, 28 * MB, 100 * MB)
    limits = measure(parser.parse_args().threads, sizes)
    print(f"vector peak {limits.peak / 1e9:12.0f} GFLOP/s")
    for size, rate in limits.read.items():
        print(f"read {size / KB:11.0f} KB {rate / 1e9:6.0f} GB/s")


if __name__ == "__main__":
    main()
