"""Facts that open an episode: which night or week it is about, or that nothing was observed in it."""

from typing import Final

from ppp.narrate.queries.query import Chapter, FactKind, query
from ppp.narrate.slots import SlotType

_ANYTHING: Final = "EXISTS (SELECT 1 FROM records WHERE observed_at >= :start AND observed_at < :end)"

OPENING: Final = (
    query(
        FactKind.NIGHT,
        Chapter.OPENING,
        0,
        f"SELECT date(:start, 'unixepoch') AS day WHERE :unit = 'night' AND {_ANYTHING}",
        day=SlotType.DAY,
    ),
    query(
        FactKind.WEEK,
        Chapter.OPENING,
        0,
        f"""SELECT :period AS week, date(:start, 'unixepoch') AS first, date(:end - 1, 'unixepoch') AS last
            WHERE :unit = 'week' AND {_ANYTHING}""",
        week=SlotType.PERIOD,
        first=SlotType.DAY,
        last=SlotType.DAY,
    ),
    query(
        FactKind.QUIET,
        Chapter.OPENING,
        0,
        f"SELECT :period AS period WHERE NOT {_ANYTHING}",
        period=SlotType.PERIOD,
    ),
)
