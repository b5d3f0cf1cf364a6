"""Metrics of other packages are their own functions, image by image, under their own names and directions."""

import importlib
import json
import socket

import pytest
import torch

from bench.errors import BadInput, Unavailable, UnknownName
from bench.metrics import libraries
from bench.metrics import registry as metric_registry
from bench.metrics.libraries.metric import LibraryMetric, card
from bench.run.main import run
from bench.run.spec import resolve
from bench.types import RunSpec

TORCHMETRICS = "torchmetrics:StructuralSimilarityIndexMeasure"
NETWORK_FREE = {
    "torchmetrics": ("StructuralSimilarityIndexMeasure", "PeakSignalNoiseRatio", "TotalVariation"),
    "piq": ("gmsd", "haarpsi", "total_variation"),
    "pyiqa": ("ssim", "gmsd", "entropy"),
}


def direct(library, name, output, truth):
    """The library's own call for one picture, float32 [1, 3, H, W] in 0..1."""
    package = importlib.import_module(library)
    if library == "torchmetrics":
        functional = importlib.import_module("torchmetrics.functional.image")
        return {
            "StructuralSimilarityIndexMeasure": lambda: functional.structural_similarity_index_measure(
                output, truth, data_range=1.0
            ),
            "PeakSignalNoiseRatio": lambda: functional.peak_signal_noise_ratio(output, truth, data_range=1.0),
            "TotalVariation": lambda: functional.total_variation(output),
        }[name]()
    if library == "piq":
        return getattr(package, name)(*([output] if name == "total_variation" else [output, truth]))
    made = package.create_metric(name, device="cpu")
    return made(output) if name == "entropy" else made(output, truth)


@pytest.fixture(scope="module")
def pair():
    """Truth and output, uint8 [3, 3, 96, 96], and masks: noise on smooth pictures, more of it from one to the next."""
    generator = torch.Generator().manual_seed(5)
    coarse = torch.rand(3, 3, 12, 12, generator=generator)
    truth = torch.nn.functional.interpolate(coarse, size=96, mode="bilinear")
    noise = torch.randn(truth.shape, generator=generator) * torch.tensor([0.02, 0.08, 0.2]).view(3, 1, 1, 1)
    as_bytes = ((part.clamp(0, 1) * 255).round().byte() for part in (truth, truth + noise))
    return (*as_bytes, torch.ones(3, 1, 96, 96, dtype=torch.bool))


@pytest.mark.parametrize(
    ("library", "name"), [(library, name) for library, names in NETWORK_FREE.items() for name in names]
)
def test_a_librarys_metric_gives_what_a_direct_call_gives(library, name, pair):
    if not libraries.installed(library):
        pytest.skip(f"{library} is not installed")
    truth, output, masks = pair
    metric = metric_registry.open_metric(f"{library}:{name}", "cpu")
    found = metric.compare(metric.prepare(truth), output, masks)
    wanted = [float(direct(library, name, output[i : i + 1] / 255, truth[i : i + 1] / 255)) for i in range(3)]
    assert found.dtype == torch.float64
    assert found.tolist() == pytest.approx(wanted, rel=1e-6)


def test_an_image_has_its_value_whatever_its_batch(pair):
    truth, output, masks = pair
    metric = metric_registry.open_metric(TORCHMETRICS, "cpu")
    together = metric.compare(metric.prepare(truth), output, masks)
    alone = metric.compare(metric.prepare(truth[1:2]), output[1:2], masks[1:2])
    assert torch.equal(alone, together[1:2])


@pytest.mark.parametrize("library", [name for name in libraries.LIBRARIES if libraries.installed(name)])
def test_what_a_library_calls_better_is_better_for_the_nearer_picture(library, pair):
    truth, output, masks = pair
    for name in NETWORK_FREE[library][:2]:
        metric = metric_registry.open_metric(f"{library}:{name}", "cpu")
        near, far = metric.compare(metric.prepare(truth), output, masks)[[0, 2]]
        assert (near > far) == (metric_registry.card(f"{library}:{name}").better == "higher")


def test_every_image_metric_of_torchmetrics_is_offered_and_none_of_sets_or_generators():
    names = set(libraries.cards("torchmetrics"))
    assert {TORCHMETRICS, "torchmetrics:SpectralAngleMapper", "torchmetrics:TotalVariation"} <= names
    assert not {name for name in names if "Inception" in name or "PathLength" in name}


