"""A command in another environment stands for a model; whatever becomes of it is told with its last words."""

import shlex
import shutil
import sys
import time
from pathlib import Path

import pytest
import torch

from bench import serve
from bench.errors import BadInput, ContractBroken
from bench.models import opening, predict
from bench.models import registry as model_registry
from bench.models.predict import Predictor
from bench.protocols import registry as protocol_registry
from bench.run.main import run
from bench.types import Execution, RunSpec

SCRIPT = Path(__file__).parent / "serving.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The authors' script with serve.py copied beside it."""
    place = tmp_path_factory.mktemp("their code")
    shutil.copy(SCRIPT, place / "their.py")
    shutil.copy(serve.__file__, place / "serve.py")
    return place


@pytest.fixture(scope="module")
def served(folder):
    """`served("exits")`: the model as it is named, with one fault."""
    return lambda *words: "serve:" + shlex.join([sys.executable, str(folder / "their.py"), *words])


@pytest.fixture
def given():
    torch.manual_seed(0)
    images, masks = torch.rand(3, 3, 16, 16), torch.zeros(3, 1, 16, 16)
    masks[..., 4:8] = 1
    return images * (1 - masks), masks


def test_a_served_model_gives_what_its_predict_gives(served, given):
    images, masks = given
    model = opening.open_model(model_registry.only(served()))
    assert torch.equal(model.predict(images, masks), images * (1 - masks) + 0.5 * masks)


def test_it_is_known_by_what_it_says_and_by_the_files_that_it_names(served, folder, tmp_path):
    ref = model_registry.only(served())
    assert (ref.card.title, ref.card.kind, ref.name) == ("Old model", "served", served())
    before = ref.digest
    other = shutil.copytree(folder, tmp_path / "other")
    (other / "their.py").write_text((folder / "their.py").read_text() + "# changed\n")
    name = "serve:" + shlex.join([sys.executable, str(other / "their.py")])
    assert model_registry.only(name).digest != before


def test_what_it_prints_never_reaches_the_wire(served, given, capfd):
    model = opening.open_model(model_registry.only(served("prints")))
    model.predict(*given)
    model.predict(*given)
    time.sleep(0.2)
    printed = capfd.readouterr()
    assert printed.out == ""
    assert {"an old library", "at work on 3", "from C", "from a child"} <= {
        word for word in ("an old library", "at work on 3", "from C", "from a child") if word in printed.err
    }


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("exits", r"ended with status 3; the last lines of its log: .*no more memory, says the model"),
        ("raises", r"RuntimeError: too much is missing; the last lines of its log: .*too much is missing"),
        ("halves", r"sent an answer of the shape \[3, 3, 16, 8\] instead of \[3, 3, 16, 16\]"),
    ],
)
def test_a_fault_is_told_with_the_last_lines_of_its_log_and_the_next_batch_is_tried(served, given, word, sentence):
    images, masks = given
    model = opening.open_model(model_registry.only(served(word)))
    with pytest.raises(ContractBroken, match=sentence):
        model.predict(images, torch.ones_like(masks))
    if word != "halves":
        assert model.predict(images, masks).shape == images.shape


def test_a_command_that_hangs_is_ended_and_after_three_times_not_asked_again(served, given):
    images, masks = given
    model = opening.open_model(model_registry.only(served("hangs")))
    model.predict(images, masks)
    model.limit_s = 1.0
    for _ in range(3):
        with pytest.raises(ContractBroken, match=r"said nothing for 1 s; the last lines of its log: .*at work on 3"):
            model.predict(images, torch.ones_like(masks))
    with pytest.raises(ContractBroken, match="not asked again: it hung 3 times"):
        model.predict(images, masks)


ECHO = "import sys; print('{}', flush=True); sys.stdin.read()"


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("no-such-command --x", "there is no command no-such-command"),
        ("", "name the command behind it"),
        ("'", "the command cannot be read"),
        (f"{sys.executable} -c 'print(1); raise SystemExit(4)'", r"ended with status 4; the last lines of its log: 1"),
        (
            shlex.join([sys.executable, "-c", ECHO.format('{"v": 2, "op": "hello", "arrays": []}')]),
            r"speaks version 2 of the protocol, this bench version 1: copy .*serve\.py anew",
        ),
    ],
)
def test_a_command_that_serves_nothing_is_refused_before_a_run(command, sentence):
    with pytest.raises(BadInput, match=sentence):
        model_registry.only(f"serve:{command}")


