"""The pages of episodes: one for each, the newest ones in one list, and all of a month in another."""

from collections.abc import Iterator, Sequence
from typing import Final

from ppp.publish import text
from ppp.publish.episodes.content import EPISODES_FOLDER, EpisodeContent, EpisodeFact, episode_page_path
from ppp.publish.episodes.listing import EpisodeListing, EpisodeSummary, Neighbours
from ppp.publish.packages.pages import PackagePages
from ppp.publish.site.addresses import datasette_database
from ppp.publish.site.templates import render

EPISODES_PAGE: Final = f"{EPISODES_FOLDER}/index.html"
#: Bytes of HTML for the episodes of a list, for an episode's sentences, its facts and its queries.
LIST_BUDGET: Final = 30_000
SCRIPT_BUDGET: Final = 20_000
FACTS_BUDGET: Final = 14_000
QUERIES_BUDGET: Final = 9_000
#: How many of the newest episodes the list of all begins with.
RECENT: Final = 14


def episode_page(
    episode: EpisodeContent, neighbours: Neighbours, pages: PackagePages, datasette_url: str = ""
) -> tuple[str, bytes]:
    """Return `/episodes/<period>/index.html`: what was said, who wrote it, and each fact with its SQL.

    What has no room is in `episode.json`, and the page says so. `datasette_url` is where a Datasette has the ledger,
    `""` if nowhere.
    """
    path = episode_page_path(episode.period.id)
    lines = text.fit_budget(episode.lines, SCRIPT_BUDGET, lambda line: 130 + 2 * text.html_size(line.text))
    facts = text.fit_budget(episode.facts, FACTS_BUDGET, _fact_bytes)
    queries = text.fit_budget(queries_of(episode.facts), QUERIES_BUDGET, lambda query: 120 + text.html_size(query[1]))
    page = render(
        "episode.html",
        path=path,
        episode=episode,
        lines=lines,
        facts=facts,
        queries=queries,
        neighbours=neighbours,
        pages=pages,
        datasette=datasette_database(datasette_url),
    )
    return path, page


def queries_of(facts: Sequence[EpisodeFact]) -> list[tuple[str, str]]:
    """Return the queries of facts, each once, with the kind of fact that it finds."""
    return [(kind, query) for query, kind in {fact.query: fact.kind for fact in facts}.items()]


def _fact_bytes(fact: EpisodeFact) -> int:
    return 220 + len(fact.kind) + sum(30 + len(name) + text.html_size(value) for name, value in fact.slots)


def archive_pages(listing: EpisodeListing, base_url: str) -> Iterator[tuple[str, bytes]]:
    """Yield `/episodes/index.html`, and `/episodes/<month>/index.html` of each month with an episode.

    Without the site's URL (`""`) there is no podcast, and the first of them says so.
    """
    months = listing.months
    recent = text.fit_budget(listing.episodes[:RECENT], LIST_BUDGET, lambda one: one.estimated_bytes)
    yield (
        EPISODES_PAGE,
        render(
            "episodes.html",
            path=EPISODES_PAGE,
            listing=listing,
            recent=recent,
            months=months,
            is_podcast=bool(base_url),
        ),
    )
    names = [*months]
    for place, (month, episodes) in enumerate(months.items()):
        path = month_path(month)
        shown: list[EpisodeSummary] = text.fit_budget(episodes, LIST_BUDGET, lambda one: one.estimated_bytes)
        yield (
            path,
            render(
                "episodes-month.html",
                path=path,
                month=month,
                episodes=shown,
                others=episodes[len(shown) :],
                before=names[place + 1] if place + 1 < len(names) else None,
                after=names[place - 1] if place else None,
            ),
        )


def month_path(month: str) -> str:
    """Return the path of the page of a month such as 2026-11."""
    return f"{EPISODES_FOLDER}/{month}/index.html"


def episode_page_paths(listing: EpisodeListing) -> Iterator[str]:
    """Yield the paths of all pages about episodes."""
    yield EPISODES_PAGE
    yield from (month_path(month) for month in listing.months)
    yield from (episode.path for episode in listing.episodes)
