"""Every registered model keeps the contract and tells the truth about itself; a new file is tested by existing."""

import functools
import importlib
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from bench.errors import UnknownName
from bench.models import contract, sources, verify
from bench.models import registry as model_registry
from bench.models.calling import call
from bench.models.predict import Predictor, built_multiple, raw
from bench.models.verify import EVIDENCE
from bench.protocols import registry as protocols
from bench.types import DOMAINS

CARDS = model_registry.cards()
FORMS = [(name, variant) for name, card in CARDS.items() for variant in card.variants or ("",)]
FIRST = {name: next(iter(card.variants), "") for name, card in CARDS.items() if card.multiple <= 128}
LAST = dict(FORMS)
"""The last variant of each."""
LEARNED = [(name, variant) for name, variant in FORMS if CARDS[name].kind == "learned"]
UNSTATED = {"dualpath": "the card leaves empty: year"}
"""What no paper at hand says."""
SIDE_PX = 32
"""Or the next size that the card asks for: the checks are the same at every size."""

every_form = pytest.mark.parametrize(
    ("name", "variant"),
    [pytest.param(*form, id=":".join(form), marks=[pytest.mark.slow] * (form not in FIRST.items())) for form in FORMS],
)
every_network = pytest.mark.parametrize(("name", "variant"), LEARNED, ids=map(":".join, LEARNED))


@every_form
def test_the_model_keeps_the_contract(name, variant, slim):
    card, model = CARDS[name].of(variant), slim(name, variant)
    multiple = built_multiple(model, card)
    size = math.ceil(max(SIDE_PX, card.minimum_px) / multiple) * multiple
    faults = [f"{f.title}: {f.fault}" for f in contract.check(model, card, size) if f.fault]
    assert not faults


