"""The exhibits: what the shipped watchlist pins, and nothing else."""

from ppp.model.release import Release
from ppp.resources import resource
from ppp.watch import watchlist
from ppp.watch.exhibits import shipped_exhibits


def test_exhibits_are_the_pins_of_the_shipped_watchlist() -> None:
    wanted = watchlist.read(resource("matrices/watchlist.txt")).wanted
    assert {str(release) for release in shipped_exhibits()} == {str(one) for one in wanted if one.specifier}
    assert Release(package="pyyaml", version="5.4.1") in shipped_exhibits(), "names and versions are normalized"
    assert not {"six", "requests"} & {release.package for release in shipped_exhibits()}
