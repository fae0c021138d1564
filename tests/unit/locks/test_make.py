from dataclasses import replace
from typing import Any

import pytest
from sample_lock import HASHES, NAMES, indexed_files, sample_pass

from ppp.locks.lock import LockStrength
from ppp.locks.make import locked_files, make_lock
from ppp.model.errors import LockRefusedError
from ppp.model.record import DistributionFile, Installed, Preinstalled, Record, Result

ID = "cd" * 32


def test_a_lock_names_each_file_by_name_address_size_and_hash() -> None:
    record = sample_pass("needed")
    lock = make_lock(record, ID, indexed_files())
    assert [(p.name, p.version, p.file.filename, p.file.sha256, p.file.size) for p in lock.packages] == [
        ("lib", "1.0", NAMES["lib"], HASHES["lib"], 7),
        ("needed", "2.0", NAMES["needed"], HASHES["needed"], 7),
    ]
    assert lock.requires_python == "==3.12.*"
    assert lock.strength is LockStrength.FILES
    origin = lock.origin
    assert (origin.environment, origin.arch, origin.python, origin.pip_version) == (
        "py312-slim", "x86_64", "3.12.1", "26.0.1",
    )  # fmt: skip
    assert (origin.image_digest, origin.evidence, origin.preinstalled) == (
        record.image_digest, (ID,), (("pip", "25.0"),),
    )  # fmt: skip


def test_a_lock_with_an_sdist_is_the_weaker_kind() -> None:
    assert make_lock(sample_pass("built"), ID, indexed_files()).strength is LockStrength.WEAKER


def test_the_files_that_are_needed_are_known_without_the_index() -> None:
    record = sample_pass("needed", "built")
    assert locked_files(record) == [(HASHES[one], one) for one in ("lib", "needed", "built")]


def test_an_unknown_file_is_named() -> None:
    files = {key: file for key, file in indexed_files().items() if file.project != "needed"}
    with pytest.raises(LockRefusedError, match="files of needed is not known here"):
        make_lock(sample_pass("needed"), ID, files)


@pytest.mark.parametrize("result", [each for each in Result if each is not Result.PASS])
def test_only_a_pass_has_a_lock(result: Result) -> None:
    with pytest.raises(LockRefusedError, match=f"is {result}"):
        make_lock(replace(sample_pass(), result=result), ID, indexed_files())


def _with(*installed: Installed) -> Record:
    return replace(sample_pass(), installed=installed)


OWN = sample_pass().installed[0]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (_with(replace(OWN, sha256=None)), "says that another file"),
        (_with(OWN, Installed(name="needed", version="2.0", sha256=None)), "no hash of needed 2.0"),
        (_with(OWN, Installed(name="ne ed", version="2.0", sha256=HASHES["needed"])), "is not a package name"),
        (_with(OWN, Installed(name="needed", version="two", sha256=HASHES["needed"])), "is not a version"),
        (_with(), "does not say what was installed"),
        (_with(OWN, OWN), "does not say what was installed"),
        (_with(OWN, replace(OWN, name="LIB")), "does not say what was installed"),
        (_with(replace(OWN, version="2.0")), "does not say what was installed"),
        (replace(sample_pass(), file=None), "another file"),
        (replace(sample_pass(), file=DistributionFile(filename="x", sha256="0" * 64, size=1)), "another file"),
    ],
)
def test_a_record_that_does_not_say_what_was_installed_has_no_lock(record: Record, message: str) -> None:
    with pytest.raises(LockRefusedError, match=message):
        make_lock(record, ID, indexed_files())


@pytest.mark.parametrize(
    "changes", [{"version": "1.1"}, {"filename": "lib-1.1-py3-none-any.whl"}, {"filename": "l.zip"}]
)
def test_a_file_that_the_index_lists_as_another_release_has_no_lock(changes: dict[str, Any]) -> None:
    files = indexed_files()
    key = (HASHES["lib"], "lib")
    with pytest.raises(LockRefusedError, match="whose name is not that of its release"):
        make_lock(sample_pass(), ID, {**files, key: replace(files[key], **changes)})


def test_a_preinstalled_version_of_an_unusual_form_is_left_out() -> None:
    odd = replace(sample_pass(), preinstalled=(Preinstalled(name="pip", version="25.0 (odd)"),))
    assert make_lock(odd, ID, indexed_files()).origin.preinstalled == ()
