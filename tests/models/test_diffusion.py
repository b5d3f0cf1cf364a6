"""Diffusion pipelines stand for models: no neighbour moves a bit of an image, and faults are told in a sentence."""

import json
import shutil

import pytest
import torch

from bench.errors import BadInput, BenchError, Unavailable, UnknownName
from bench.models import contract, diffusion, opening, settings
from bench.models import registry as model_registry
from bench.run.main import run
from bench.types import RunSpec

KINDS = ["sd", "sd4", "sdxl", "sd3", "flux", "kandinsky", "ddpm"]
QUICK = {"ddpm": ("steps=4", "jump_length=2", "jump_n_sample=2")}


@pytest.fixture
def model(pipelines):
    """`model("sd", "steps=2")`: an opened pipeline and its ref."""

    def made(kind, *assignments):
        more = (f"prior={pipelines('prior')}",) if kind == "kandinsky" else ()
        named = {one.partition("=")[0] for one in assignments}
        quick = [one for one in QUICK.get(kind, ("steps=2",)) if one.partition("=")[0] not in named]
        chosen = [*quick, *more, *assignments]
        (ref,) = settings.apply([model_registry.only(f"diffusers:{pipelines(kind)}")], chosen)
        return opening.open_model(ref), ref

    return made


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_pipeline_keeps_the_contract(kind, model):
    opened, ref = model(kind)
    assert not [finding for finding in contract.check(opened, ref.card, 64) if finding.fault]


@pytest.mark.parametrize("kind", ["sd", pytest.param("kandinsky", marks=pytest.mark.slow)])
def test_neighbours_and_the_place_in_a_batch_move_no_bit_of_an_image(kind, model):
    opened, _ = model(kind)
    images, masks = contract.probe(64, count=3)
    together = opened.predict(images, masks, [3, 5, 7])
    turned = opened.predict(images[[2, 0, 1]], masks[[2, 0, 1]], [7, 3, 5])
    assert torch.equal(turned[[1, 2, 0]], together)
    assert not torch.equal(together[0], opened.predict(images, masks, [4, 5, 7])[0])


def test_settings_and_every_file_are_part_of_the_digest(model, pipelines, tmp_path):
    digests = {model("sd", *set_)[1].digest for set_ in ((), ("guidance=2",), ("prompt=a cat",), ("steps=3",))}
    copy = shutil.copytree(pipelines("sd"), tmp_path / "copy")
    assert model_registry.only(f"diffusers:{copy}").digest == model_registry.only(f"diffusers:{pipelines('sd')}").digest
    scheduler = json.loads((copy / "scheduler" / "scheduler_config.json").read_text()) | {"beta_end": 0.013}
    (copy / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    digests |= {settings.apply([model_registry.only(f"diffusers:{copy}")], ["steps=2"])[0].digest}
    assert len(digests) == 5


def test_a_prompt_and_texts_of_images_change_what_is_painted(model):
    opened, _ = model("sd", "guidance=3")
    images, masks = contract.probe(64, count=2)
    plain = opened.predict(images, masks, [1, 2])
    told = opened.predict(images, masks, [1, 2], prompts=["a cat", ""])
    assert not torch.equal(told[0], plain[0])
    assert torch.equal(told[1], plain[1])


def test_one_text_is_encoded_once_for_all_images(model):
    opened, _ = model("sd")
    calls = []
    encoder = opened.pipe.text_encoder
    encoder.register_forward_hook(lambda *_: calls.append(1))
    images, masks = contract.probe(64, count=2)
    for _ in range(3):
        opened.predict(images, masks, [1, 2])
    assert len(calls) == 2  # the prompt and the empty text of guidance


def test_attention_slicing_gives_the_same_picture(model):
    images, masks = contract.probe(64, count=1)
    whole, sliced = (model("sd", f"slicing={value}")[0].predict(images, masks, [1]) for value in (False, True))
    assert torch.allclose(whole, sliced, atol=1e-4)


def test_thin_strokes_reach_the_network(pipelines):
    from bench.models import sampling

    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 3, 5] = 1
    assert sampling.widened(mask, 8)[0, 0].tolist() == [[1.0] * 8 + [0.0] * 8] * 8 + [[0.0] * 16] * 8


