"""Imports one module, then prints the word that proves it: `importing MODULE WORD`."""

import importlib
import sys

if __name__ == "__main__":
    module, word = sys.argv[1:]
    del sys.argv[1:]
    importlib.import_module(module)
    print("\n" + word, flush=True)
