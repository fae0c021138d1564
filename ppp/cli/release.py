"""`ppp release`: check a declared set of packages, make a signed release of it, and compare two."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from ppp.cli.environments import select_environments
from ppp.cli.options import (
    data_option,
    json_option,
    log_options,
    make_context,
    matrix_option,
    network_option,
    print_answer,
)
from ppp.cli.paths import NonEmptyPath
from ppp.declared.declaration import DeclaredSet, read_declaration
from ppp.declared.difference import compare_sets
from ppp.declared.folder import RELEASE_NAME, read_release
from ppp.declared.rules import Violation
from ppp.model.canonical import Json
from ppp.model.errors import DeclaredRulesError
from ppp.runner.declared import build_release, check_declared


@click.command("check")
@click.argument("path", metavar="FILE", type=NonEmptyPath())
@click.option("--without-cells", is_flag=True, help="Check all but the installation of the whole set.")
@network_option
@matrix_option
@data_option
@log_options
@json_option
def release_check(
    *, path: Path, without_cells: bool, network: str | None, matrix: Path | None, data: Path | None, as_json: bool
) -> None:
    """Check a declared set of packages.

    FILE is TOML: see docs/declared-releases.md. Each wheel must be one that the index lists, and say of itself what is
    declared; no two wheels of a project may be installable on one platform; what packages need must be in the set; and
    in each environment the whole set is installed together and imported. Exits with 81 if a rule is broken.
    """
    declared = read_declaration(path)
    context = make_context(data, network=network)
    loaded, chosen = select_environments(matrix, declared.environments)
    checked = check_declared(context, loaded, chosen, declared, runs_cells=not without_cells)
    _show_violations(checked.violations, declared, as_json=as_json)
    if not checked.violations and not as_json:
        click.echo(f"{declared.name}: {_counted(declared)}, no rule is broken")


@click.command("build")
@click.argument("path", metavar="FILE", type=NonEmptyPath())
@click.option("-o", "--output", metavar="FOLDER", type=NonEmptyPath(), required=True, help="Where releases are.")
@network_option
@matrix_option
@data_option
@log_options
@json_option
def release_build(
    *, path: Path, output: Path, network: str | None, matrix: Path | None, data: Path | None, as_json: bool
) -> None:
    """Check a declared set, and release it.

    The release is named by its content, signed by this node, and on top of the newest one in FOLDER; see `ppp release
    check` for the rules. A set that is the same as there makes no new one.
    """
    declared = read_declaration(path)
    context = make_context(data, network=network)
    loaded, chosen = select_environments(matrix, declared.environments)
    built = build_release(context, loaded, chosen, declared, output)
    if (release := built.release) is None:
        _show_violations(built.violations, declared, as_json=as_json)
        return
    place = output / declared.name / release.id
    what = f"release {release.number} of {declared.name}: {release.id}"
    text = f"{what}, in {place}" if built.is_new else f"nothing has changed since {what}"
    print_answer(
        {"id": release.id, "new": built.is_new, "folder": str(place), **release.document}, text, as_json=as_json
    )


@click.command("diff")
@click.argument("old", type=NonEmptyPath())
@click.argument("new", type=NonEmptyPath())
@json_option
def release_diff(*, old: Path, new: Path, as_json: bool) -> None:
    """Show what changed between two releases.

    OLD and NEW are folders of releases, their release.json, or TOML files of declared sets. Signatures are not checked:
    `ppp verify` does that.
    """
    before, now = (_read_set(path) for path in (old, new))
    found = compare_sets(before, now)
    print_answer(found.to_json(), "\n".join(found.lines()) or "the same", as_json=as_json)


def _read_set(path: Path) -> DeclaredSet:
    if path.suffix == ".toml":
        return read_declaration(path)
    return read_release(path / RELEASE_NAME if path.is_dir() else path).declared


def _counted(declared: DeclaredSet) -> str:
    packages, environments = len(declared.packages), len(declared.environments)
    many = f"{packages} packages" if packages != 1 else "1 package"
    return f"{many} in {environments} environments" if environments != 1 else f"{many} in 1 environment"


def _show_violations(violations: Sequence[Violation], declared: DeclaredSet, *, as_json: bool) -> None:
    """Print what breaks rules; raise `DeclaredRulesError` if anything does."""
    rows: list[Json] = [
        {"rule": str(one.rule), "about": one.about, "problem": one.problem, "change": one.change} for one in violations
    ]
    if as_json or rows:
        print_answer({"name": declared.name, "violations": rows}, "\n".join(map(str, violations)), as_json=as_json)
    if count := len(rows):
        sys.stdout.flush()
        things = "1 thing breaks" if count == 1 else f"{count} things break"
        raise DeclaredRulesError(
            f"{things} the rules for {declared.name}", hint="above is what, and what to change; nothing was released"
        )