def test_the_next_batch_is_sent_while_the_command_is_at_work(tmp_path, folder):
    shutil.copy(folder / "serve.py", tmp_path / "serve.py")
    body = "from serve import serve\nimport time\ndef predict(images, masks):\n    time.sleep(0.3)\n    return images\n"
    (tmp_path / "slow.py").write_text(body + "serve(predict)\n")
    model = opening.open_model(model_registry.only(f"serve:{shlex.join([sys.executable, str(tmp_path / 'slow.py')])}"))
    parts = torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)
    model.predict(*parts)
    begun = time.perf_counter()
    answers = [model.begin(*parts), model.begin(*parts)]
    assert time.perf_counter() - begun < 0.3
    for answer in answers:
        assert answer().shape == (1, 3, 8, 8)


def test_batches_and_seeds_of_a_model_that_answers_later_are_in_order(tmp_path, folder):
    shutil.copy(folder / "serve.py", tmp_path / "serve.py")
    body = "from serve import serve\nimport numpy as np\ndef predict(images, masks, seeds):\n"
    body += "    return np.ones_like(images) * np.array(seeds).reshape(-1, 1, 1, 1) / 255\nserve(predict)\n"
    (tmp_path / "seeded.py").write_text(body)
    ref = model_registry.only(f"serve:{shlex.join([sys.executable, str(tmp_path / 'seeded.py')])}")
    model = Predictor(opening.open_model(ref), ref.card, protocol_registry.runnable("bench@1"), 2, settled=True)
    truth, masks = torch.zeros(5, 3, 8, 8, dtype=torch.uint8), torch.ones(5, 1, 8, 8, dtype=torch.bool)
    assert model.answers(truth, masks, [3, 1, 4, 1, 5])[:, 0, 0, 0].tolist() == [3, 1, 4, 1, 5]


@pytest.mark.slow
def test_a_crash_in_a_run_is_a_failed_cell_with_the_last_lines(served, tmp_path):
    spec = RunSpec(
        (served("exits"),), masks=("freeform",), buckets="10-20,50-60", metrics=("psnr",), limit=2, keep_images=0
    )
    outcome = run(spec, tmp_path / "run", Execution(workers=1, threads=1))
    ((_, cell), fault), *others = outcome.faults.items()
    assert (cell, others) == ("freeform-256/50-60", [])
    assert "ended with status 3; the last lines of its log" in str(fault)
    logged = next((tmp_path / "run" / "logs").iterdir()).read_bytes()
    assert b"no more memory, says the model" in logged


def test_serve_check_proves_a_served_model(bench, served):
    status, out, _ = bench("models", "serve-check", served().removeprefix("serve:"), "--size", "32")
    assert status == 0
    assert out.startswith("says: Old model")
    assert "FAIL" not in out
    assert "the pipe" in out


def test_serve_check_fails_where_an_answer_is_no_image(bench, served):
    status, out, _ = bench("models", "serve-check", served("halves"), "--size", "32")
    assert status == 1
    assert "FAIL  output: shape, type, range" in out


def test_show_and_list_name_served_models(bench, served):
    assert "Old model, served" in bench("models", "show", served())[1]
    assert "serve:COMMAND" in bench("models", "list")[1]


def test_a_served_model_is_padded_to_what_it_says_it_needs(tmp_path, folder):
    shutil.copy(folder / "serve.py", tmp_path / "serve.py")
    body = "from serve import serve\ndef predict(images, masks):\n    assert images.shape[2:] == (16, 16)\n"
    (tmp_path / "needs.py").write_text(body + "    return images\nserve(predict, multiple=16)\n")
    ref = model_registry.only(f"serve:{shlex.join([sys.executable, str(tmp_path / 'needs.py')])}")
    images, masks = torch.zeros(1, 3, 10, 12), torch.zeros(1, 1, 10, 12)
    assert predict.raw(opening.open_model(ref), ref.card, images, masks, [0]).shape == images.shape


def test_a_command_that_is_another_when_it_is_started_again_is_refused_as_often_as_it_is_asked(tmp_path, folder):
    shutil.copy(folder / "serve.py", tmp_path / "serve.py")
    body = "from serve import serve\nimport pathlib\nmark = pathlib.Path(__file__).with_name('mark')\n"
    body += "serve(lambda images, masks: images, name='other' if mark.exists() else 'first')\n"
    (tmp_path / "turning.py").write_text(body)
    model = opening.open_model(
        model_registry.only(f"serve:{shlex.join([sys.executable, str(tmp_path / 'turning.py')])}")
    )
    (tmp_path / "mark").touch()
    for _ in range(2):
        with pytest.raises(ContractBroken, match="is not what it was before the run"):
            model.predict(torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8))


def test_a_program_that_sends_back_what_it_is_sent_is_no_model():
    with pytest.raises(BadInput, match="cat does not say what it is"):
        model_registry.only("serve:cat")
