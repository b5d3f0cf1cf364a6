"""Networks run on a CUDA device and never hold it up, as fake tensors show where there is none."""

import pytest
import torch

from bench.models import calling, opening, predict, sources
from bench.models import registry as model_registry

CARDS = model_registry.cards()
LEARNED = [name for name, card in CARDS.items() if card.kind == "learned"]
WAIT = {
    "edgeconnect": "Canny's edges in NumPy",
    "hr": "patches are chosen by the hole's shape, the optimiser reads its cost",
    "dgm": "needs gradients, which torch has no fake device for",
}
"""Networks that cannot be shown so -> why; `make gpu` runs them."""


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in LEARNED if name not in WAIT])
def test_a_network_stays_on_its_device_and_never_waits(name, fake_cuda, never_waiting):
    card, module = CARDS[name], sources.members()[name]
    with fake_cuda():
        built = sources.build(module, next(iter(card.variants), "")).eval()
        model = opening.fold_parametrizations(built).to("cuda")
        size = predict.padded(model, card, 64, 64)
        images, masks = torch.zeros(2, 3, *size, device="cuda"), torch.ones(2, 1, *size, device="cuda")
        seeds = [1, 2] if calling.takes_seeds(model, card) else None
        with never_waiting():
            answer = calling.call(model, images, masks, seeds)
    assert (answer.device.type, answer.shape, answer.dtype) == ("cuda", images.shape, images.dtype)
