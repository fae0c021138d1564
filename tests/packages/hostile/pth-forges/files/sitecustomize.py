import importlib
import sys
import types

importlib.import_module = lambda name, package=None: sys.modules.setdefault(name, types.ModuleType(name))
