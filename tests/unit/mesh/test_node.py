"""The node's key: created once, inaccessible to others, never overwritten."""

import resource
import signal
import stat
from pathlib import Path

import pytest

from ppp.mesh.node import KEY_NAME, NodeKey, create_key, is_node_id, load_key, load_or_create_key, verify_signature
from ppp.model.errors import DataReadOnlyError, NodeError, PPPError
from ppp.model.node_seed import NodeSeed

# RFC 8032, section 7.1, test 1.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
SIGNATURE_OF_NOTHING = (
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb88215"
    "90a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
)


def test_keys_match_the_test_vectors_of_ed25519() -> None:
    key = NodeKey.from_seed(SEED)
    assert key.id == PUBLIC
    assert key.sign(b"") == SIGNATURE_OF_NOTHING
    assert verify_signature(PUBLIC, b"", SIGNATURE_OF_NOTHING)


@pytest.mark.attack("history")
@pytest.mark.parametrize(
    ("node_id", "message", "signature"),
    [
        (PUBLIC, b"x", SIGNATURE_OF_NOTHING),
        (PUBLIC, b"", "00" * 64),
        (PUBLIC, b"", SIGNATURE_OF_NOTHING[:-2]),
        (PUBLIC, b"", f"{SIGNATURE_OF_NOTHING}\n"),
        (PUBLIC, b"", SIGNATURE_OF_NOTHING.upper()),
        (PUBLIC, b"", ""),
        ("00" * 32, b"", SIGNATURE_OF_NOTHING),
        ("", b"", SIGNATURE_OF_NOTHING),
    ],
)
def test_another_nodes_signature_is_invalid(node_id: str, message: bytes, signature: str) -> None:
    assert not verify_signature(node_id, message, signature)


@pytest.mark.attack("credentials")
def test_the_secret_key_is_not_shown() -> None:
    assert repr(NodeKey.from_seed(SEED)) == f"NodeKey(id='{PUBLIC}')"


def test_a_created_key_can_be_loaded(tmp_path: Path) -> None:
    data = tmp_path / "new" / "data"
    made = create_key(data)
    assert is_node_id(made.id)
    assert stat.S_IMODE((data / KEY_NAME).stat().st_mode) == 0o600
    assert load_key(data).sign(b"x") == made.sign(b"x")
    assert create_key(tmp_path).id != made.id


@pytest.mark.attack("credentials")
def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    create_key(tmp_path)
    before = (tmp_path / KEY_NAME).read_bytes()
    with pytest.raises(NodeError, match="already exists"):
        create_key(tmp_path)
    assert (tmp_path / KEY_NAME).read_bytes() == before


def test_load_or_create_says_whether_it_created_one(tmp_path: Path) -> None:
    key, created = load_or_create_key(tmp_path)
    again, created_again = load_or_create_key(tmp_path)
    assert (created, created_again) == (True, False)
    assert key.id == again.id


def test_a_missing_key_is_reported(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match=r"no key at .*node\.key .*ppp node init"):
        load_key(tmp_path)


@pytest.mark.parametrize(
    "content", ["", "00" * 31, "00" * 33, "zz" * 32, "00" * 32 + "\n\n", "00" * 32 + " ", "é" * 32]
)
def test_a_damaged_key_is_reported_and_kept(tmp_path: Path, content: str) -> None:
    path = tmp_path / KEY_NAME
    path.write_text(content)
    path.chmod(0o600)
    for read in (load_key, load_or_create_key):
        with pytest.raises(NodeError, match="is not a key"):
            read(tmp_path)
    assert path.read_text() == content


@pytest.mark.attack("credentials")
@pytest.mark.parametrize("mode", [0o604, 0o640, 0o666, 0o620])
def test_a_key_that_others_can_read_is_not_used(tmp_path: Path, mode: int) -> None:
    create_key(tmp_path)
    (tmp_path / KEY_NAME).chmod(mode)
    with pytest.raises(NodeError, match=f"mode 0{mode:o}.*chmod 600"):
        load_key(tmp_path)


def test_a_key_that_is_a_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / KEY_NAME).mkdir()
    with pytest.raises(NodeError, match="cannot read"):
        load_key(tmp_path)


def test_a_folder_that_is_a_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PPPError, match="--data"):
        create_key(tmp_path / "file")


@pytest.mark.attack("crash-safe")
def test_no_incomplete_key_is_left_behind(tmp_path: Path) -> None:
    # A limit on the size of files stands for a disk that fills up while the key is written.
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limit[1]))
    try:
        with pytest.raises(DataReadOnlyError, match="File too large"):
            create_key(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []


def test_a_key_from_the_environment_needs_no_file_and_leaves_none(tmp_path: Path) -> None:
    given = NodeSeed(seed=SEED)
    data = tmp_path / "data"
    assert load_key(data, given).id == PUBLIC
    key, created = load_or_create_key(data, given)
    assert (key.id, created, data.exists()) == (PUBLIC, False, False)
    with pytest.raises(NodeError, match="PPP_NODE_KEY gives this node a key already"):
        create_key(data, given)


@pytest.mark.attack("credentials")
def test_a_key_from_the_environment_and_another_in_the_file_are_refused_and_not_shown(tmp_path: Path) -> None:
    made, given = create_key(tmp_path), NodeSeed(seed=SEED)
    for read in (load_key, load_or_create_key):
        with pytest.raises(NodeError, match=f"PPP_NODE_KEY holds the key of node {PUBLIC}.*{made.id}") as caught:
            read(tmp_path, given)
        assert SEED.hex() not in str(caught.value)
        assert (tmp_path / KEY_NAME).read_text().strip() not in str(caught.value)
    (tmp_path / KEY_NAME).write_text(f"{SEED.hex()}\n")
    assert load_key(tmp_path, given).id == PUBLIC
    (tmp_path / KEY_NAME).write_text("damaged")
    with pytest.raises(NodeError, match="is not a key"):
        load_key(tmp_path, given)
