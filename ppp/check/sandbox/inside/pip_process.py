"""How a process of the keeper becomes one of pip: what is imported before, and what pip sees of the environment."""

from __future__ import annotations

import importlib
import importlib.machinery
import os
import sys
from types import ModuleType

#: The modules of pip that are imported before its first use: with what these import, all that a cell's uses need. From
#: 26.3 on, pip refuses to import anything once an installation has begun.
PRELOADED = (
    "cli.autocompletion",
    "cli.main",
    "cli.main_parser",
    "commands.check",
    "commands.install",
    "operations.check",
    "operations.install.wheel",
    "resolution.resolvelib.resolver",
)


def site_packages() -> str:
    """Return the path of this virtual environment's site-packages."""
    return os.path.join(sys.prefix, "lib", "python{}.{}".format(*sys.version_info[:2]), "site-packages")


class DistributionsOnlyFinder(importlib.machinery.FileFinder):
    """Finds the distributions in a folder, but none of its modules."""

    def find_spec(self, fullname: str, target: ModuleType | None = None) -> None:
        """Find nothing."""


def show_installed_to_pip() -> None:
    """Let pip see what is installed, as a freshly started interpreter would, and import nothing of it."""
    sys.path.append(site_packages())
    sys.path_importer_cache[site_packages()] = DistributionsOnlyFinder(site_packages())
    # Before Python 3.11 pip lists what is installed once, when it is imported.
    if loaded := sys.modules.get("pip._vendor.pkg_resources"):
        loaded.working_set.add_entry(site_packages())


def preload_pip() -> None:
    """Import what every use of pip needs, and let it compute what it would compute again each time."""
    for name in PRELOADED:
        importlib.import_module("pip._internal." + name)
    from pip._internal.network.session import user_agent
    from pip._internal.utils.compatibility_tags import get_supported

    user_agent()
    get_supported()
