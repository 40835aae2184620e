"""The example of sequence to sequence runs, and its models learn to write dates."""

import importlib.util
from pathlib import Path

import numpy as np

SCRIPT = Path(__file__).parents[1] / "examples" / "encoder_decoder.py"


def page():
    spec = importlib.util.spec_from_file_location("encoder_decoder", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_dates_are_written_in_many_ways():
    texts, dates = page().make_dates(400, np.random.default_rng(3))
    assert len(set(dates)) == 400 and all(len(date) == 10 for date in dates)
    assert all(date[:4] in text for text, date in zip(texts, dates, strict=True))
    assert {page().ordinal(n) for n in (1, 2, 3, 4, 11, 21)} == {
        "1st", "2nd", "3rd", "4th", "11th", "21st",
    }  # fmt: skip


def test_models_learn_to_write_dates(capsys):
    module = page()
    module.UNITS = 64
    right = module.main(["4 July 1976", "--samples", "4000", "--epochs", "24"])
    output = capsys.readouterr().out
    assert "4 july 1976 → " in output and f"{right:.1%} are right" in output
    assert right > 0.2  # with all samples, epochs and units, nearly all
