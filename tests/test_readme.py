"""The README names only commands and routes that exist, and every command that exists."""

import json
import re
from pathlib import Path

import pytest
import typer

from sweeper.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def commands():
    group = typer.main.get_command(main.load(typer.Typer()))
    return set(group.commands)


def test_every_command_in_the_readme_exists(commands):
    named = set(re.findall(r"(?:^|`|bin/)isoflop ([a-z]+)", README, flags=re.MULTILINE))
    assert named
    assert named <= commands


def test_every_command_is_in_the_readme(commands):
    assert {c for c in commands if not re.search(rf"\b{c}\b", README)} == set()


def test_every_route_in_the_readme_exists():
    paths = json.loads((ROOT / "tests/api/openapi.json").read_text())["paths"]
    known = [re.compile(re.sub(r"\{[^}]+\}", "[^/]+", p) + "$") for p in paths]
    named = set(re.findall(r"localhost:8000(/v1/[^\s'?]*)", README))
    assert named
    assert [n for n in named if not any(k.match(n) for k in known)] == []


def test_every_file_in_the_readme_exists():
    named = re.findall(r"\b(?:trainer|sweeper|fitting|store|reports|api|tests)/[\w/.]*", README)
    assert [n for n in named if not (ROOT / n).exists()] == []