def test_a_name_that_a_library_lacks_is_told_with_the_nearest():
    with pytest.raises(UnknownName, match=r"Did you mean: torchmetrics:StructuralSim.*--library torchmetrics"):
        metric_registry.choose(["psnr", "torchmetrics:StructuralSimilarity"])


def test_a_library_that_is_not_here_says_what_to_type(monkeypatch):
    monkeypatch.setattr(libraries, "installed", lambda _: False)
    with pytest.raises(Unavailable, match=r"piq, which is not installed: pip install '.\[iqa\]'"):
        metric_registry.choose(["piq:a-name"])


def test_globs_name_several_of_a_library():
    assert metric_registry.choose(["torchmetrics:Peak*", "psnr"])[-1] == "psnr"
    assert len(metric_registry.choose(["torchmetrics:Peak*"])) == 2


def reaching(*_):
    return socket.create_connection(("weights.invalid", 443))


@pytest.mark.parametrize("scorer", [reaching, lambda _: reaching], ids=["when opened", "with the first picture"])
def test_files_that_a_library_would_fetch_are_told_and_nothing_is_transferred(scorer):
    metric = LibraryMetric("piq:LPIPS", card("torch", "LPIPS", lower=True, span="", of_two=True), scorer, "cpu")
    assert metric.fault() == (
        "piq:LPIPS needs files that its library keeps at weights.invalid; type: bench metrics fetch piq:LPIPS"
    )


def test_a_metric_that_takes_no_colour_is_told_before_a_run():
    reason = metric_registry.unavailable("torchmetrics:PeakSignalNoiseRatioWithBlockedEffect")
    assert "cannot measure colour images of 256 x 256 pixels: ValueError" in reason


def test_a_metric_that_needs_larger_pictures_than_the_protocol_makes_is_told_before_a_run():
    name = "torchmetrics:MultiScaleStructuralSimilarityIndexMeasure"
    spec = RunSpec(("mean",), masks=("centre",), metrics=("psnr", name), protocol="context-encoder@1", limit=1)
    job = resolve(spec)
    assert "cannot measure colour images of 128 x 128 pixels: ValueError" in job.missing[name]
    assert metric_registry.unavailable(name) is None


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda *_: torch.zeros(2), r"gives \[2\] numbers for one image"),
        (lambda *_: 1 / 0, r"cannot measure colour images of 96 x 96 pixels: ZeroDivisionError"),
    ],
)
def test_an_answer_that_is_no_number_of_one_image_is_told(answer, sentence, pair):
    truth, output, masks = pair
    metric = LibraryMetric("piq:x", card("torch", "x", lower=True, span="", of_two=True), lambda _: answer, "cpu")
    with pytest.raises(BadInput, match=sentence):
        metric.compare(metric.prepare(truth), output, masks)


def test_the_list_of_a_library_says_direction_and_range(bench):
    status, out, _ = bench("metrics", "list", "--library", "torchmetrics")
    line = next(line for line in out.splitlines() if line.startswith(f"{TORCHMETRICS} "))
    assert (status, line.split()[1], line.endswith("0 to 1")) == (0, "higher", True)


def test_the_list_of_all_metrics_ends_with_the_libraries(bench):
    lines = bench("metrics", "list")[1].splitlines()[-len(libraries.LIBRARIES) :]
    assert [line.split()[0] for line in lines] == [f"{name}:NAME" for name in libraries.LIBRARIES]


def test_a_sheet_of_a_librarys_metric_names_its_version(bench):
    _, out, _ = bench("metrics", "show", TORCHMETRICS)
    assert f"torchmetrics {importlib.metadata.version('torchmetrics')}" in out


def test_a_run_measures_by_a_library_and_records_its_version(toys, tmp_path):
    spec = RunSpec(toys("Grey"), masks=("centre",), buckets="none", metrics=("psnr", TORCHMETRICS), limit=2)
    outcome = run(spec, tmp_path / "run")
    held = json.loads((tmp_path / "run" / "run.json").read_text())
    assert held["settings"]["metrics"] == {"psnr": 1, TORCHMETRICS: importlib.metadata.version("torchmetrics")}
    assert outcome.summary.set_index("metric").loc[TORCHMETRICS, "value"] == pytest.approx(0.9, abs=0.1)
