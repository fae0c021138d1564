from importlib.util import find_spec

try:
    import pkg_resources
except ImportError:
    pkg_resources = None
assert (find_spec("pkg_resources") is None) == (pkg_resources is None)
