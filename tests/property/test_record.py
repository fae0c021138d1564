"""Records: a round trip through JSON gives the same record and id, and every record is valid by its schema."""

import json

from hypothesis import given
from hypothesis import strategies as st

from ppp.model.canonical import canonical_json, plain_canonical_json, sha256_hex
from ppp.model.installed_files import RecordMismatch, SharedFile, SharedFiles
from ppp.model.record import (
    PHASES,
    Blame,
    BrokenEntryPoint,
    DistributionFile,
    EntryPoints,
    Installed,
    ModuleFailure,
    Network,
    Outcome,
    Preinstalled,
    Record,
    Result,
    Submodules,
    outcomes_in_order,
)
from ppp.model.release import Release
from ppp.schemas import schema_errors

#: The greatest integer that RFC 8785 writes exactly.
MAX_INTEGER = 2**53 - 1

digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
words = st.text(max_size=60)
packages = st.from_regex(r"[a-z0-9]{1,8}(-[a-z0-9]{1,8}){0,2}", fullmatch=True)
versions = st.sampled_from(["0", "1.0", "2024.1.1", "1!2.0rc1.post2.dev3", "1.0+cu118.x"])
sizes = st.integers(0, MAX_INTEGER)

names = st.from_regex(r"[a-z][a-z0-9-]{0,30}", fullmatch=True)
modules = words.filter(bool)
failures = st.builds(
    ModuleFailure,
    module=modules,
    outcome=st.sampled_from([Outcome.FAIL, Outcome.TIMEOUT, Outcome.ERROR, Outcome.SKIP]),
    cause=st.none() | names,
    detail=st.none() | words,
)
records = st.builds(
    Record,
    release=st.builds(Release, package=packages, version=versions),
    environment=st.from_regex(r"py3[0-9]{1,2}-(slim|alpine|host)", fullmatch=True),
    result=st.sampled_from(Result),
    outcomes=st.fixed_dictionaries({phase: st.sampled_from(Outcome) for phase in PHASES}).map(outcomes_in_order),
    observed_at=st.integers(0, 4_102_444_800),
    node=digests,
    arch=st.sampled_from(["x86_64", "aarch64"]),
    python=st.none() | st.sampled_from(["3.9.18", "3.13.0rc1"]),
    image_digest=st.none() | digests.map("sha256:{}".format),
    standin=st.booleans(),
    network=st.sampled_from(Network),
    pip_version=st.sampled_from(["26.0.1", "25"]),
    file=st.none()
    | st.builds(
        DistributionFile,
        filename=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,60}", fullmatch=True),
        sha256=digests,
        size=sizes,
    ),
    imports=st.lists(words, max_size=4).map(tuple),
    installed=st.lists(st.builds(Installed, name=words, version=words, sha256=st.none() | digests), max_size=4).map(
        tuple
    ),
    duration_ms=st.dictionaries(st.sampled_from(PHASES), sizes),
    cause=st.none() | st.from_regex(r"[a-z][a-z0-9-]{0,30}", fullmatch=True),
    blame=st.none() | st.sampled_from(Blame),
    detail=st.none() | words,
    log_sha256=st.none() | digests,
    bytes=st.dictionaries(st.sampled_from(PHASES), sizes),
    grounds=st.dictionaries(st.sampled_from(PHASES), names),
    preinstalled=st.none() | st.lists(st.builds(Preinstalled, name=words, version=words), max_size=3).map(tuple),
    relies_on=st.lists(words, max_size=2).map(tuple),
    primary_module=st.none() | modules,
    import_failures=st.lists(failures, max_size=2).map(tuple),
    submodules=st.none()
    | st.builds(Submodules, tried=sizes, left_out=sizes, failed=st.lists(failures, max_size=2).map(tuple)),
    entry_points=st.none()
    | st.builds(
        EntryPoints,
        tried=sizes,
        broken=st.lists(
            st.builds(BrokenEntryPoint, group=words, name=words, value=words, detail=words), max_size=2
        ).map(tuple),
    ),
    record_mismatch=st.none()
    | st.builds(
        RecordMismatch,
        missing=sizes,
        unlisted=sizes,
        different=sizes,
        examples=st.lists(words, min_size=1, max_size=3).map(tuple),
    ),
    shared_files=st.none()
    | st.builds(
        SharedFiles,
        conflicts=sizes,
        equal=sizes,
        files=st.lists(
            st.builds(
                SharedFile,
                path=modules,
                owners=st.lists(packages, min_size=2, max_size=3).map(tuple),
                equal=st.booleans(),
                kept=st.none() | packages,
            ),
            min_size=1,
            max_size=2,
        ).map(tuple),
    ),
    yanked=st.none() | words,
    project_status=st.none() | names,
)


@given(records)
def test_a_round_trip_through_json(record: Record) -> None:
    again = Record.from_json(json.loads(canonical_json(record.to_json())))
    assert again == record
    assert again.id == record.id


@given(records)
def test_every_record_is_valid(record: Record) -> None:
    assert schema_errors("site/schemas/record.schema.json", record.to_json()) == []


@given(records, st.randoms(use_true_random=False))
def test_the_id_does_not_depend_on_the_order_of_keys(record: Record, random: object) -> None:
    items = list(record.to_json().items())
    random.shuffle(items)  # type: ignore[attr-defined]
    assert sha256_hex(canonical_json(dict(items))) == record.id


@given(records, records)
def test_only_the_same_record_has_the_same_id(one: Record, other: Record) -> None:
    assert (one.id == other.id) == (one == other)


@given(records)
def test_the_failed_phase_is_the_first_that_needs_explaining(record: Record) -> None:
    unsettled = [p for p in PHASES if record.outcome(p) not in {Outcome.PASS, Outcome.SKIP}]
    assert record.failed_phase == (unsettled[0] if unsettled else None)


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | words,
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(st.characters(codec="ascii")), inner, max_size=5)
    ),
)


@given(plain_values)
def test_the_fast_writer_writes_the_same_canonical_json(value: object) -> None:
    assert plain_canonical_json(value) == canonical_json(value)
