"""Records: their JSON, their id, and the order of outcomes."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace

import pytest
from optional_fields import OPTIONAL

from ppp.model.canonical import canonical_json, sha256_hex
from ppp.model.record import (
    OPTIONAL_FIELDS,
    Blame,
    DistributionFile,
    Installed,
    Outcome,
    Phase,
    Record,
    Result,
    outcomes_in_order,
)
from ppp.model.release import InvalidReleaseError
from ppp.schemas import schema_errors

RECORD_SCHEMA = "site/schemas/record.schema.json"


def test_the_phases_are_in_order() -> None:
    assert list(Phase) == ["download", "nodeps", "full", "import"]


def test_a_phase_without_an_outcome_is_skipped() -> None:
    assert outcomes_in_order({Phase.DOWNLOAD: Outcome.FAIL}) == (Outcome.FAIL, Outcome.SKIP, Outcome.SKIP, Outcome.SKIP)
    assert outcomes_in_order({Phase.IMPORT: Outcome.PASS, Phase.FULL: Outcome.FAIL})[2:] == (Outcome.FAIL, Outcome.PASS)


def test_its_id_is_pinned(record: Callable[..., Record]) -> None:
    # Ids already published hang on these bytes: should this fail, the change breaks every ledger there is.
    pinned = replace(
        record(),
        file=DistributionFile(filename="é.whl", sha256="0" * 64, size=2**53 - 1),
        installed=(Installed(name="six", version="1.17.0", sha256=None),),
        bytes={Phase.DOWNLOAD: 12345},
        grounds={Phase.FULL: "no-applicable-dependency"},
    )
    assert canonical_json(pinned.to_json()).decode() == (
        '{"arch":"x86_64","blame":null,"bytes":{"download":12345},"cause":null,"detail":null,'
        '"duration_ms":{"download":10,"full":10,"import":10,'
        '"nodeps":10},"environment":"py312-slim","file":{"filename":"é.whl","sha256":"' + "0" * 64 + '",'
        '"size":9007199254740991},"grounds":{"full":"no-applicable-dependency"},"image_digest":null,'
        '"imports":["example_lib"],"installed":[["six","1.17.0",null]],'
        '"log_sha256":null,"network":"open","node":"'
        + "ab"
        * 32
        + '","observed_at":1714003200,"package":"example-lib",'
        '"phase_download":"PASS","phase_full":"PASS","phase_import":"PASS","phase_nodeps":"PASS","pip_version":"26.0.1",'
        '"python":"3.12.1","result":"PASS","standin":false,"version":"2.1.0"}'
    )
    assert pinned.id == sha256_hex(canonical_json(pinned.to_json()))


@pytest.mark.parametrize("result", list(Result))
def test_a_record_of_each_result_passes_its_schema(record: Callable[..., Record], result: Result) -> None:
    made = record(result=result, blame=Blame.PACKAGE, python=None, image_digest=f"sha256:{'0' * 64}", file=None)
    assert schema_errors(RECORD_SCHEMA, made.to_json()) == []
    assert Record.from_json(made.to_json()) == made


def test_any_field_that_differs_changes_the_id(record: Callable[..., Record]) -> None:
    base = record()
    ids = {base.id, replace(base, observed_at=base.observed_at + 1).id, replace(base, standin=True).id}
    ids |= {replace(base, detail="").id, replace(base, imports=()).id, replace(base, duration_ms={}).id}
    ids |= {replace(base, bytes={Phase.FULL: 0}).id, replace(base, grounds={Phase.FULL: "same-file"}).id}
    assert len(ids) == 8


def test_a_record_is_frozen(record: Callable[..., Record]) -> None:
    with pytest.raises(FrozenInstanceError):
        record().result = Result.FAIL  # type: ignore[misc]


def test_the_failed_phase(record: Callable[..., Record]) -> None:
    assert record().failed_phase is None
    assert record(result="FAIL").failed_phase is Phase.IMPORT
    assert record(outcomes=outcomes_in_order({Phase.DOWNLOAD: Outcome.ERROR})).failed_phase is Phase.DOWNLOAD


def test_a_bad_name_is_refused(record: Callable[..., Record]) -> None:
    with pytest.raises(InvalidReleaseError):
        Record.from_json({**record().to_json(), "package": "../etc"})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("package", "Six"),
        ("package", "six\n"),
        ("package", "six/../.."),
        ("version", "1.0\n"),
        ("version", "../1"),
        ("environment", "py312-slim\n"),
        ("environment", "py27-slim"),
        ("result", "MAYBE"),
        ("phase_full", "NA"),
        ("observed_at", -1),
        ("observed_at", 2**40),
        ("observed_at", "0"),
        ("node", "ab" * 31),
        ("node", f"{'ab' * 32}\n"),
        ("image_digest", "latest"),
        ("standin", 0),
        ("network", "internet"),
        ("file", {"filename": "../six.whl", "sha256": "0" * 64, "size": 1}),
        ("file", {"filename": "six.whl", "sha256": "0" * 64, "size": -1}),
        ("file", {"filename": "six.whl", "sha256": "0" * 64, "size": 2**53}),
        ("file", {"filename": "six.whl", "sha256": "0" * 64, "size": 1, "url": "https://files.example"}),
        ("imports", ["a"] * 65),
        ("installed", [["six", "1.0"]]),
        ("installed", [["six", "1.0", "0" * 63]]),
        ("duration_ms", {"download\n": 1}),
        ("duration_ms", {"upload": 1}),
        ("duration_ms", {"download": 2**53}),
        ("bytes", {"download\n": 1}),
        ("bytes", {"full": -1}),
        ("bytes", {"full": 2**53}),
        ("grounds", {"upload": "same-file"}),
        ("grounds", {"full": "it seemed right"}),
        ("grounds", {"full": 1}),
        ("cause", "No compiler"),
        ("blame", "you"),
        ("detail", "x" * 501),
        ("surprise", 1),
    ],
)
def test_the_schema_refuses_what_a_peer_could_send(record: Callable[..., Record], field: str, value: object) -> None:
    assert schema_errors(RECORD_SCHEMA, record().to_json()) == []
    mistakes = schema_errors(RECORD_SCHEMA, {**record().to_json(), field: value})
    assert len(mistakes) >= 1


@pytest.mark.parametrize("field", ["package", "result", "observed_at", "duration_ms", "bytes", "grounds", "log_sha256"])
def test_no_field_may_be_missing(record: Callable[..., Record], field: str) -> None:
    data = record().to_json()
    del data[field]
    assert schema_errors(RECORD_SCHEMA, data) == [f"the document: '{field}' is a required property"]


def test_the_optional_fields_are_all_known() -> None:
    assert OPTIONAL.keys() == OPTIONAL_FIELDS.keys()


def test_optional_fields_with_nothing_to_say_are_left_out(record: Callable[..., Record]) -> None:
    assert not OPTIONAL_FIELDS.keys() & record().to_json().keys()
    assert OPTIONAL_FIELDS.keys() <= record(**OPTIONAL).to_json().keys()


@pytest.mark.parametrize("name", OPTIONAL_FIELDS)
def test_an_optional_field_is_validated_read_and_part_of_the_id(record: Callable[..., Record], name: str) -> None:
    made = record(**{name: OPTIONAL[name]})
    assert schema_errors(RECORD_SCHEMA, made.to_json()) == []
    assert Record.from_json(made.to_json()) == made
    assert made.id != record().id
    assert schema_errors(RECORD_SCHEMA, {**made.to_json(), name: None})


@pytest.mark.parametrize("name", ["preinstalled", "yanked"])
def test_two_optional_fields_may_be_empty(record: Callable[..., Record], name: str) -> None:
    made = record(**{name: () if name == "preinstalled" else ""})
    assert schema_errors(RECORD_SCHEMA, made.to_json()) == []
    assert Record.from_json(made.to_json()) == made
    assert made.id != record().id


@pytest.mark.parametrize("name", ["relies_on", "import_failures"])
def test_an_empty_optional_list_is_not_valid(record: Callable[..., Record], name: str) -> None:
    assert schema_errors(RECORD_SCHEMA, {**record().to_json(), name: []})
