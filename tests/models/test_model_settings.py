"""What `--set` changes of a model: which one is meant, what it may be, and that it decides the digest."""

import pytest

from bench.errors import BadInput, UnknownName
from bench.models import opening, weights
from bench.models import registry as model_registry
from bench.models import settings as model_settings


def chosen(models, *assignments):
    return model_settings.apply(model_registry.choose(models), assignments)


def set_of(models, *assignments):
    return {ref.name: dict(ref.settings) for ref in chosen(models, *assignments)}


DGM = "dgm@untrained"
QUICK = "dgm:quick@untrained"


def test_an_id_means_all_variants_and_a_variant_itself_alone():
    assert set_of([DGM, QUICK], "dgm.steps=7") == {DGM: {"steps": 7}, QUICK: {"steps": 7}}
    assert set_of([DGM, QUICK], "dgm:quick.steps=7") == {DGM: {}, QUICK: {"steps": 7}}


def test_a_name_with_its_weights_means_itself():
    assert set_of([DGM, QUICK], "dgm@untrained.steps=7") == {DGM: {"steps": 7}, QUICK: {}}


def test_the_model_may_be_left_out_where_one_alone_has_the_setting():
    assert set_of([DGM, "telea"], "steps=7") == {DGM: {"steps": 7}, "telea": {}}


@pytest.mark.parametrize("again", ["dgm.steps=9", "steps=9", "dgm.steps=7"])
def test_what_is_set_twice_is_refused(again):
    with pytest.raises(BadInput, match="is set twice"):
        set_of([DGM], "dgm.steps=7", again)


@pytest.mark.parametrize(
    ("assignment", "fault", "sentence"),
    [
        ("dgm.stps=7", UnknownName, r"No setting 'dgm\.stps'. Did you mean: dgm\.steps"),
        ("hrii.rounds=7", BadInput, r"--set hrii\.rounds: hrii is none of the models asked for: dgm"),
        ("dgm.steps=many", BadInput, r"--set dgm\.steps: 'many' is not of the kind of its present value, 1500"),
        ("dgm.steps=0", BadInput, r"--set dgm\.steps: 0 must be 1 or more"),
        ("dgm.steps", BadInput, "write it as key=value"),
    ],
)
def test_what_cannot_be_set_is_refused_in_a_sentence(assignment, fault, sentence):
    with pytest.raises(fault, match=sentence):
        chosen([DGM, "hr@untrained"], assignment)


def test_models_without_settings_say_so():
    with pytest.raises(BadInput, match="the models asked for have no settings"):
        chosen(["telea"], "telea.radius=3")


def test_a_setting_decides_the_digest_and_nothing_changes_without_one():
    plain, same, other = (chosen([DGM], *words)[0] for words in ((), ("steps=7",), ("steps=8",)))
    assert len({plain.digest, same.digest, other.digest}) == 3
    assert chosen([DGM], "steps=7")[0].digest == same.digest


def test_the_opened_model_is_built_with_it():
    (ref,) = chosen(["hrii:quick@untrained"], "rounds=3")
    assert opening.open_model(ref).rounds == 3


@pytest.fixture
def trained(slim):
    """Weights of `dgm` that were trained with searches of 100 steps."""
    state = slim("dgm").state_dict()
    width = state["generator.g_h0_lin.weight"].shape[0] // 128
    known = {"kind": "trained", "variant": "", "settings": {"width": width, "steps": 100}}
    weights.save(weights.folder("dgm") / "trained.safetensors", state, known)


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize(
    ("name", "words", "steps"), [("dgm", (), 100), ("dgm:quick", (), 60), ("dgm", ("steps=7",), 7)]
)
def test_a_setting_that_weights_bring_yields_to_another_variants_own_and_to_the_users(name, words, steps):
    (ref,) = chosen([f"{name}@trained"], *words)
    assert opening.open_model(ref).search.steps == steps
