"""The command line of bubblewrap; one that does not work is not used."""

import os
from pathlib import Path
from typing import Final

import pytest
from cell_environments import LIMITS

from ppp.check.sandbox import bubblewrap
from ppp.check.sandbox.bubblewrap import SITE, BubblewrapError, Mounts
from ppp.check.sandbox.keeper_client import MIB, Layout

FILE: Final = "lib-1.0-py3-none-any.whl"


def layout(user: int | None) -> Layout:
    return bubblewrap.layout(FILE, user=user, environ={"PIP_NO_INPUT": "1"}, limits=LIMITS, site_folders=(SITE,))


def command(folder: Path, user: int | None = 1234) -> list[str]:
    (folder / "sockets").mkdir(exist_ok=True)
    mounts = Mounts(
        folders=["/opt/pythons/3.12", "/home/me/.pyenv"],
        pip=folder / "pip",
        file=folder / "file",
        sockets=folder / "sockets",
        site=folder / "site",
    )
    return bubblewrap.command("/usr/bin/bwrap", layout(user), mounts, LIMITS, filter_fd=7)


def pairs(words: list[str], option: str) -> list[tuple[str, str]]:
    return [(words[n + 1], words[n + 2]) for n, word in enumerate(words) if word == option]


def test_a_missing_bubblewrap_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BubblewrapError, match="no bubblewrap"):
        bubblewrap.find_bubblewrap({"PATH": str(tmp_path)})


def test_a_bubblewrap_that_does_not_work_says_why(tmp_path: Path) -> None:
    shim = tmp_path / "bwrap"
    shim.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    shim.chmod(0o755)
    with pytest.raises(BubblewrapError, match="does not work here: bwrap: No permissions"):
        bubblewrap.find_bubblewrap({"PATH": str(tmp_path)})


def test_an_architecture_without_a_filter_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shim := tmp_path / "bwrap").write_text("#!/bin/sh\nexit 0\n")
    shim.chmod(0o755)
    assert bubblewrap.find_bubblewrap({"PATH": str(tmp_path)}) == str(shim)
    monkeypatch.setattr("platform.machine", lambda: "vax")
    with pytest.raises(BubblewrapError, match="system calls of vax"):
        bubblewrap.find_bubblewrap({"PATH": str(tmp_path)})


@pytest.mark.sandbox
def test_a_bubblewrap_that_works_is_found_on_the_path() -> None:
    assert Path(bubblewrap.find_bubblewrap(os.environ)).name == "bwrap"


def test_each_cell_has_its_own_namespaces_and_ends_with_us(tmp_path: Path) -> None:
    words = command(tmp_path)
    assert words[0] == "/usr/bin/bwrap"
    assert {"--unshare-net", "--unshare-pid", "--unshare-ipc", "--die-with-parent", "--as-pid-1"} <= set(words)


def test_each_cell_has_the_filter_that_it_is_given(tmp_path: Path) -> None:
    words = command(tmp_path)
    assert [words[n + 1] for n, word in enumerate(words) if word == "--seccomp"] == ["7"]


def test_nothing_of_this_machine_is_bound_writable(tmp_path: Path) -> None:
    words = command(tmp_path)
    assert {word for word in words if "bind" in word} == {"--ro-bind-try"}
    seen = {place: source for source, place in pairs(words, "--ro-bind-try")}
    assert seen["/ppp/pip"] == str(tmp_path / "pip")
    assert seen["/ppp/file"] == str(tmp_path / "file")
    assert seen["/home/me/.pyenv"] == "/home/me/.pyenv"
    assert not {"/", "/etc", "/home", "/root", "/var", "/run", "/proc", "/sys", "/tmp"} & set(seen)  # noqa: S108
    assert words.index("--remount-ro") > words.index("--dev")
    # Nothing is laid over it once it is read-only.
    assert words[-4:] == ["--remount-ro", "/", "--chdir", "/"]


def test_writable_mounts_have_a_size_limit(tmp_path: Path) -> None:
    words = command(tmp_path)
    places = [n for n, word in enumerate(words) if word == "--tmpfs"]
    assert {words[n + 1] for n in places} == {"/ppp/work", "/tmp", "/dev/shm"}  # noqa: S108
    assert {tuple(words[n - 4 : n - 2]) for n in places} == {("--size", str(LIMITS.disk_mb * MIB))}


def test_parent_folders_of_an_interpreter_can_be_entered_by_all_users(tmp_path: Path) -> None:
    words = command(tmp_path)
    made = [words[n + 1] for n, word in enumerate(words) if word == "--dir"]
    assert {"/home", "/home/me", "/opt", "/opt/pythons", "/ppp"} <= set(made)
    assert made == sorted(made)


@pytest.mark.parametrize("user", [None, 1234])
def test_user_files_inside_show_nothing_of_this_machine(tmp_path: Path, user: int | None) -> None:
    words = command(tmp_path, user)
    sources = {place: source for source, place in pairs(words, "--ro-bind-try")}
    named = Path(sources["/etc/passwd"]).read_text().splitlines()
    number = os.geteuid() if user is None else user
    assert named[-1].startswith(f"nobody:x:{number}:")
    assert len(named) == (1 if user is None else 2)
    assert Path(sources["/etc/hosts"]).read_text() == "127.0.0.1 localhost\n"


def test_a_keeper_has_only_the_capabilities_to_change_users(tmp_path: Path) -> None:
    words = command(tmp_path)
    if os.geteuid() == 0:
        assert [words[n + 1] for n, word in enumerate(words) if word == "--cap-drop"] == ["ALL"]
        given = [words[n + 1] for n, word in enumerate(words) if word == "--cap-add"]
        assert given == ["CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"]
    else:
        assert "--unshare-user" in words
        assert "--cap-add" not in words


def test_limits_become_resource_limits() -> None:
    made = layout(1234)
    assert made.rlimits == {"RLIMIT_DATA": LIMITS.memory_mb * MIB, "RLIMIT_NPROC": LIMITS.processes}
    assert (made.user, made.file, made.gateway) == (1234, f"/ppp/file/{FILE}", "/ppp/sockets/socket")
