"""What a command prints is kept up to a limit."""

import os

import pytest

from ppp.check.sandbox.inside.output import TAIL_BYTES, Output


@pytest.mark.parametrize("chunk", [1, 7, 4096, 10**6])
@pytest.mark.parametrize("limit", [0, 100, TAIL_BYTES, TAIL_BYTES + 100])
def test_output_within_its_limit_is_kept_whole(chunk: int, limit: int) -> None:
    data = b"0123456789" * (limit // 10)
    output = Output(limit)
    for start in range(0, len(data), chunk):
        output.add(data[start : start + chunk])
    assert output.data() == data


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize("chunk", [1000, 4096, 10**7])
def test_output_is_cut_at_the_same_place_whatever_the_chunks(chunk: int) -> None:
    data = bytes(range(97, 107)) + b"-" * 500_000 + b"z" * TAIL_BYTES
    output = Output(TAIL_BYTES + 10)
    for start in range(0, len(data), chunk):
        output.add(data[start : start + chunk])
    assert output.data() == b"abcdefghij\n[500000 bytes of output cut here]\n" + b"z" * TAIL_BYTES


def test_the_rest_of_a_pipe_is_read_without_blocking() -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    output = Output(TAIL_BYTES)
    try:
        os.write(writing, b"one ")
        assert output.read_some(reading)
        assert output.read_some(reading), "more may follow while the other end is open"
        os.write(writing, b"two")
        output.read_rest(reading)
    finally:
        os.close(writing)
    assert output.read_some(reading) is False
    os.close(reading)
    assert output.data() == b"one two"
