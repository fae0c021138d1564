"""What a person clicks, or runs, so that a fork on GitHub is a node: the steps, with links into that fork.

The address comes from git's remote `origin`, without the credentials that it may hold. Elsewhere the links are generic.
"""

import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ppp.model.node_seed import SEED_VARIABLE

HOST: Final = "github.com"
#: The branch that keeps a node's state between two runs of the workflow.
STATE_BRANCH: Final = "node-state"
WORKFLOW: Final = "node.yml"
#: The form that git's own clients and GitHub's give an address; a name has no other characters there.
_ORIGIN: Final = re.compile(
    r"\A(?:(?:https?|ssh|git)://(?:[^/\s]*@)?github\.com(?::[0-9]+)?/|(?:[^/@\s]+@)?github\.com:)"
    r"(?P<owner>[A-Za-z0-9-]+)/(?P<name>[A-Za-z0-9._-]+?)(?:\.git)?/?",
    re.IGNORECASE,
)
_GIT_TIMEOUT_S: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupStep:
    """A step: what it is for, where to click, what to do there, and the command that does the same (or "")."""

    title: str
    url: str
    action: str
    command: str = ""

    def lines(self, number: int) -> list[str]:
        """Return the step for a person."""
        shown = [f"{number}. {self.title}", f"   {self.url}", f"   {self.action}"]
        return [*shown, f"   or: {self.command}"] if self.command else shown


def parse_origin(url: str) -> str | None:
    """Return `OWNER/NAME` of a GitHub address as git writes it, or None."""
    match = _ORIGIN.fullmatch(url.strip())
    return f"{match['owner']}/{match['name']}" if match else None


def read_origin(folder: Path) -> str | None:
    """Return `OWNER/NAME` of the GitHub repository that a folder was cloned from; None if git knows of none."""
    command = ["git", "-C", str(folder), "remote", "get-url", "origin"]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=_GIT_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_origin(done.stdout.decode("utf-8", "replace")) if done.returncode == 0 else None


def setup_steps(repository: str | None, key_file: Path | None) -> list[SetupStep]:
    """Return the steps for a repository (`OWNER/NAME`; None: unknown), of which none holds the key itself.

    `key_file` is None if the environment holds the key.
    """
    name = repository or "OWNER/NAME"
    site = f"https://{HOST}/{name}"
    flag = f" --repo {name}" if repository else ""
    content = f"the content of {key_file}" if key_file else f"the value of {SEED_VARIABLE} on this machine"
    # Never as an argument, which every user of the machine can read.
    before, after = ("", f" < {shlex.quote(str(key_file))}") if key_file else (f'printf %s "${SEED_VARIABLE}" | ', "")
    return [
        SetupStep(
            title="Let the fork's workflows run.",
            url=f"{site}/actions",
            action="Click “I understand my workflows, go ahead and enable them”, then enable the workflow “node”.",
            command=f"gh workflow enable {WORKFLOW}{flag}",
        ),
        SetupStep(
            title="Publish with GitHub Pages.",
            url=f"{site}/settings/pages",
            action="Under “Build and deployment”, set “Source” to “GitHub Actions”.",
            command=f"gh api --method POST repos/{name}/pages --raw-field build_type=workflow",
        ),
        SetupStep(
            title="Give the workflow the node's key, as a secret.",
            url=f"{site}/settings/secrets/actions/new",
            action=f"Name: {SEED_VARIABLE}. Secret: {content}.",
            command=f"{before}gh secret set {SEED_VARIABLE}{flag}{after}",
        ),
        SetupStep(
            title="Say how operators of servers can reach you (not required).",
            url=f"{site}/settings/variables/actions/new",
            action="Name: PPP_CONTACT. Others: PPP_BASE_URL, PPP_ENVIRONMENTS, PPP_SHARDS, PPP_CELLS.",
            command=f'gh variable set PPP_CONTACT{flag} --body "operator@node.example"',
        ),
        SetupStep(
            title="Start the first run; from then on it starts by itself.",
            url=f"{site}/actions/workflows/{WORKFLOW}",
            action=f"Click “Run workflow”. The run creates the branch {STATE_BRANCH}, which keeps the node's state.",
            command=f"gh workflow run {WORKFLOW}{flag}",
        ),
    ]