def test_the_card_says_sizes_and_settings_without_torch(bench, pipelines):
    out = bench("models", "show", f"diffusers:{pipelines('sd3')}")[1]
    assert "sides in multiples of 16" in out
    assert "strength, by itself 1.0" in out


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("dtype=float8", r"No dtype 'float8'\. Did you mean: float32, float16"),
        ("dtype=float16", "a CPU computes in float32 or bfloat16"),
        ("fill=white", "No fill 'white'"),
        ("strength=1.5", "must lie above 0 and be 1 at most"),
        ("strength=0.2", "steps times strength must be 1 at least"),
        ("guidance=-1", "it must be 0 or more"),
        ("prompt=a\nb", "a prompt is one line of text"),
        ("steps=0", "must be 1 or more"),
        ("stepz=5", "No setting 'stepz'. Did you mean"),
    ],
)
def test_settings_that_cannot_be_are_told(assignment, sentence, model):
    with pytest.raises(BenchError, match=sentence):
        model("sd", assignment)


def test_a_prompt_of_digits_is_a_text(model):
    assert model("sd", "prompt=42")[1].settings["prompt"] == "42"


def test_what_is_not_cached_says_what_to_type(pipelines, monkeypatch, tmp_path):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(Unavailable, match=r"not in the hub's cache.*type: hf download nobody/nothing --revision v1"):
        model_registry.only("diffusers:nobody/nothing@v1")


def test_a_repository_in_the_cache_is_known_by_its_commit(pipelines, monkeypatch, tmp_path):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    commit = "0123456789abcdef0123456789abcdef01234567"
    there = tmp_path / "models--tiny--sd"
    shutil.copytree(pipelines("sd"), there / "snapshots" / commit)
    (there / "refs").mkdir()
    (there / "refs" / "main").write_text(commit)
    ref = model_registry.only("diffusers:tiny/sd")
    assert (ref.weights, ref.card.title) == (commit, "tiny/sd")
    assert model_registry.only(f"diffusers:tiny/sd@{commit}").digest == ref.digest


def test_a_folder_that_is_no_inpainting_pipeline_is_told(pipelines, tmp_path):
    with pytest.raises(BadInput, match="no such folder, and no repository"):
        model_registry.only("diffusers:./nowhere")
    with pytest.raises(BadInput, match=r"has no model_index\.json"):
        model_registry.only(f"diffusers:{tmp_path}")
    (tmp_path / "model_index.json").write_text('{"_class_name": "AudioLDMPipeline"}')
    with pytest.raises(BadInput, match="is a AudioLDMPipeline, which does not inpaint"):
        model_registry.only(f"diffusers:{tmp_path}")


def test_settings_that_a_class_has_no_use_for_are_not_offered(pipelines):
    cards = {kind: model_registry.only(f"diffusers:{pipelines(kind)}").card.settings for kind in ("sd", "flux", "sd3")}
    assert {"slicing", "negative"} <= cards["sd"].keys()
    assert cards["flux"].keys() & {"slicing", "negative"} == set()
    assert cards["sd3"].keys() & {"slicing", "negative"} == {"negative"}


def test_a_pipeline_that_wants_a_picture_that_steers_it_is_refused(tmp_path):
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionControlNetInpaintPipeline"}')
    with pytest.raises(BadInput, match="wants a picture that steers it"):
        model_registry.only(f"diffusers:{tmp_path}")


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("sd", "text_encoder/model"),
        ("sd", "unet/diffusion_pytorch_model"),
        ("sd", "vae/diffusion_pytorch_model"),
        ("ddpm", "unet/diffusion_pytorch_model"),
    ],
)
def test_a_tensor_that_is_in_no_file_is_told(kind, part, pipelines, tmp_path):
    from safetensors.torch import load_file, save_file

    copy = shutil.copytree(pipelines(kind), tmp_path / "copy")
    tensors = load_file(copy / f"{part}.safetensors")
    del tensors[min(tensors)]
    save_file(tensors, copy / f"{part}.safetensors", metadata={"format": "pt"})
    with pytest.raises(BadInput, match="lacks 1 of its tensors"):
        opening.open_model(model_registry.only(f"diffusers:{copy}"))


