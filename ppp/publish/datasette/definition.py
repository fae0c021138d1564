"""What is said of a ledger's tables and asked of them: the one definition in `site/datasette/datasette.toml`.

Datasette takes its descriptions and canned queries from it, the SQL page its saved ones.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final
from urllib.parse import urlencode

from ppp.model.record import Json
from ppp.resources import resource

#: How a table is shown, as against what it says: 1.0a wants these in its configuration.
DISPLAY_KEYS: Final = ("facets", "sort_desc", "label_column", "hidden")


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedQuery:
    """A question that people ask; `params` names what it asks for, each with an example."""

    name: str
    title: str
    description: str
    sql: str
    params: Mapping[str, str]


@cache
def definition() -> dict[str, Json]:
    """Give the whole definition, as its file says it."""
    return tomllib.loads(resource("site/datasette/datasette.toml").read_text("utf-8"))


def saved_queries() -> list[SavedQuery]:
    """Give the saved queries, in the order of the definition."""
    return [
        SavedQuery(
            name=name,
            title=query["title"],
            description=query["description"],
            sql=query["sql"].strip(),
            params=dict(query.get("params", {})),
        )
        for name, query in definition()["queries"].items()
    ]


def permalink(name: str) -> str:
    """Give what stands behind `sql/index.html` in an address that asks a saved query, one without parameters."""
    (query,) = (query for query in saved_queries() if query.name == name)
    return f"#{urlencode({'sql': query.sql}, safe='*')}"


def described_tables() -> dict[str, dict[str, Json]]:
    """Give what is said of each table and view, and how it is shown, by its name."""
    return dict(definition()["tables"])


def materialized_views() -> dict[str, list[str]]:
    """Give the views that Datasette's copy holds as tables, each with the columns of its indexes."""
    return dict(definition()["materialized"])


def indexes() -> dict[str, list[str]]:
    """Give the columns of the indexes that Datasette's copy has beyond the ledger's own, by table."""
    return dict(definition()["indexes"])
