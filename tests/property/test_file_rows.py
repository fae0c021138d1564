"""The rows of a list of files: the fast check and the schema accept the same ones."""

from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from ppp.mesh.files import is_file_row
from ppp.schemas import schema_errors

DIGEST: Final = "ab" * 32
TEXT: Final = st.text("aZ0_.-+!~/\\\n é%", max_size=12)
PATHS: Final = st.one_of(TEXT, TEXT.map(lambda text: f"batches/{text}"), st.sampled_from(["a" * 512, "a" * 513, "a\n"]))
SIZES: Final = st.one_of(st.integers(-2, 2**70), st.booleans(), st.none(), st.floats(allow_nan=False), TEXT)
DIGESTS: Final = st.one_of(st.just(DIGEST), st.sampled_from([DIGEST[1:], f"{DIGEST}\n", DIGEST.upper()]), st.none())
ROWS: Final = st.one_of(
    st.tuples(PATHS, SIZES, DIGESTS).map(list),
    st.lists(st.one_of(PATHS, SIZES, DIGESTS), max_size=4),
    st.dictionaries(TEXT, SIZES, max_size=3),
    TEXT,
)


@given(row=ROWS)
def test_the_fast_check_is_the_schema(row: Any) -> None:
    # A peer's numbers are integers: a fraction is rejected when its JSON is parsed.
    if isinstance(row, list) and any(isinstance(value, float) for value in row):
        return
    document = {"schema": "ppp-files-1", "files": [row]}
    assert is_file_row(row) == (schema_errors("site/schemas/files.schema.json", document) == [])
