"""Load a plugin of `site/datasette/plugins` as Datasette does: as a module of its own, from its file."""

import importlib.util
from types import ModuleType

from ppp.resources import resource


def load_plugin(name: str) -> ModuleType:
    """Return the plugin's module."""
    spec = importlib.util.spec_from_file_location(f"plugin_{name}", resource(f"site/datasette/plugins/{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
