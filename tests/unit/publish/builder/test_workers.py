"""Workers: other processes write the same as this one, and their errors arrive."""

from functools import partial
from pathlib import Path

import pytest

from ppp.ledger.published import list_packages, observed_environments
from ppp.ledger.store import Store
from ppp.model.errors import PublishError
from ppp.model.site_address import SiteAddresses
from ppp.publish.builder.workers import BuildParameters, WorkerContext, WorkerResult, start_workers
from ppp.publish.cache.build_cache import Owner, OwnerKind
from ppp.publish.folder import OutputFolder


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.mark.heavy
def test_other_processes_write_the_same_files(small: Store, tmp_path: Path) -> None:
    owners = [Owner(OwnerKind.PACKAGES, package) for package in list_packages(small.db)]

    def write(out: Path, parallel_from: int) -> list[WorkerResult]:
        parameters = BuildParameters(
            ledger=tmp_path / "data" / "ppp.db",
            out=out,
            environments=observed_environments(small.db),
            addresses=SiteAddresses(base_url="https://ppp.example/"),
            parallel_from=parallel_from,
        )
        with (
            small.db.atomic(),
            start_workers(WorkerContext(small.db, OutputFolder(out), parameters), len(owners)) as workers,
        ):
            return [
                *workers.write_owners(owners),
                *workers.write_pages(iter([("packages/a/index.html", partial(bytes, b"made"))])),
            ]

    assert write(tmp_path / "a", 1) == write(tmp_path / "b", 1_000)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "p").write_text("in the way")
    with pytest.raises(PublishError, match=r"cannot write .*/c/p/.*: Not a directory"):
        write(tmp_path / "c", 1)
