"""What a node publishes about packages: read from its `api/v1/p/<package>.json`, which is not trusted."""

from typing import Any, Final

from ppp.mesh.untrusted import parse_document
from ppp.model.answers import CheckedCell, CheckedRelease, Knowledge
from ppp.model.errors import PeerError, RejectedDataError
from ppp.model.printable import printable_reason
from ppp.model.record import Result
from ppp.model.release import InvalidReleaseError, parse_version
from ppp.runner.published_site import PublishedSite

#: Bytes of one package's file: those of a package with a hundred releases stay far below.
MAX_BYTES: Final = 4_000_000
HINT: Final = "nothing of it was used: ask another node"


class PublishedKnowledge(PublishedSite):
    """Reads what is known of packages from the public folder of a node."""

    __slots__ = ()

    def environments(self) -> list[str]:
        """Return the environments in which the node has results; raise `PeerError` or `RejectedDataError`."""
        document = self._get("api/v1/index.json", "api")
        if document is None:
            raise PeerError(
                f"{printable_reason(self.url)} has no api/v1/index.json", hint="name the address of a published site"
            )
        return [*document["environments"]]

    def read(self, package: str) -> Knowledge:
        """Return what the node publishes about a package, nothing if it has no file about it.

        Raise `PeerError` if it does not answer, and `RejectedDataError` if what it sends is not such a file.
        """
        document = self._get(f"api/v1/p/{package}.json", "package")
        if document is None:
            return Knowledge()
        try:
            return parse_package_file(document)
        except InvalidReleaseError as error:
            raise RejectedDataError(
                f"what {printable_reason(self.url)} says of {package} is invalid: {error.message}", hint=HINT
            ) from error

    def _get(self, path: str, schema: str) -> Any:  # noqa: ANN401 - JSON, of which the schema says the form
        body = self.get(path, max_bytes=MAX_BYTES)
        if body is None:
            return None
        schema_path = f"site/schemas/{schema}.schema.json"
        return parse_document(body, what=self.place(path), schema=schema_path, max_bytes=MAX_BYTES)


def parse_package_file(document: dict[str, Any]) -> Knowledge:
    """Return what a file that its schema admits says: details of the newest release, results of the older ones.

    Raise `InvalidReleaseError` for a version that is none.
    """
    newest = {
        cell["environment"]: CheckedCell(
            result=Result(cell["result"]),
            cause=cell.get("cause"),
            detail=cell.get("detail"),
            blame=cell.get("blame"),
            standin=document["runs"][cell["run"]]["standin"] if cell["run"] < len(document["runs"]) else False,
        )
        for cell in document["cells"]
    }
    releases = [
        CheckedRelease(
            version=parse_version(listed["version"]),
            cells=newest
            if listed["version"] == document["version"]
            else {
                environment: CheckedCell(result=Result(result))
                for result, environments in listed["results"].items()
                for environment in environments
            },
        )
        for listed in document["history"]
    ]
    return Knowledge(releases=releases, passing=document["worked"])
