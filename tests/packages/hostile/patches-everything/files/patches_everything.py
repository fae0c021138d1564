import builtins
import importlib
import os
import sys


def broken(*_, **__):
    raise RuntimeError("broken")


os.write = os.read = os._exit = os.getpid = os.fork = os.kill = broken
sys.exit = builtins.print = builtins.open = builtins.exit = importlib.import_module = broken
sys.stdout = sys.stderr = None
