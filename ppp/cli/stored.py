"""What names a record on the command line: its id, or a release and an environment."""

import click

from ppp.check.cell import Observation
from ppp.model.release import Release
from ppp.runner.context import Context
from ppp.runner.stored import find_by_id, find_current, is_record_id

TARGET_METAVAR = "RECORD_ID|PACKAGE==VERSION"


def find_stored(context: Context, target: str, environment: str | None) -> Observation:
    """Return the record that TARGET and `-e` name; raise `UsageError` or `UnknownRecordError`."""
    if is_record_id(target):
        if environment is None:
            return find_by_id(context, target)
    elif environment is not None:
        package, _, version = target.partition("==")
        return find_current(context, Release.parse(package, version), environment)
    raise click.UsageError("name a record by its id, or PACKAGE==VERSION with -e ENVIRONMENT")