def test_a_part_that_a_folder_lacks_is_told_before_anything_is_opened(pipelines, tmp_path):
    copy = shutil.copytree(pipelines("sd"), tmp_path / "copy")
    shutil.rmtree(copy / "unet")
    with pytest.raises(BadInput, match=r"copy lacks unet, which its model_index\.json names"):
        model_registry.only(f"diffusers:{copy}")


def test_weights_that_are_pickles_or_cut_short_are_refused(pipelines, tmp_path):
    copy = shutil.copytree(pipelines("sd"), tmp_path / "copy")
    file = copy / "unet" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(BadInput, match="cannot be opened"):
        opening.open_model(model_registry.only(f"diffusers:{copy}"))
    file.rename(file.with_suffix(".bin"))
    with pytest.raises(BadInput, match="cannot be opened"):
        opening.open_model(model_registry.only(f"diffusers:{copy}"))


def test_kandinsky_asks_for_its_prior(pipelines):
    (ref,) = refs = [model_registry.only(f"diffusers:{pipelines('kandinsky')}")]
    with pytest.raises(BadInput, match="needs --set prior=PATH-or-REPO"):
        settings.apply(refs, [])
    with pytest.raises(BadInput, match=f"needs --set prior=PATH-or-REPO, a {diffusion.PRIOR}"):
        opening.open_model(ref)
    with pytest.raises(BadInput, match=f"is a StableDiffusionInpaintPipeline, no {diffusion.PRIOR}"):
        settings.apply(refs, [f"prior={pipelines('sd')}"])


def test_every_file_of_kandinskys_prior_is_part_of_the_digest(pipelines, tmp_path):
    refs = [model_registry.only(f"diffusers:{pipelines('kandinsky')}")]
    place = shutil.copytree(pipelines("prior"), tmp_path / "prior")
    before = settings.apply(refs, [f"prior={place}"])[0].digest
    (place / "scheduler" / "scheduler_config.json").write_text("{}")
    assert settings.apply(refs, [f"prior={place}"])[0].digest != before


@pytest.mark.slow
def test_kandinskys_prior_encodes_one_text_once_for_all_images(model):
    opened, _ = model("kandinsky")
    calls = []
    opened.prior.text_encoder.register_forward_hook(lambda *_: calls.append(1))
    images, masks = contract.probe(64, count=3)
    opened.predict(images, masks, [1, 2, 3])
    assert len(calls) == 2  # the prompt and the empty text of guidance


def test_a_number_format_that_a_device_lacks_is_told_before_a_run(pipelines, tmp_path):
    spec = RunSpec((f"diffusers:{pipelines('sd')}",), set=("dtype=float16",), limit=1, masks=("centre",))
    with pytest.raises(BadInput, match="dtype=float16: a CPU computes in float32 or bfloat16"):
        run(spec, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_without_diffusers_the_line_to_type_is_told(monkeypatch, tmp_path, bench):
    monkeypatch.setattr(diffusion, "installed", lambda _: False)
    assert "missing here, type: pip install '.[diffusers]'" in bench("models", "list")[1]
    with pytest.raises(Unavailable, match=r"needs the package diffusers.*pip install '\.\[diffusers\]'"):
        model_registry.only(f"diffusers:{tmp_path}")


def test_repaint_keeps_what_is_known(model):
    opened, _ = model("ddpm")
    images, masks = contract.probe(16, count=2)
    made = opened.predict(images, masks, [1, 2])
    assert torch.allclose(made * (1 - masks), images, atol=0.02)
    with pytest.raises(UnknownName):
        model("ddpm", "fill=mean")
