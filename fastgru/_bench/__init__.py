"""How fast is it here? ``python -m fastgru bench``, and what the project's own benchmarks share."""
