"""The frames of the last traceback in an output."""

from ppp.check.tracebacks import MAX_FRAMES, Frame, last_frames

FIRST = 'Traceback (most recent call last):\n  File "/w/site-packages/a.py", line 1, in <module>\nKeyError: 1\n\n'
LAST = """\
Traceback (most recent call last):
  File "<string>", line 1, in <module>
  File "/usr/local/lib/python3.11/site-packages/lib/__init__.py", line 2, in <module>
    from . import part
  File "/usr/lib/python3/dist-packages/other/x.py", line 30, in load
    raise ValueError("no")
    ^^^^^^^^^^^^^^^^^^^^^^
  File "/w/site-packages/lib/old.py", line 4
    print "x"
SyntaxError: no
"""


def test_only_the_last_traceback_is_read() -> None:
    frames = last_frames(FIRST + LAST)
    assert [(frame.path, frame.installed, frame.line, frame.function) for frame in frames] == [
        ("<string>", False, 1, "<module>"),
        ("lib/__init__.py", True, 2, "<module>"),
        ("other/x.py", True, 30, "load"),
        ("lib/old.py", True, 4, ""),
    ]
    assert [frame.at_import for frame in frames] == [True, True, False, True]


def test_a_frame_shows_its_source() -> None:
    assert last_frames(LAST)[1] == Frame(
        path="lib/__init__.py", installed=True, line=2, function="<module>", source="from . import part"
    )
    assert not last_frames(LAST)[0].source


def test_without_a_traceback_there_are_no_frames() -> None:
    assert last_frames("ValueError: no\n") == ()


def test_the_innermost_frames_are_kept() -> None:
    many = FIRST + "".join(f'  File "/w/site-packages/m{n}.py", line 1, in f\n' for n in range(MAX_FRAMES + 9))
    assert len(last_frames(many)) == MAX_FRAMES
    assert last_frames(many)[-1].path == f"m{MAX_FRAMES + 8}.py"
