"""What the house knows of weights that others publish."""

import pytest

from bench.models import fetching
from bench.models import registry as model_registry

SETS = [one for model_id in model_registry.cards() for one in fetching.published(model_id)]
WITH_ADDRESS = [one for one in SETS if one.download]


@pytest.mark.parametrize("one", WITH_ADDRESS, ids=lambda one: one.name)
def test_an_address_belongs_to_weights_that_the_card_names(one):
    assert one.tag in one.card.checkpoints
    assert one.variant in ("", *one.card.variants)
    assert one.download.licence


@pytest.mark.parametrize("one", [one for one in WITH_ADDRESS if one.fetchable], ids=lambda one: one.name)
def test_a_digest_is_whole_or_stands_in_the_name_or_nobody_states_any(one):
    stated = one.download.stated
    assert len(stated) in {0, 32, 64} or one.download.file.endswith(f"-{stated}.pth")
    assert one.download.url.endswith(f"/{one.download.file}")
