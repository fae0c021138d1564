"""`ppp attest`: a verdict of this node is signed, written, and checked as a reader would."""

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ppp.cli import main
from ppp.ledger.store import Store
from ppp.mesh.node import create_key
from ppp.model.record import DistributionFile, Record

Attest = Callable[..., tuple[int, str, str]]


@pytest.fixture(name="wheel")
def _wheel(tmp_path: Path) -> Path:
    path = tmp_path / "six-1.17.0-py3-none-any.whl"
    path.write_bytes(b"some bytes")
    return path


@pytest.fixture(name="key")
def _key(tmp_path: Path, wheel: Path, record: Callable[..., Record]) -> str:
    key = create_key(tmp_path / "data").id
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    file = DistributionFile(filename=wheel.name, sha256=digest, size=wheel.stat().st_size)
    with Store.open(tmp_path / "data") as store:
        store.add_record(replace(record("six", "1.17.0", "py312-slim", file=file), node=key))
        store.add_record(replace(record("old", "1.0", "py312-slim", result="NA"), node=key))
    return key


@pytest.fixture(name="attest")
def _attest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Attest:
    def run(*arguments: str, data: str = "data") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ppp", "attest", *arguments, "--data", str(tmp_path / data)])
        with pytest.raises(SystemExit) as ended:
            main.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def test_what_is_signed_is_verified_with_the_file(attest: Attest, key: str, wheel: Path, tmp_path: Path) -> None:
    written = tmp_path / "six.json"
    assert attest("sign", "six==1.17.0", "-e", "py312-slim", "-o", str(written)) == (0, "", "")
    assert attest("sign", "six==1.17.0", "-e", "py312-slim")[1] == written.read_text()
    code, out, _ = attest("verify", str(written), "--file", str(wheel))
    assert (code, out) == (
        0,
        f"valid: node {key} says PASSED of {wheel.name} (sha256 {hashlib.sha256(b'some bytes').hexdigest()})\n",
    )
    # On another machine, where only the key is known.
    code, out, _ = attest("verify", str(written), "--key", key, "--json", data="nowhere")
    assert code == 0
    assert json.loads(out)["statement"]["subject"][0]["name"] == wheel.name


def test_another_file_a_changed_one_and_another_key_are_refused(
    attest: Attest, key: str, wheel: Path, tmp_path: Path
) -> None:
    written = tmp_path / "six.json"
    attest("sign", "six==1.17.0", "-e", "py312-slim", "-o", str(written))
    wheel.write_bytes(b"some Bytes")
    code, _, err = attest("verify", str(written), "--file", str(wheel))
    assert (code, "has the sha256" in err) == (78, True)
    code, _, err = attest("verify", str(written), "--key", "ab" * 32)
    assert (code, f"node {key} says to have signed it, which is not trusted here" in err) == (78, True)
    written.write_bytes(written.read_bytes().replace(b"payload", b"unknown", 1))
    assert attest("verify", str(written))[0] == 78
    code, _, err = attest("verify", str(tmp_path / "absent.json"))
    assert (code, "cannot be read" in err) == (78, True)


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["old==1.0", "-e", "py312-slim"], 79, "no verdict"),
        (["six==1.17.0", "-e", "py39-slim"], 72, "no record of six==1.17.0 in py39-slim"),
        (["six==1.17.0"], 2, "with -e ENVIRONMENT"),
    ],
)
def test_what_cannot_be_signed_is_said(attest: Attest, arguments: list[str], code: int, words: str) -> None:
    found, out, err = attest("sign", *arguments)
    assert (found, out) == (code, "")
    assert words in err
