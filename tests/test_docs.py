"""What the pages promise is there: links lead somewhere, commands exist."""

import functools
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench import cli
from bench.run import estimate
from bench.run.probe import Found, Pace

HOUSE = Path(__file__).parent.parent
PAGES = sorted([*HOUSE.glob("*.md"), *HOUSE.glob("docs/**/*.md")])


def name(path):
    return str(path.relative_to(HOUSE))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_to_a_file(page):
    prose = re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", prose)
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_exists_with_its_options(page):
    text = page.read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"^```.*?\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL))
    for line in re.findall(r"^bench ([a-z].*)$", blocks, flags=re.MULTILINE):
        words = line.split()
        verb = [word for word in words[:2] if re.fullmatch(r"[a-z-]+", word)]
        shown = help_of(*verb) or help_of(*verb[:1])
        assert shown, f"bench {line}"
        for option in re.findall(r"(?<!\S)(--[a-z-]+)", line):
            assert option in shown, f"bench {line}: no {option}"


@functools.cache
def help_of(*words):
    result = CliRunner().invoke(cli.build(), [*words, "--help"], env={"COLUMNS": "400"})
    return result.output if result.exit_code == 0 else None


@pytest.mark.parametrize("words", [[], ["run"], ["report"], ["train"], ["doctor"], ["masks"], ["models"], ["metrics"]])
def test_every_verb_has_help(words):
    assert help_of(*words)


def test_the_readmes_table_is_not_stale(monkeypatch):
    """Its images, masks, protocol and metrics are those of today's command, and every model that could run is in it."""
    monkeypatch.setattr(estimate, "measured", lambda job, *_: Found({ref.name: Pace(pair_s=0.0) for ref in job.models}))
    text = (HOUSE / "README.md").read_text(encoding="utf-8")
    words = re.search(r"^Made by `bench (run .*?) --out", text, flags=re.MULTILINE)[1].split()
    plan = json.loads(CliRunner().invoke(cli.build(), [*words, "--plan", "--json"]).stdout)
    settings, *models = re.search(r"Digests: settings (.*)\.$", text, flags=re.MULTILINE)[1].split(", ")
    assert Path(plan["out"]).name == f"demo-{settings[:8]}", "stale: run `make demo docs`"
    assert {name.rsplit(" ", 1)[0] for name in models} == {row["model"] for row in plan["models"]}, (
        "stale: run `make demo docs`"
    )
