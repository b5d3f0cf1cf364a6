"""`bench models`: what a user types and reads."""

import json
import re

import pytest
import torch
from typer.testing import CliRunner

from bench.cli.models import app
from bench.errors import BenchError

pytestmark = pytest.mark.usefixtures("toymodels")


def bench(*words, status=0):
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture
def theirs(tmp_path):
    file = tmp_path / "theirs.pth"
    torch.save({"generator": {"net.weight": torch.zeros(3, 4, 3, 3), "net.bias": torch.zeros(3)}}, file)
    return file


def test_list_has_a_line_for_every_model_and_says_what_to_type():
    lines = bench("list").splitlines()
    assert any(
        re.match(r"tiny +Tiny +2020 +learned +0\.0M +none here; type: bench models show tiny", line) for line in lines
    )
    assert any(re.match(r"telea +Telea +2004 +classical +[\d.]+ +needs none", line) for line in lines)


def test_list_as_json_is_whole():
    rows = {row["id"]: row for row in json.loads(bench("list", "--json"))}
    assert rows["tiny"]["weights"] == []
    assert "bench train tiny" in rows["tiny"]["reason"]


def test_show_says_where_the_authors_files_are_and_what_to_type():
    text = bench("show", "tn")
    assert "https://example.org/tiny.pth; then type: bench models import tiny FILE --tag places2" in text
    assert "111  :plain  one layer" in text


def test_an_import_is_listed_shown_and_described(theirs):
    text = bench("import", "tiny", theirs, "--tag", "places2")
    assert "--models tiny@places2" in text
    assert re.search(r"tiny .* places2$", bench("list"), re.MULTILINE)
    assert "tiny@places2  official, theirs.pth, sha256" in bench("show", "tiny")
    assert json.loads(bench("show", "tiny", "--json"))["weights"]["places2"]["source"] == "theirs.pth"


def test_an_import_for_a_variant_says_so(theirs):
    with pytest.raises(BenchError, match="'tiny:deep': it lacks 'second"):
        bench("import", "tiny:deep", theirs)


def test_a_name_that_means_several_models_is_refused_where_one_is_needed(theirs):
    with pytest.raises(BenchError, match=r"'\*i\*' stands for .* Name one"):
        bench("import", "*i*", theirs)


@pytest.mark.slow
def test_verify_passes_a_classical_model_check_by_check_and_shows_its_numbers_on_the_demo():
    text = bench("verify", "flat", "--size", 32)
    found = [line for line in text.splitlines() if line.startswith(("pass", "FAIL", "note"))]
    assert found[0] == "pass  card: complete"
    assert re.search(r"pass  numbers on the demo, none recorded yet: psnr \d\d\.\d\d, ssim-wang 0\.\d{4}, l1 0\.", text)
    assert re.search(r"flat, digest [0-9a-f]{12}: 10 of 10 checks passed", text)


def test_verify_tells_a_contributor_what_is_missing(tmp_path, tiny, write):
    text = tiny.replace('"plain": 111', '"plain": 112').replace('limits="blind"', 'limits=""')
    output = bench("verify", write(tmp_path / "mine.py", text), "--size", 32, status=1)
    assert "note  card: complete: the card leaves empty: limits" in output
    assert "FAIL  card: parameter count: the card says 112 parameters, the model has 111" in output
    assert "pass  blind" in output
    assert "FAIL  trains: a step of the starter recipe: the file brings no RECIPES['starter']" in output


SNIPPET = """
    import torch

    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, 2, 1), torch.nn.ConvTranspose2d(8, 3, 4, 2, 1))

    class Mine:
        def predict(self, images, masks):
            return network(images).sigmoid()
"""


@pytest.mark.slow
def test_verify_takes_a_bare_class_as_it_is(tmp_path, write):
    output = bench("verify", f"{write(tmp_path / 'mine.py', SNIPPET)}:Mine", "--size", 32)
    assert "note  card: complete: the card leaves empty: code, licence, form, strengths, limits" in output
    assert re.search("note  sizes.*padded to multiples of 2 it passes: say multiple=2", output)
    assert "FAIL" not in output


def test_verify_as_json_names_the_fault(tmp_path, write):
    file = write(
        tmp_path / "mine.py", "class Mine:\n    def predict(self, images, masks):\n        return images * 255\n"
    )
    findings = json.loads(bench("verify", f"{file}:Mine", "--size", 16, "--json", status=1))
    assert "0..255? divide by 255" in findings[-1]["fault"]


@pytest.mark.parametrize("verb", ["show", "verify", "import"])
def test_unknown_names_meet_the_nearest(verb, theirs):
    with pytest.raises(BenchError, match=r"No model 'tinny'\. Did you mean: tiny, tiny:deep\? See: bench models list"):
        bench(verb, "tinny", *([theirs] if verb == "import" else []))


def test_a_tag_in_the_name_of_what_is_imported_is_sent_to_its_option(theirs):
    with pytest.raises(BenchError, match=r"tiny FILE --tag mine"):
        bench("import", "tiny@mine", theirs)
