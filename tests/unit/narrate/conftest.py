"""A ledger with facts of every kind, and a language model small enough to create in a test."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ppp.ledger.store import Store
from ppp.model.record import Outcome, Phase, Record, outcomes_in_order

DAY = "2024-04-25"
NOON = 1_714_046_400  # 2024-04-25T12:00:00Z
YESTERDAY = NOON - 86_400
SLIM = ("py39-slim", "py311-slim", "py312-slim")
ALPINE = ("py39-alpine", "py311-alpine", "py312-alpine")
EVERYWHERE = (*SLIM, *ALPINE)
OTHER_NODE = "cd" * 32

#: What a phase that failed leaves behind it: the later ones are gated.
IN_NODEPS = outcomes_in_order({Phase.DOWNLOAD: Outcome.PASS, Phase.NODEPS: Outcome.FAIL})
IN_DOWNLOAD_ERROR = outcomes_in_order({Phase.DOWNLOAD: Outcome.ERROR})
IN_FULL_TIMEOUT = outcomes_in_order(
    {Phase.DOWNLOAD: Outcome.PASS, Phase.NODEPS: Outcome.PASS, Phase.FULL: Outcome.TIMEOUT}
)

Build = Callable[..., Record]


def fill(store: Store, build: Build) -> None:
    """Fill a ledger with two days of records of three nodes, with each kind of finding at least once."""

    def add(package: str, version: str, environments: tuple[str, ...], **changes: object) -> None:
        for environment in environments:
            changes.setdefault("observed_at", NOON)
            changes["standin"] = environment.endswith("alpine")
            store.add_record(build(package, version, environment, **changes))

    failed = {"result": "FAIL", "outcomes": IN_NODEPS, "blame": None}
    add("wheelhouse", "1.0.0", EVERYWHERE, observed_at=YESTERDAY)
    add("wheelhouse", "1.1.0", SLIM)
    add("wheelhouse", "1.1.0", ALPINE, cause="no-compiler", **failed)
    add("mended", "3.0", SLIM, observed_at=YESTERDAY, cause="bad-metadata", **failed)
    add("mended", "3.0.1", SLIM)
    add("old-school", "0.9", ("py39-slim", "py311-slim"))
    add("old-school", "0.9", ("py312-slim",), cause="distutils-removed", **failed)
    add("ghost", "2.0", ("py312-slim",), result="FAIL", cause="module-missing")
    add("riddle", "5.2", ("py39-slim",), cause="unclassified", **failed)
    add("glibc-only", "4.0", SLIM)
    add("glibc-only", "4.0", ALPINE, result="NA", cause="no-distribution")
    add("slow", "1.0", ("py311-slim",), result="TIMEOUT", outcomes=IN_FULL_TIMEOUT, cause="timeout")
    add("slow", "1.0", ("py312-slim",), result="ERROR", outcomes=IN_DOWNLOAD_ERROR, cause="network")
    # A second record of a cell, from another node: it is superseded, and counted.
    add("mended", "3.0.1", ("py39-slim",), observed_at=NOON - 60, node=OTHER_NODE)


@pytest.fixture
def sample(store: Store, record: Build) -> Store:
    """The ledger that `fill` fills."""
    fill(store, record)
    return store


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random llama model of one layer, with tokens for bytes and ASCII; llama.cpp loads it in milliseconds."""
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    _write_model(path, context_tokens=1024)
    return path


@pytest.fixture(scope="session")
def write_model() -> Callable[..., None]:
    """A function that writes a model file with a given context, in tokens."""
    return _write_model


def _write_model(path: Path, *, context_tokens: int) -> None:
    """Write a random llama model with a given context, in tokens."""
    import gguf  # noqa: PLC0415 - only needed here
    import numpy as np  # noqa: PLC0415

    width, inner, heads = 8, 16, 2
    kinds = gguf.TokenType
    tokens = [("<unk>", kinds.UNKNOWN), ("<s>", kinds.CONTROL), ("</s>", kinds.CONTROL)]
    # Byte tokens must have the type BYTE, or llama.cpp aborts; the space must not, or it is printed as U+2581.
    tokens += [(f"<0x{byte:02X}>", kinds.BYTE) for byte in range(256)]
    tokens += [(text, kinds.NORMAL) for text in ("\u2581", *map(chr, range(0x21, 0x7F)))]

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(context_tokens)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_rope_dimension_count(width // heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list([text for text, _ in tokens])
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([kind for _, kind in tokens])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)

    random = np.random.default_rng(0)
    square = ("attn_q", "attn_k", "attn_v", "attn_output")
    shapes = {"token_embd": (len(tokens), width), "output": (len(tokens), width)}
    shapes |= {f"blk.0.{name}": (width, width) for name in square}
    shapes |= {"blk.0.ffn_gate": (inner, width), "blk.0.ffn_up": (inner, width), "blk.0.ffn_down": (width, inner)}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", random.standard_normal(shape, dtype=np.float32))
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(width, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
