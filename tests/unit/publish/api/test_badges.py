"""Badges: a count with a label; the image and the endpoint agree, and the image is accessible."""

import json
from xml.etree import ElementTree as ET

import pytest

from ppp.model.record import Result
from ppp.publish.api.badges import badge_files, package_badge
from ppp.publish.packages.summary import PackageSummary
from ppp.schemas import schema_errors

SVG = "{http://www.w3.org/2000/svg}"


def part(**words: int) -> PackageSummary:
    tally = tuple((result, words[result]) for result in Result if words.get(result))
    return PackageSummary(package="six", version="1.17.0", result_counts=tally, as_of=1, findings={}, failing=())


@pytest.mark.parametrize(
    ("words", "message", "colour"),
    [
        ({"PASS": 6}, "6/6 environments", "brightgreen"),
        ({"PASS": 4, "FAIL": 1, "TIMEOUT": 1}, "4/6 environments", "orange"),
        ({"FAIL": 6}, "0/6 environments", "red"),
        ({"PASS": 2, "NA": 4}, "2/2 environments", "brightgreen"),
        ({"PASS": 5, "ERROR": 1}, "5/5 environments", "brightgreen"),
        ({"NA": 6}, "no verdict", "lightgrey"),
    ],
)
def test_message_and_colour(words: dict[str, int], message: str, colour: str) -> None:
    files = dict(badge_files(part(**words)))
    endpoint = json.loads(files["badge/six.json"])
    assert schema_errors("site/schemas/badge.schema.json", endpoint) == []
    assert (endpoint["message"], endpoint["color"]) == (message, colour)
    root = ET.fromstring(files["badge/six.svg"])  # noqa: S314 - our own
    assert [text.text for text in root.iter(f"{SVG}text")] == ["installs & imports", message]


def test_the_image_is_accessible_and_its_width_fits() -> None:
    made = part(PASS=3, FAIL=1, NA=2)
    root = ET.fromstring(dict(badge_files(made))["badge/six.svg"])  # noqa: S314 - our own
    (title,) = root.iter(f"{SVG}title")
    assert (root.get("role"), root.get("aria-labelledby")) == ("img", title.get("id"))
    assert title.text == "six 1.17.0 installs and imports in 3 of 4 environments, and 2 NA"
    assert sum(float(r.get("width", 0)) for r in root.iter(f"{SVG}rect")) == float(root.get("width", 0))
    badge = package_badge(made, "https://node.example/ppp/")
    assert (badge.description, badge.width) == (title.text, int(root.get("width", 0)))
    image, page = "https://node.example/ppp/badge/six.svg", "https://node.example/ppp/p/six/index.html"
    assert badge.markdown == f"[![six: installs & imports]({image})]({page})"
