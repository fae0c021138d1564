"""`ppp check`: check releases of the index, or files that no index has yet; exit codes and formats for CI systems."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import assert_never

import click

from ppp import pipeline
from ppp.check.given.reading import is_file_argument
from ppp.cli.environments import select_environments
from ppp.cli.options import (
    data_option,
    json_option,
    log_options,
    make_context,
    matrix_option,
    network_option,
    parse_packages,
    print_answer,
)
from ppp.cli.paths import NonEmptyPath
from ppp.cli.reports.github import annotations
from ppp.cli.reports.item import (
    ReportFormat,
    ReportItem,
    failure,
    of_file,
    of_release,
    parse_fail_on,
)
from ppp.cli.reports.junit import junit_report
from ppp.cli.reports.sarif import sarif_report
from ppp.cli.reports.text import json_of, json_report, text_of
from ppp.durability import replace_file
from ppp.model.errors import PPPError
from ppp.model.matrix import Environment, Matrix
from ppp.model.record import Result
from ppp.runner.context import Context


@click.command()
@click.argument("environments", metavar="ENVIRONMENT[,ENVIRONMENT...]")
@click.argument("targets", metavar="PACKAGE|FILE...", nargs=-1, required=True)
@click.option(
    "--fail-on",
    metavar="RESULTS",
    callback=parse_fail_on,
    default="FAIL",
    show_default=True,
    help="Exit with 1 for these results: some of FAIL,TIMEOUT,ERROR,NA, or none.",
)
@click.option(
    "--format",
    "report_format",
    type=click.Choice([str(each) for each in ReportFormat]),
    default=str(ReportFormat.TEXT),
    show_default=True,
    help="Write the results as text, JSON, annotations of GitHub Actions, SARIF 2.1.0 or JUnit XML.",
)
@click.option("--output", type=NonEmptyPath(), help="Write them to this file, and a line for each to standard output.")
@network_option
@matrix_option
@data_option
@log_options
@json_option
def check(
    *,
    environments: str,
    targets: tuple[str, ...],
    fail_on: frozenset[Result],
    report_format: str,
    output: Path | None,
    network: str | None,
    matrix: Path | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Check packages or files in environments now; show each phase.

    A FILE is a wheel or an sdist, such as ./dist/*.whl: it is checked as it would be if it were uploaded, with
    dependencies from the index and from the other files. Nothing of it is recorded. Of a PACKAGE the results are.

    \b
    Exit codes:
      0   no result that --fail-on names
      1   a result that --fail-on names
      2   the command line is wrong
      23  an environment is not available, or is unhealthy
      57  a FILE is missing, or is neither a wheel nor an sdist
      58  a check ended without a verdict (ERROR), for a reason that is not the package's
      59  no FILE is for an environment (all are NA there)
    With --fail-on none, results change nothing; docs/exit-codes.md has all others.
    """  # noqa: D301 - the escape is click's, which keeps the lines of the list
    if as_json and ReportFormat(report_format) is not ReportFormat.TEXT:
        raise click.UsageError("--json and --format contradict each other")
    are_files = {is_file_argument(target) for target in targets}
    if len(are_files) > 1:
        raise click.UsageError("name packages or files, not both: only results of packages are recorded")
    if output and not output.absolute().parent.is_dir():
        raise click.UsageError(f"the folder of --output does not exist: {output}")
    context = make_context(data, network=network)
    loaded, chosen = select_environments(matrix, [*dict.fromkeys(map(str.strip, environments.split(",")))])
    items, errors = _checked(context, loaded, chosen, targets, are_files=are_files == {True})
    _write(items, ReportFormat(report_format), fail_on, output, as_json=as_json)
    _finish(items, errors, fail_on)


def _checked(
    context: Context, matrix: Matrix, environments: Sequence[Environment], targets: tuple[str, ...], *, are_files: bool
) -> tuple[list[ReportItem], list[PPPError]]:
    """Return the results, and errors about what could not be checked."""
    if are_files:
        return [of_file(each) for each in pipeline.check_files(context, matrix, environments, targets)], []
    wanted = parse_packages(click.get_current_context(), click.Argument(["targets"]), targets)
    summary = pipeline.check(context, matrix, environments, wanted)
    errors = [error for error in (summary.unusable, summary.missing) if error]
    return [of_release(observation) for observation in summary.observations], errors


def _write(
    items: Sequence[ReportItem],
    report_format: ReportFormat,
    fail_on: Collection[Result],
    output: Path | None,
    *,
    as_json: bool,
) -> None:
    if as_json and output is None:
        for item in items:
            print_answer(json_of(item), "", as_json=True)
        return
    report = _report(items, ReportFormat.JSON if as_json else report_format, fail_on)
    if output is None:
        click.echo(report, nl=False)
        return
    replace_file(output, report.encode("utf-8", "replace"))
    for item in items:
        click.echo(item.line)


def _report(items: Sequence[ReportItem], report_format: ReportFormat, fail_on: Collection[Result]) -> str:
    match report_format:
        case ReportFormat.TEXT:
            return "".join(f"{text_of(item)}\n" for item in items)
        case ReportFormat.JSON:
            return json_report(items)
        case ReportFormat.GITHUB:
            return annotations(items, fail_on)
        case ReportFormat.SARIF:
            return sarif_report(items, fail_on)
        case ReportFormat.JUNIT:
            return junit_report(items)
        case _:
            assert_never(report_format)


def _finish(items: Sequence[ReportItem], errors: Sequence[PPPError], fail_on: Collection[Result]) -> None:
    """Exit with 1 for a result that is to fail; else raise the error that says what was not checked."""
    if any(item.result in fail_on for item in items):
        raise SystemExit(1)
    for error in (*errors, failure(items, fail_on)):
        if error:
            raise error
