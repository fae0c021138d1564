"""Language models of random weights in GGUF files: tiny ones for tests, and ones of a real shape for benchmarks.

llama.cpp loads the tiny one in milliseconds. What a model says depends on its weights, how fast it is on its shape.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """The shape of a llama model; `is_quantized` says whether its matrices have 4.5 bits a weight (Q4_K) or 32."""

    width: int
    inner: int
    heads: int
    kv_heads: int
    layers: int
    vocabulary: int
    context_tokens: int
    is_quantized: bool = True

    @property
    def matrices(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """The names of the matrices, with their rows and columns."""
        kv_width = self.width // self.heads * self.kv_heads
        yield "token_embd", (self.vocabulary, self.width)
        yield "output", (self.vocabulary, self.width)
        for layer in range(self.layers):
            yield f"blk.{layer}.attn_q", (self.width, self.width)
            yield f"blk.{layer}.attn_k", (kv_width, self.width)
            yield f"blk.{layer}.attn_v", (kv_width, self.width)
            yield f"blk.{layer}.attn_output", (self.width, self.width)
            yield f"blk.{layer}.ffn_gate", (self.inner, self.width)
            yield f"blk.{layer}.ffn_up", (self.inner, self.width)
            yield f"blk.{layer}.ffn_down", (self.width, self.inner)

    @property
    def parameters(self) -> int:
        """The number of weights of the matrices."""
        return sum(rows * columns for _, (rows, columns) in self.matrices)

    @property
    def file_bytes(self) -> int:
        """About how large the file is."""
        return self.parameters * (Q4_K_BYTES if self.is_quantized else 4 * Q4_K_WEIGHTS) // Q4_K_WEIGHTS


#: A block of Q4_K: two scales of 16 bits, 12 bytes of smaller ones, and 4 bits for each weight.
Q4_K_WEIGHTS: Final = 256
Q4_K_BYTES: Final = 144
#: Bytes, ASCII and three more.
SMALLEST_VOCABULARY: Final = 354
TINY: Final = ModelShape(
    width=8,
    inner=16,
    heads=2,
    kv_heads=2,
    layers=1,
    vocabulary=SMALLEST_VOCABULARY,
    context_tokens=1024,
    is_quantized=False,
)


def write_tiny_model(path: Path, *, context_tokens: int = 1024) -> None:
    """Write a random model of one layer with a given context, in tokens; its tokens are bytes and ASCII."""
    write_model(path, TINY, context_tokens=context_tokens)


def write_model(path: Path, shape: ModelShape, *, context_tokens: int | None = None) -> None:
    """Write a llama model of a shape with random weights; matrices of one shape share theirs."""
    import gguf  # noqa: PLC0415 - it takes a second, and most tests need no model
    import numpy as np  # noqa: PLC0415

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(context_tokens or shape.context_tokens)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.width // shape.heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(shape.vocabulary)
    _add_vocabulary(writer, shape.vocabulary)
    random = np.random.default_rng(0)
    made: dict[tuple[int, int], Any] = {}
    for name, of in shape.matrices:
        if of not in made:
            made[of] = _random_q4_k(random, of) if shape.is_quantized else _random_floats(random, of)
        dtype = gguf.GGMLQuantizationType.Q4_K if shape.is_quantized else None
        writer.add_tensor(f"{name}.weight", made[of], raw_dtype=dtype)
    norms = [f"blk.{layer}.{name}" for layer in range(shape.layers) for name in ("attn_norm", "ffn_norm")]
    for name in ("output_norm", *norms):
        writer.add_tensor(f"{name}.weight", np.ones(shape.width, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _random_floats(random: Any, shape: tuple[int, int]) -> Any:
    """Return small random weights, so that no token is much likelier than the others."""
    import numpy as np  # noqa: PLC0415

    return random.standard_normal(shape, dtype=np.float32) * np.float32(0.1)


def _random_q4_k(random: Any, shape: tuple[int, int]) -> Any:
    """Return random blocks of a matrix's rows, as bytes; the weights' mean is about 0."""
    import numpy as np  # noqa: PLC0415

    rows, columns = shape
    blocks = random.integers(0, 256, (rows, columns // Q4_K_WEIGHTS, Q4_K_BYTES), dtype=np.uint8)
    # Random scales would include infinity, and what is not a number.
    blocks[..., :4] = np.frombuffer(np.array([1e-4, 7.5e-4], dtype=np.float16).tobytes(), dtype=np.uint8)
    return blocks.reshape(rows, -1)


def _add_vocabulary(writer: Any, size: int) -> None:
    import gguf  # noqa: PLC0415

    kinds = gguf.TokenType
    tokens = [("<unk>", kinds.UNKNOWN), ("<s>", kinds.CONTROL), ("</s>", kinds.CONTROL)]
    # Byte tokens must have the type BYTE, or llama.cpp aborts; the space must not, or it is printed as U+2581.
    tokens += [(f"<0x{byte:02X}>", kinds.BYTE) for byte in range(256)]
    tokens += [(text, kinds.NORMAL) for text in ("\u2581", *map(chr, range(0x21, 0x7F)))]
    tokens += [(f"\u2581w{number}", kinds.NORMAL) for number in range(size - len(tokens))]
    writer.add_tokenizer_model("llama")
    writer.add_token_list([text for text, _ in tokens])
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([kind for _, kind in tokens])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
