"""Bars of downloads: what a terminal of any width gets of any wheels."""

import io
import re
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ppp.cli.env_progress import BarProgress, make_progress
from ppp.project_env.locked import LockedWheel

LONG: Final = "a-very-long-name-of-a-package-that-has-more-characters-than-a-terminal-has-columns-for-it"
_CONTROL: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def wheel(name: str, size: int | None) -> LockedWheel:
    filename = f"{name}-1.0-py3-none-any.whl"
    url = f"https://files.example/{filename}"
    return LockedWheel(name=name, version="1.0", filename=filename, url=url, sha256=f"{name:0<64}", size=size)


WHEELS = st.lists(
    st.builds(wheel, st.sampled_from(["a", "b", "c", LONG]), st.sampled_from([None, 1, 10**7, 10**10])),
    min_size=1,
    max_size=4,
    unique_by=lambda each: each.name,
)


def drawn(wheels: list[LockedWheel], columns: int) -> list[str]:
    """Return the lines of the last frame, while all of these wheels are being downloaded, without colours."""
    stream = io.StringIO()
    progress = BarProgress(Console(file=stream, force_terminal=True, width=columns, color_system=None))
    progress.begin(wheels)
    for each in wheels:
        progress.start(each, 0)
        progress.advance(each, (each.size or 1000) // 2)
    progress.end()
    frames = _CONTROL.sub("\0", stream.getvalue()).split("\0")
    return max((frame.splitlines() for frame in frames), key=len)


@given(wheels=WHEELS, columns=st.integers(min_value=20, max_value=200))
def test_each_bar_has_one_line_that_fits(wheels: list[LockedWheel], columns: int) -> None:
    lines = [line for line in drawn(wheels, columns) if line.strip()]
    assert len(lines) == len(wheels) + 1
    assert all(len(line) <= columns for line in lines)


@given(wheels=WHEELS, columns=st.integers(min_value=40, max_value=200))
def test_names_begin_lines_and_sizes_are_whole(wheels: list[LockedWheel], columns: int) -> None:
    _all, *lines = [line for line in drawn(wheels, columns) if line.strip()]
    for each, line in zip(wheels, lines, strict=True):
        assert line.startswith(each.name[:5])
        assert re.search(r"/(\?|1|10\.0|10) (byte|bytes|[kMG]B)", line), line


def test_a_wheel_that_begins_again_is_counted_once() -> None:
    stream = io.StringIO()
    progress = BarProgress(Console(file=stream, force_terminal=True, width=80, color_system=None))
    one = wheel("one", 1000)
    progress.begin([one])
    progress.start(one, 400)
    progress.advance(one, 300)
    progress.start(one, 0)
    progress.advance(one, 1000)
    progress.end()
    assert re.search(r"1 file .*1\.0/1\.0 kB", stream.getvalue())


def test_nothing_is_drawn_where_nothing_is_downloaded() -> None:
    stream = io.StringIO()
    progress = BarProgress(Console(file=stream, force_terminal=True, width=80))
    progress.begin([])
    progress.end()
    assert stream.getvalue() == ""


def test_elsewhere_a_line_is_printed_for_each_file() -> None:
    stream = io.StringIO()
    progress = make_progress(stream)
    one = wheel("one", 1000)
    progress.begin([one])
    progress.start(one, 400)
    progress.advance(one, 600)
    progress.finish(one)
    progress.end()
    assert stream.getvalue() == "downloaded one-1.0-py3-none-any.whl (1,000 bytes, resumed at 400)\n"
