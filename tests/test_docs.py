"""What the pages promise is there: links lead somewhere, commands exist."""

import functools
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench import cli
from bench.runfolder import record

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


def test_the_readmes_table_is_not_stale():
    spec = importlib.util.spec_from_file_location("readme", HOUSE / "docs" / "readme.py")
    readme = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(readme)
    assert readme.section() in readme.README.read_text(encoding="utf-8"), "stale: run `make docs`"


@pytest.mark.slow
def test_the_site_has_no_broken_link_and_asks_nothing_of_the_network(tmp_path):
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    made = subprocess.run(words, cwd=HOUSE, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert {"index.html", "report.html", "changes.html"} <= {page.name for page in pages}
    loaded = re.compile(r"<(?:script|img|link|iframe)[^>]*(?:src|href)=\"?https?://[^>]*>")
    assert [found for page in pages for found in loaded.findall(page.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("path", sorted(HOUSE.glob("docs/measured/**/run.json")), ids=name)
def test_what_was_measured_for_the_pages_can_still_be_read(path):
    assert record.read(path.parent).models
