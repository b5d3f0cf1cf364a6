"""The floors of the house hold: who may import whom, and who must do without torch."""

import ast
import collections
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent
ROOMS = ("datasets", "masks", "metrics", "models", "protocols")
WITHOUT_TORCH = (
    *(
        "bench.types",
        "bench.contracts",
        "bench.errors",
        "bench.plugins",
        "bench.digest",
        "bench.stats",
        "bench.downloads",
        "bench.documents",
        "bench.runfolder.parts",
        "bench.runfolder.pictures",
        "bench.runfolder.record",
    ),
    *(
        "bench.masks.ratio",
        "bench.masks.frozen",
        "bench.metrics.registry",
        "bench.protocols.registry",
        "bench.models.registry",
    ),
    *("bench.report", "bench.report.fill", "bench.report.formats", "bench.report.figures", "bench.report.submission"),
    *("bench.report.analysis.audit", "bench.report.analysis.compare", "bench.report.analysis.regression"),
    *("bench.datasets.registry", "bench.training.recipe", "bench.cli"),
)
PER_FLOOR = {"ground": 0, **dict.fromkeys(ROOMS, 1), "run": 2, "training": 2, "report": 3, "api": 3, "cli": 4}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}


def files(*folders):
    return sorted(path for folder in folders for path in (HOUSE / folder).rglob("*.py") if "/data/" not in str(path))


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(module):
    parts = module.split(".")
    if parts[1:2] in (["__main__"], ["__init__"]):
        return "cli"
    return parts[1] if len(parts) > 1 and parts[1] in PER_FLOOR else "ground"


def name(path):
    return str(path.relative_to(HOUSE))


@pytest.mark.parametrize("path", files("bench"), ids=name)
def test_nobody_imports_from_a_floor_above_or_a_room_beside(path):
    own = room(".".join(path.relative_to(HOUSE).with_suffix("").parts))
    for module in imports(path):
        if not module.startswith("bench."):
            continue
        other = room(module)
        assert other == own or PER_FLOOR[other] < PER_FLOOR[own], f"{own} imports {module}"


def test_a_class_has_a_name_of_its_own():
    classes = [
        (node.name, name(path))
        for path in files("bench")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    counts = collections.Counter(own for own, _ in classes)
    assert [each for each in classes if counts[each[0]] > 1] == []


@pytest.mark.parametrize("path", files("bench"), ids=name)
def test_the_harness_never_imports_the_baselines(path):
    assert not [module for module in imports(path) if module.split(".")[0] == "baselines"]


@pytest.mark.parametrize("path", files("bench", "baselines"), ids=name)
def test_every_file_says_in_its_first_line_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", files("bench", "baselines"), ids=name)
def test_no_file_has_a_name_that_says_nothing(path):
    assert path.stem not in FORBIDDEN_NAMES


@pytest.mark.parametrize("path", files("tests"), ids=name)
def test_tests_import_nothing_from_one_another(path):
    assert not [line for line in imports(path) if line.partition(".")[0] == "tests"], "take helpers as fixtures"


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_lists_and_words_load_no_torch(module):
    code = f"import {module}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


RUN_FILES = {"run.json", "images.txt", "results.parquet", "summary.parquet", "parts", "logs"}


@pytest.mark.parametrize("path", files("bench"), ids=name)
def test_only_the_run_folder_spells_the_names_of_its_files(path):
    if room(".".join(path.relative_to(HOUSE).with_suffix("").parts)) == "ground" and path.parent.name == "runfolder":
        return
    tree = ast.parse(path.read_text())
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    told = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, DOCUMENTED)}
    found = {
        text for text in texts - told if text in RUN_FILES or any(file in text for file in RUN_FILES if "." in file)
    }
    assert not found, f"{found}: take the names from bench.runfolder.names"


LONGEST_FILE, LONGEST_FUNCTION, MEDIAN_FUNCTION = 400, 45, 6
"""Lines."""


@pytest.mark.parametrize("path", files("bench"), ids=name)
def test_no_file_and_no_function_is_long(path):
    text = path.read_text()
    long = [f"{name}: {lines}" for name, lines in functions(text) if lines > LONGEST_FUNCTION]
    assert (len(text.splitlines()) <= LONGEST_FILE, long) == (True, [])


def test_most_functions_are_short():
    lengths = [lines for path in files("bench") for _, lines in functions(path.read_text())]
    assert statistics.median(lengths) <= MEDIAN_FUNCTION


def functions(text):
    """Name and lines of every function of a file."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.end_lineno - node.lineno + 1


@pytest.mark.parametrize("path", files("bench", "baselines", "perf", "docs", "tests"), ids=name)
def test_the_first_paragraph_of_a_docstring_is_a_whole_sentence(path):
    """A blank line in the middle of one is what formatters leave of a first line that was too long."""
    texts = [
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    broken = [
        text.lineno for text in texts if "\n\n" in text.value and text.value.split("\n\n")[0].rstrip()[-1] not in ".:"
    ]
    assert broken == []
