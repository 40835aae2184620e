"""Pictures of what models do and how they learn; they need matplotlib, the extra ``plot``.

Each function returns the figure. It is one of pyplot's, so ``plt.show()`` shows it and
``figure.savefig("picture.png")`` writes it into a file.
"""

from fastgru.plot._gates import gates
from fastgru.plot._history import history
from fastgru.plot._matplotlib import require_matplotlib as require_matplotlib

__all__ = ["gates", "history"]
