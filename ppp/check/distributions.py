"""Which distributions are installed in a cell, and which of them brought a module. What they say is untrusted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from packaging.utils import canonicalize_name

from ppp.model.record import Installed

#: How many modules of all distributions together are kept.
MAX_MODULES: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Distributions:
    """The versions of the installed distributions by normalized name, and the distribution of each module.

    Modules are top-level names (`yaml`); where a distribution shares a namespace, the names inside it (`google/auth`).
    """

    versions: Mapping[str, str] = field(default_factory=dict)
    modules: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def of(installed: Iterable[Installed], owned: Iterable[tuple[str, Iterable[str]]] = ()) -> "Distributions":
        """Return what pip reports as installed, with the modules that each distribution's RECORD names.

        A module that two distributions name is nobody's: neither can be blamed for it.
        """
        modules: dict[str, str] = {}
        shared: set[str] = set()
        for name, names in owned:
            for module in names:
                if len(modules) < MAX_MODULES and modules.setdefault(module, canonicalize_name(name)) != (
                    canonicalize_name(name)
                ):
                    shared.add(module)
        return Distributions(
            versions={item.name: item.version for item in installed},
            modules={module: name for module, name in modules.items() if module not in shared},
        )

    def owner(self, module: str) -> str | None:
        """Return the normalized name of the distribution that brought a module (`google.auth.x`), None if unknown."""
        top, _, rest = module.replace("/", ".").partition(".")
        inner = f"{top}/{rest.partition('.')[0]}"
        name = self.modules.get(inner) or self.modules.get(top)
        if name is None and canonicalize_name(top) in self.versions:
            # Most projects are named after their module.
            return canonicalize_name(top)
        return name

    def described(self, name: str) -> str:
        """Return a distribution's name with its version, where that is known."""
        return f"{name} {self.versions[name]}" if name in self.versions else name