@pytest.mark.parametrize("name", [name for name in dict(LEARNED) if CARDS[name].multiple <= 128])
def test_the_harness_takes_any_size_and_gives_the_image_back_where_nothing_is_missing(name, slim):
    protocol = protocols.load("bench@1")
    predictor = Predictor(slim(name, LAST[name]), CARDS[name].of(LAST[name]), protocol, batch=1)
    truth = torch.randint(0, 256, (3, 3, 37, 45), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(3, 1, 37, 45, dtype=torch.bool)
    masks[1] = True
    masks[2, :, 5:9] = True
    output = predictor.outputs(truth, masks, ["empty", "all", "some"])
    assert torch.equal(output[0], truth[0])
    assert torch.equal(output[2][:, 9:], truth[2][:, 9:])
    assert output.shape == truth.shape


@pytest.mark.parametrize("name", CARDS)
def test_the_card_is_complete(name):
    assert (verify.card_fault(CARDS[name]), verify.card_remark(CARDS[name])) == (None, UNSTATED.get(name, ""))


@every_network
def test_the_card_counts_the_parameters(name, variant, shapes):
    assert verify.parameters(shapes(name, variant)) == CARDS[name].parameters[variant]


@every_network
def test_the_default_variant_is_the_first(name, variant, shapes):
    if variant and variant == next(iter(CARDS[name].variants)):
        unnamed, named = (shapes(name, form).state_dict() for form in ("", variant))
        assert {key: value.shape for key, value in unnamed.items()} == {k: v.shape for k, v in named.items()}


@pytest.mark.parametrize("name", CARDS)
def test_an_unknown_variant_is_refused_from_the_card(name):
    with pytest.raises(UnknownName, match=f"No variant of {name} 'nonesuch'.*See: bench models show {name}"):
        sources.build(sources.members()[name], "nonesuch")


@pytest.mark.parametrize("name", [name for name in dict(LEARNED) if CARDS[name].multiple <= 128])
@pytest.mark.parametrize("size", [(1, 1), (5, 40)])
def test_the_harness_takes_the_smallest_images(name, size, slim):
    network = slim(name, LAST[name])
    images, masks = contract.probe(*size, count=2)
    assert raw(network, CARDS[name].of(LAST[name]), images, masks, [0, 1]).shape == images.shape


def test_no_alias_stands_for_two_models():
    owners = {}
    for name, card in CARDS.items():
        for alias in {word.casefold() for word in (name, *card.aliases)}:
            owners.setdefault(alias, []).append(name)
    assert not {alias: names for alias, names in owners.items() if len(names) > 1}


@pytest.mark.parametrize("name", CARDS)
def test_the_card_in_the_file_is_what_the_module_holds(name):
    assert CARDS[name] == importlib.import_module(sources.members()[name].module).CARD


@pytest.mark.parametrize("name", dict(LEARNED))
def test_a_card_that_claims_equality_has_stored_figures_and_no_other_claim_is_known(name):
    assert CARDS[name].evidence in EVIDENCE
    stored = list((Path(__file__).parents[1] / "data").glob(f"parity-{name}*.json"))
    assert bool(stored) == CARDS[name].evidence.startswith("equal to")


@pytest.mark.parametrize("name", CARDS)
def test_the_card_says_in_known_words_what_the_model_was_made_for(name):
    assert CARDS[name].domain in ("", *DOMAINS)


@pytest.mark.parametrize("name", [name for name, card in CARDS.items() if card.guide])
def test_a_guide_decides_what_the_hole_looks_like_and_the_truth_does_not(name, slim):
    """What a user draws in the hole is followed; what lay there is not, with a guide as without."""
    card, network = CARDS[name].of(LAST[name]), slim(name, LAST[name])
    images, masks = contract.probe(max(SIDE_PX, card.minimum_px), count=1)
    other = torch.where(masks > 0, 1 - images, images)
    drawn = torch.zeros_like(masks)
    drawn[..., ::3] = card.classes - 1 if card.classes else 255
    found = [raw(network, card, truth, masks, [0], guide) for truth in (images, other) for guide in (None, drawn)]
    assert torch.equal(found[0], found[2])
    assert torch.equal(found[1], found[3])
    assert not torch.equal(found[0], found[1])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in FIRST)) for name in dict(LEARNED)]
)
@settings(max_examples=3, deadline=None)
@given(chance=st.integers(0, 2**31))
def test_nothing_under_the_mask_moves_a_bit_of_any_learned_model(name, slim, chance):
    """Handed over without the harness's blanking: landmarks, labels, edges and searches see the known part alone."""
    card, network = CARDS[name].of(LAST[name]), narrow(slim, name)
    multiple = built_multiple(network, card)
    size = math.ceil(max(SIDE_PX, card.minimum_px) / multiple) * multiple
    draw = torch.Generator().manual_seed(chance)
    known, under = torch.rand(2, 1, 3, size, size, generator=draw)
    masks = functional.interpolate((torch.rand(1, 1, 4, 4, generator=draw) < 0.3).float(), (size, size))
    seeds = [0] if card.stochastic else None
    with torch.inference_mode():
        found = [call(network, torch.where(masks > 0, one, known), masks, seeds) for one in (known * 0, under)]
    assert torch.equal(*found)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in FIRST)) for name in dict(LEARNED)]
)
def test_an_image_does_not_depend_on_its_batch(name, slim):
    """In double precision: sums of float32 are made in another order where the shape is another."""
    card, network = CARDS[name].of(LAST[name]), slim(name, LAST[name]).double()
    multiple = built_multiple(network, card)
    images, masks = contract.probe(math.ceil(max(SIDE_PX, card.minimum_px) / multiple) * multiple)
    images, masks = images.double(), masks.double()
    with torch.inference_mode():
        together = call(network, images, masks, [0, 1, 2] if card.stochastic else None)
        alone = call(network, images[1:2], masks[1:2], [1] if card.stochastic else None)
    torch.testing.assert_close(together[1:2], alone, atol=1e-9, rtol=0)


@functools.cache
def narrow(slim, name):
    return slim(name, LAST[name])
