"""``python -m fastgru``: commands about this installation."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from fastgru import show_config
from fastgru._bench import command
from fastgru.comparison import command as compare


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line; that of the process by default.
    """
    parser = argparse.ArgumentParser(prog="python -m fastgru", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    command.add_arguments(
        commands.add_parser("bench", help="time GRUs on this machine, beside the libraries found")
    )
    compare.add_arguments(
        commands.add_parser("compare", help="try simple RNN, GRU and LSTM on a CSV file")
    )
    commands.add_parser("config", help="print version, instruction sets, threads, compiler")
    options = parser.parse_args(arguments)
    if options.command == "config":
        show_config()
        return 0
    return compare.run(options) if options.command == "compare" else command.run(options)


if __name__ == "__main__":
    raise SystemExit(main())
