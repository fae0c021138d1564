"""`ppp node init --github`: links into the fork, commands that do the same, and never the key itself."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from program import Program

from ppp.cli.github_setup import parse_origin, read_origin, setup_steps
from ppp.mesh.node import KEY_NAME, load_key

FORK = "https://github.com/me/a.fork.git"


@pytest.mark.attack("credentials")
@pytest.mark.parametrize(
    ("url", "repository"),
    [
        (FORK, "me/a.fork"),
        ("https://github.com/me/a.fork", "me/a.fork"),
        ("https://github.com/me/a.fork/\n", "me/a.fork"),
        ("https://me:t0ken@github.com/me/a.fork.git", "me/a.fork"),
        ("https://t0ken@GitHub.com:443/me/a.fork.git", "me/a.fork"),
        ("git@github.com:me/a.fork.git", "me/a.fork"),
        ("ssh://git@github.com/me/a.fork.git", "me/a.fork"),
        ("https://forge.example/me/a.fork.git", None),
        ("https://github.com.evil.example/me/fork", None),
        ("https://evil.example/github.com/me/fork", None),
        ("https://github.com/me/fork/../../evil", None),
        ("https://github.com/me/a fork", None),
        ("/srv/git/fork.git", None),
        ("", None),
    ],
)
def test_the_repository_is_read_from_an_address_without_what_is_secret_in_it(url: str, repository: str | None) -> None:
    assert parse_origin(url) == repository


def test_a_folder_without_an_origin_has_none(tmp_path: Path) -> None:
    assert read_origin(tmp_path) is None
    assert read_origin(tmp_path / "absent") is None


def test_each_step_has_a_link_into_the_fork_and_the_secret_comes_from_the_file() -> None:
    steps = setup_steps("me/a.fork", Path("my data/node.key"))
    assert all(step.url.startswith("https://github.com/me/a.fork/") for step in steps)
    commands = [step.command for step in steps]
    assert "gh secret set PPP_NODE_KEY --repo me/a.fork < 'my data/node.key'" in commands
    assert all("OWNER/NAME" not in command for command in commands)


def test_without_an_origin_the_links_are_generic() -> None:
    steps = setup_steps(None, None)
    assert all(step.url.startswith("https://github.com/OWNER/NAME/") for step in steps)
    # As an argument of a program, any user of the machine could read it.
    assert 'printf %s "$PPP_NODE_KEY" | gh secret set PPP_NODE_KEY' in [step.command for step in steps]


@pytest.mark.attack("credentials")
def test_the_command_keeps_the_key_that_there_is_and_does_not_print_it(tmp_path: Path) -> None:
    folder = tmp_path
    program = Program(data=folder / "data", matrix=folder / "matrix.toml", environment="py311-host")
    for command in (["init", "--quiet"], ["remote", "add", "origin", FORK]):
        subprocess.run(["git", "-C", str(folder), *command], check=True, env=os.environ)
    first, second = (program.run_in_process_ok("node", "init", "--github") for _ in range(2))
    assert first == second
    assert f"gh secret set PPP_NODE_KEY --repo me/a.fork < {program.data / KEY_NAME}" in first
    answer = json.loads(program.run_in_process_ok("node", "init", "--github", "--json"))
    assert answer["id"] == load_key(program.data).id
    assert len(answer["steps"]) == 5
    secret = (program.data / KEY_NAME).read_text().strip()
    assert secret not in f"{first} {answer}"
