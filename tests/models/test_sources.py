"""Where models are found: installed packages, files by path, and what happens when they are broken."""

import subprocess
import sys

import pytest

from bench.errors import BadInput, ContractBroken, Unavailable
from bench.models import opening, sources
from bench.models import registry as model_registry


def test_the_projects_own_models_are_found_through_their_entry_point():
    assert sources.members()["telea"].module == "baselines.telea"


def test_an_installed_package_brings_its_models(toymodels):
    assert {"tiny", "flat", "telea"} <= set(model_registry.cards())


def test_cards_are_read_without_importing_torch_or_a_models_library():
    code = """import sys, bench.models.registry as model_registry
assert model_registry.choose(["all"])
sys.exit(bool({"torch", "cv2", "baselines.telea"} & {*sys.modules}))"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_entry_point_may_name_a_single_module(install, flat):
    install("toymodels", {"only.py": flat.replace("Flat", "Only")}, target="toymodels.only")
    assert model_registry.cards()["only"].title == "Only"


def test_two_models_of_one_name_are_refused_with_both_files(install, flat):
    install("toymodels", {"telea.py": flat})
    with pytest.raises(BadInput, match=r"Two model files are called 'telea': .*telea\.py and .*telea\.py"):
        model_registry.cards()


def test_an_entry_point_without_its_package_is_named(install):
    install("toymodels", {}, target="gone")
    with pytest.raises(BadInput, match="plug-in 'gone'"):
        model_registry.cards()


def test_a_file_that_is_not_python_is_named_with_its_line(install):
    install("toymodels", {"bad.py": "x = 1\ndef model(:\n"})
    with pytest.raises(BadInput, match=r"bad\.py:2: .*not valid Python"):
        model_registry.cards()


def test_a_card_that_is_no_literal_is_named_with_its_line(install):
    install("toymodels", {"bad.py": "from bench.types import ModelCard\nCARD = ModelCard(title=str(1))\n"})
    with pytest.raises(BadInput, match=r"bad\.py:2: title of a card must be a literal"):
        model_registry.cards()


def test_a_missing_library_is_a_sentence_not_a_crash(install, flat):
    install("toymodels", {"needy.py": flat.replace("import cv2", "import no_such_library")})
    with pytest.raises(Unavailable, match=r"Model 'needy' needs a library .*no_such_library"):
        opening.open_model(model_registry.only("needy"))


def test_a_model_by_path_may_import_its_neighbours(tmp_path, fresh, write):
    write(tmp_path / "neighbour.py", "LEVEL = 0.25\n")
    mine = write(
        tmp_path / "mine.py",
        """
        import torch
        import neighbour
        class Mine:
            def predict(self, images, masks):
                return torch.full_like(images, neighbour.LEVEL)
        """,
    )
    ref = model_registry.only(f"{mine}:Mine")
    assert ref.name == "mine.py:Mine"
    assert callable(opening.open_model(ref).predict)


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        (
            "class Net:\n    def __init__(self): raise ValueError('boom')\n",
            ContractBroken,
            "Net.. fails: ValueError: boom",
        ),
        ("class Net:\n    pass\n", ContractBroken, "has no method predict"),
        ("class Other:\n    def predict(self): ...\n", BadInput, "has no 'Net'. It holds: Other"),
        ("1 / 0\nclass Net: ...\n", ContractBroken, "fails when it is imported: ZeroDivisionError"),
        ("class Net(:\n", BadInput, r"bad\.py:1: the model's file is not valid Python"),
        ("import no_such_library\n", Unavailable, "no_such_library"),
    ],
    ids=["constructor", "no-predict", "no-class", "import", "syntax", "library"],
)
def test_a_broken_file_meets_one_sentence(tmp_path, fresh, text, error, sentence, write):
    file = write(tmp_path / "bad.py", text)
    with pytest.raises(error, match=sentence) as caught:
        opening.open_model(model_registry.only(f"{file}:Net"))
    assert "\n" not in str(caught.value)


def test_a_file_that_does_not_exist_is_named():
    with pytest.raises(BadInput, match=r"nowhere\.py does not exist"):
        model_registry.choose(["/tmp/nowhere.py:Net"])


def test_a_file_without_a_card_asks_for_its_class(tmp_path, fresh, write):
    file = write(tmp_path / "bare.py", "class Net: ...\n")
    with pytest.raises(BadInput, match=r"name the class as well, .*bare\.py:Class"):
        model_registry.choose([str(file)])
