"""The command that installs what a cell's system lacked: by its platform, from its detail or from the log."""

from collections.abc import Callable

from ppp.ledger.published import observed_environments
from ppp.ledger.store import Store
from ppp.model.canonical import sha256_hex
from ppp.model.record import Record
from ppp.publish.packages.fixes import cell_fixes, command_for
from ppp.publish.packages.read import read_packages

LIBRARY = {"result": "FAIL", "cause": "shared-library", "detail": "libGL.so.1: cannot open shared object file"}
HEADER = {"result": "FAIL", "cause": "missing-header", "detail": "the build failed"}


def fixes(store: Store) -> dict[str, str]:
    (history,) = read_packages(store.db, ["six"], observed_environments(store.db))
    return cell_fixes(history.newest, history.logs)


def test_each_platform_has_its_own_command(store: Store, record: Callable[..., Record]) -> None:
    store.add_record(record("six", "1", "py312-slim", **LIBRARY))
    store.add_record(record("six", "1", "py312-alpine", **LIBRARY))
    store.add_record(record("six", "1", "py312-host", **LIBRARY))
    store.add_record(record("six", "1", "py39-slim"))
    assert fixes(store) == {"py312-slim": "apt-get install -y libgl1", "py312-alpine": "apk add mesa-gl"}


def test_a_log_says_what_its_detail_does_not(store: Store, record: Callable[..., Record]) -> None:
    log = "x.c:1:10: fatal error: ffi.h: No such file or directory\n"
    # One log stands for all cells that failed alike.
    store.add_record(record("six", "1", "py312-slim", log_sha256=sha256_hex(log.encode()), **HEADER), log)
    store.add_record(record("six", "1", "py311-slim", **HEADER))
    assert fixes(store) == dict.fromkeys(("py311-slim", "py312-slim"), "apt-get install -y libffi-dev")


def test_what_is_not_known_has_no_command(store: Store, record: Callable[..., Record]) -> None:
    store.add_record(record("six", "1", result="FAIL", cause="shared-library", detail="libmadeup.so.7: no"))
    assert fixes(store) == {}
    assert command_for("import-error", "libGL.so.1: no", ["py312-slim"]) is None


def test_a_module_lacks_the_same_on_two_platforms() -> None:
    words = "libGL.so.1: cannot open shared object file"
    assert command_for("shared-library", words, ["py39-slim", "py312-slim", "py312-alpine"]) == (
        "apt-get install -y libgl1 or apk add mesa-gl"
    )
