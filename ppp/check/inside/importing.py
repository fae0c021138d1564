"""Imports one module, then prints the word that proves it: `importing MODULE WORD`.

The word is kept out of reach of plain looks (`sys.argv`, `__main__`), not of code that searches its own process for it.
"""

import importlib
import sys


def imported(module, word):
    """Import, then tell."""
    del sys.argv[1:]
    importlib.import_module(module)
    print("\n" + word, flush=True)


if __name__ == "__main__":
    imported(*sys.argv[1:])
