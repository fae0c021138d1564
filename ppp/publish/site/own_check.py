"""Commands with which a reader checks a cell: PPP's own, and one of plain Docker that needs nothing of ours.

Names and versions of releases have no character that a shell minds, so that one level of quotes is enough; a module's
name comes from a package, and is left out unless it is one.
"""

import re
import shlex
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Final

from markupsafe import Markup, escape

from ppp.matrix_files import shipped_matrices
from ppp.model.matrix import EnvironmentId, Platform
from ppp.model.record import Record, Result
from ppp.model.release import Release
from ppp.publish.packages.history import CurrentRecord

_MODULE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*", re.ASCII)
_VERSION: Final = re.compile(r"[0-9][0-9a-z.+!]*")


def check_commands(cells: Sequence[CurrentRecord]) -> Markup:
    """Return what re-checks cells of one release: PPP's command for all of them, and Docker's for one.

    The one is the first that did not pass, else the first that can be had with an image.
    """
    sessions = " ".join(f'"check({current.record.environment})"' for current in cells)
    lines = [f"scripts/nox -s {sessions} -- {shlex.quote(str(cells[0].record.release))}"]
    lines += [line for line in [docker_command(current.record for current in cells)] if line]
    # Quotes need no escaping between tags.
    return Markup(str(escape("\n".join(lines))).replace("&#34;", '"').replace("&#39;", "'"))  # noqa: S704 - escaped


def docker_command(records: Iterable[Record]) -> str | None:
    """Return the command that does with plain Docker and pip what one of the cells is about; None without an image."""
    in_images = [record for record in records if EnvironmentId.parse(record.environment).platform is not Platform.HOST]
    if not in_images:
        return None
    record = min(in_images, key=lambda record: record.result is Result.PASS)
    # A stand-in is on no registry: the official image is what a reader wants to know about.
    digest = f"@{record.image_digest}" if record.image_digest and not record.standin else ""
    pin = f"pip install -q pip=={record.pip_version} && " if _VERSION.fullmatch(record.pip_version) else ""
    module = record.primary_module or next(iter(record.imports), "")
    imported = f' && python -c "import {module}"' if _MODULE.fullmatch(module) else ""
    run = f"{pin}pip install {record.release}{imported}"
    return f"docker run --rm {_image(record.environment)}{digest} sh -c '{run}'"


def pin_commands(package: str, version: str) -> tuple[str, str]:
    """Return the commands of pip and uv that install a version and no other."""
    pinned = shlex.quote(str(Release(package=package, version=version)))
    return f"pip install {pinned}", f"uv add {pinned}"


@cache
def _image(environment: str) -> str:
    # Peers have environments that no shipped matrix has: official images are named alike.
    images = {e.id: e.image for matrix in shipped_matrices().values() for e in matrix.environments}
    place = EnvironmentId.parse(environment)
    return images.get(environment) or f"python:{place.python_version}-{place.platform}"
