"""The descriptions of the ledger's tables and the saved queries, from `site/datasette/datasette.toml`.

Datasette's metadata and canned queries and the SQL page are all generated from this one definition.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final
from urllib.parse import urlencode

from ppp.model.canonical import Json
from ppp.resources import resource

#: The keys about the display of a table, which Datasette 1.0a expects in its configuration, not in its metadata.
DISPLAY_KEYS: Final = ("facets", "sort_desc", "label_column", "hidden")


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedQuery:
    """A saved query; `params` maps each of its parameters to an example value.

    `rows` is the table, with filters as in its address, whose pages have every row that the query is made from:
    Datasette cuts the results of queries. None where the query needs no more rows than are shown.
    """

    name: str
    title: str
    description: str
    sql: str
    params: Mapping[str, str]
    rows: str | None


@cache
def definition() -> dict[str, Json]:
    """Return the parsed definition."""
    return tomllib.loads(resource("site/datasette/datasette.toml").read_text("utf-8"))


def saved_queries() -> list[SavedQuery]:
    """Return the saved queries, in the order of the definition."""
    return [
        SavedQuery(
            name=name,
            title=query["title"],
            description=query["description"],
            sql=query["sql"].strip(),
            params=dict(query.get("params", {})),
            rows=query.get("rows"),
        )
        for name, query in definition()["queries"].items()
    ]


def permalink(name: str) -> str:
    """Return the URL fragment that runs a saved query without parameters on `sql/index.html`."""
    (query,) = (query for query in saved_queries() if query.name == name)
    return f"#{urlencode({'sql': query.sql}, safe='*')}"


def described_tables() -> dict[str, dict[str, Json]]:
    """Return the description and display settings of each table and view, by name."""
    return dict(definition()["tables"])


def materialized_views() -> dict[str, list[str]]:
    """Return the views that Datasette's copy stores as tables, each with the columns to index."""
    return dict(definition()["materialized"])


def added_columns() -> dict[str, dict[str, str]]:
    """Return the columns that Datasette's copy has in addition, by table, each with the expression that fills it."""
    return dict(definition()["columns"])


def indexes() -> dict[str, list[str]]:
    """Return the columns of the additional indexes of Datasette's copy, by table."""
    return dict(definition()["indexes"])
