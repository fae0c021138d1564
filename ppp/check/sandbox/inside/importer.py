"""Imports one module, then proves that the import returned: `importer MODULE WATCHED HIDDEN SOCKET`, with `-I -S`.

In place of a module's name there may be `MODULE:ATTRIBUTE`, as in an entry point: then the attribute must be there too.

The response to the keeper's challenge is computed only after the import. All that it takes is captured before any of
the package's code runs, its `.pth` files included: what the package replaces or closes makes no difference.

WATCHED and HIDDEN are dotted names of modules, joined by commas. After the proof it names the watched ones that the
import loaded. The hidden ones cannot be imported, just as if they were not installed.
"""

from __future__ import annotations

import _socket
import importlib
import site
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

#: See `proof`.
RESPONSE_KEY = b"ppp: the import has come back.  \n"[:32]


def captured() -> tuple[Callable[[str], object], Callable[[str], Callable[[bytes], object]]]:
    """Return a function that imports a module, and one that proves it over a socket, made of what exists now.

    The latter returns a function that sends one more message.
    """
    create, to_bytes, pairs = _socket.socket, bytes, zip
    connect, receive, send = create.connect, create.recv, create.send
    family, kind = _socket.AF_UNIX, _socket.SOCK_SEQPACKET

    def prove(path: str) -> Callable[[bytes], object]:
        connection = create(family, kind)
        connect(connection, path)
        # The keeper closes the connection of any process but the one that it started.
        if challenge := receive(connection, 64):
            send(connection, to_bytes([a ^ b for a, b in pairs(challenge, RESPONSE_KEY)]))
        return lambda message: send(connection, message)

    return loader(), prove


def loader() -> Callable[[str], object]:
    """Return a function that imports what a name of the form `MODULE` or `MODULE:ATTRIBUTE` stands for.

    It raises `SystemExit` with a line that says so if the attribute is not there, or cannot be called.
    """
    import_module, import_from, look_up, can_call = importlib.import_module, __import__, getattr, callable
    absent, end = AttributeError, SystemExit

    def load(target: str) -> None:
        module, _, attribute = target.partition(":")
        if not attribute:
            import_module(module)
            return
        names = attribute.split(".")
        # Like a script's `from MODULE import NAME`, which finds submodules too.
        found = import_from(module, None, None, names[:1])
        try:
            for name in names:
                found = look_up(found, name)
        except absent:
            raise end(f"{module} has no attribute {attribute}") from None
        if not can_call(found):
            raise end(f"{target} cannot be called")

    return load


def watch(names: Sequence[str]) -> Callable[[], bytes]:
    """Return a function that names those of some modules that were loaded since, joined by commas."""
    modules = sys.modules
    absent = [name for name in names if name not in modules]
    return lambda: ",".join([name for name in absent if name in modules]).encode()


def hide(names: Sequence[str]) -> None:
    """Make modules, and those inside them, impossible to find, as if they were not installed."""
    from importlib.machinery import PathFinder

    hidden, inside = tuple(names), tuple(f"{name}." for name in names)

    class VisibleFinder(PathFinder):
        """Finds what `PathFinder` finds, except what is hidden."""

        @classmethod
        def find_spec(
            cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
        ) -> ModuleSpec | None:
            if fullname in hidden or fullname.startswith(inside):
                return None
            return super().find_spec(fullname, path, target)

    sys.meta_path[:] = [VisibleFinder if finder is PathFinder else finder for finder in sys.meta_path]


def main(module: str, watched: str, hidden: str, path: str) -> None:
    """Import a module, prove it, and name the watched modules that this loaded."""
    load, prove = captured()
    del sys.argv[1:]
    if hidden:
        hide(hidden.split(","))
    site.main()
    # What `.pth` files load, such as setuptools' own, is not the module's doing.
    loaded = watch(watched.split(",")) if watched else None
    load(module)
    tell = prove(path)
    if loaded:
        try:  # noqa: SIM105 - to import contextlib takes time
            tell(loaded())
        except Exception:  # noqa: BLE001, S110 - whatever the package has broken: the import is proved
            pass


if __name__ == "__main__":
    main(*sys.argv[1:])
