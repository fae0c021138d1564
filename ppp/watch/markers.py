"""Decide in which environments a requirement with a marker applies, as pip would there. Pure.

Of an environment that is not ready, only what its row in the matrix says is known. A marker that asks for anything else
leaves open whether its requirement applies: the requirement is then kept, because what a check finds is true anyway.
"""

import re
from collections.abc import Mapping
from typing import Final

from packaging.markers import Marker, UndefinedEnvironmentName

from ppp.model.matrix import Environment

#: The same in every environment of every matrix. Outside of a package's metadata pip has no extra.
_EVERYWHERE: Final = {"os_name": "posix", "sys_platform": "linux", "platform_system": "Linux", "extra": ""}
#: Variables whose values only a running interpreter knows, each with one for trying out a marker.
_OF_THE_INTERPRETER: Final = {
    "python_full_version": "3.12.0",
    "platform_machine": "x86_64",
    "platform_release": "6.1.0",
    "platform_version": "#1 SMP",
    "platform_python_implementation": "CPython",
    "implementation_name": "cpython",
    "implementation_version": "3.12.0",
}
_QUOTED: Final = re.compile(r"\"[^\"]*\"|'[^']*'")
_NAME: Final = re.compile("[a-z_]+")


def can_be_evaluated(marker: Marker) -> bool:
    """Return whether a marker has a value in every environment: not one of extras, or of what cannot be compared.

    Nor has one that quotes both kinds of quotation marks: it cannot be written down.
    """
    try:
        str(marker)
        marker.evaluate({**_EVERYWHERE, **_OF_THE_INTERPRETER, "python_version": "3.12"})
    except (ValueError, UndefinedEnvironmentName):
        return False
    return True


def applies_in(marker: Marker | None, environment: Environment, facts: Mapping[str, str]) -> bool | None:
    """Return whether a requirement with this marker applies in an environment; None if that is not known.

    `facts` are the values of marker variables that the environment's interpreter reported, none if it is not ready.
    """
    if marker is None:
        return True
    known = {**_EVERYWHERE, "python_version": environment.python, **facts}
    if (_names(marker) & _OF_THE_INTERPRETER.keys()) - known.keys():
        return None
    return marker.evaluate({**_OF_THE_INTERPRETER, **known})


def _names(marker: Marker) -> set[str]:
    return set(_NAME.findall(_QUOTED.sub("", str(marker))))
