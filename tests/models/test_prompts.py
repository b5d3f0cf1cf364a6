"""Texts for models that take prompts: read whole or refused in a sentence, and part of what names a model's numbers."""

from dataclasses import replace

import pytest
import torch

from bench.contracts import Dataset
from bench.errors import BadInput
from bench.models import prompts
from bench.models.predict import Predictor
from bench.models.registry import ModelRef
from bench.models.sources import ModelFile
from bench.protocols import registry as protocol_registry
from bench.types import ModelCard


class Told(Dataset):
    """Two photographs with a text each."""

    name, ids = "told", ("a", "b")

    def read(self, image_id):
        raise NotImplementedError

    def texts(self, ids):
        return {image_id: f"a {image_id}" for image_id in ids}


@pytest.fixture
def taker(tmp_path):
    return ModelRef("m", "m", "", "", ModelFile("m", tmp_path, ""), ModelCard("M", prompts=True, stochastic=True))


@pytest.fixture
def file(tmp_path):
    def written(text):
        (tmp_path / "texts.csv").write_text(text)
        return str(tmp_path / "texts.csv")

    return written


def test_texts_come_from_a_file_with_or_without_a_head(file, taker):
    for head in ("", "image,text\n"):
        found = prompts.read(file(head + 'a.png,"a cat, asleep"\nb,\nc,unused\n'), [taker], Told(), ["a", "b"])
        assert found.texts == {"a": "a cat, asleep", "b": ""}


def test_the_data_sets_own_texts_are_named_by_a_word(taker):
    assert prompts.read("dataset", [taker], Told(), ["a"]).texts == {"a": "a a"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a,x\n", r"has no text for b\. Each image needs one\.$"),
        ("1,x\n2,y\n", r"has no text for a, b\. Each image needs one\. It names 1, 2, which told does not hold"),
        ('a,"x\ny"\nb,z\n', "a prompt is one line of text"),
        ("a,x\na,y\nb,z\n", "line 2: a stands twice"),
        ("a,x,y\n", "line 1: 3 columns in place of image and text"),
        ('a,"x\n', "no CSV"),
    ],
)
def test_a_file_that_cannot_be_used_is_told(text, sentence, file, taker):
    with pytest.raises(BadInput, match=sentence):
        prompts.read(file(text), [taker], Told(), ["a", "b"])


def test_prompts_without_a_model_that_takes_them_are_refused(file, taker):
    deaf = replace(taker, card=ModelCard("M"))
    with pytest.raises(BadInput, match="none of the models takes prompts"):
        prompts.read(file("a,x\n"), [deaf], Told(), ["a"])
    assert prompts.given([deaf], prompts.Prompts({}, "digest")) == [deaf]
    assert prompts.given([taker], prompts.Prompts({}, "digest"))[0].prompts == "digest"


def test_every_image_of_every_batch_gets_its_own_text(taker):
    class Listening:
        def predict(self, images, masks, seeds, prompts=None):
            levels = [float(text) / 255 for text in prompts]
            return torch.ones_like(images) * torch.tensor(levels).view(-1, 1, 1, 1)

    texts = {name: str(value) for value, name in enumerate("abcde", 1)}
    model = Predictor(Listening(), taker.card, protocol_registry.runnable("bench@1"), 2, settled=True, texts=texts)
    truth, masks = torch.zeros(5, 3, 8, 8, dtype=torch.uint8), torch.ones(5, 1, 8, 8, dtype=torch.bool)
    made = model.outputs(truth, masks, [f"{name}/centre-256/0-100" for name in "edcba"])
    assert made[:, 0, 0, 0].tolist() == [5, 4, 3, 2, 1]
