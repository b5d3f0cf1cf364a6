"""What a model's name stands for."""

import json
import pickle

import pytest
import torch

from bench.errors import BadInput, Unavailable, UnknownName
from bench.models import opening, weights
from bench.models import registry as model_registry

pytestmark = pytest.mark.usefixtures("toymodels")


def names(*wanted):
    return [ref.name for ref in model_registry.choose(wanted)]


def give(kind, tag, variant="", level=0.0, **known):
    model = opening.open_model(model_registry.only(f"tiny:{variant}@untrained" if variant else "tiny@untrained"))
    state = {key: torch.full_like(value, level) for key, value in model.state_dict().items()}
    return weights.save(
        weights.folder("tiny") / f"{tag}.safetensors", state, {"kind": kind, "variant": variant, **known}
    )


def test_all_is_every_model_in_its_default_form():
    assert {"flat", "telea", "mean"} <= set(names("all"))
    assert not [name for name in names("all") if name.startswith("tiny:")]


def test_models_can_be_left_out_of_those_before():
    assert "telea" not in names("all", "-telea")
    assert names("telea", "flat", "-fl*") == ["telea"]


def test_leaving_out_what_is_not_there_is_said():
    with pytest.raises(BadInput, match="-pconv leaves out nothing"):
        names("telea", "-pconv")


def test_order_is_kept_and_nothing_comes_twice():
    assert names("telea", "flat", "telea", "fl") == ["telea", "flat"]


def test_a_glob_reaches_over_variants():
    assert names("ti*@untrained") == ["tiny@untrained", "tiny:deep@untrained"]


def test_the_default_variant_is_left_out_of_the_name_but_known():
    ref = model_registry.only("tiny:plain@untrained")
    assert (ref.name, ref.variant) == ("tiny@untrained", "plain")


@pytest.mark.parametrize("alias", ["TN", "tn", "Tiny Net", "TINY"])
def test_an_alias_is_accepted_in_any_case(alias):
    assert names(f"{alias}:deep@untrained") == ["tiny:deep@untrained"]


def test_every_miss_is_named_at_once_with_what_is_near():
    give("official", "places2")
    with pytest.raises(UnknownName) as caught:
        model_registry.choose(["telae", "telea", "tiny@place2", "tiny:dep", "flat@official"])
    assert caught.value.names == ("telae", "tiny@place2", "tiny:dep", "flat@official")
    assert "Did you mean: telea" in str(caught.value)
    assert "tiny@places2" in str(caught.value)
    assert "tiny:deep" in str(caught.value)


def test_an_alias_of_two_models_is_refused_with_both(install, tiny):
    install("toymodels2", {"other.py": tiny.replace("toymodels.", "")})
    with pytest.raises(BadInput, match="'TN' stands for several models: other, tiny"):
        model_registry.choose(["TN"])


def test_without_weights_the_reason_says_what_to_do():
    ref = model_registry.only("tiny")
    assert ref.reason == (
        "tiny has no weights here: bench models show tiny says where the authors' files are; or type: bench train tiny"
    )
    with pytest.raises(Unavailable, match="bench train tiny"):
        opening.open_model(ref)


def test_known_weights_that_are_missing_say_where_they_are():
    assert model_registry.only("tiny@places2").reason == (
        "tiny has no weights called places2 here: get them from https://example.org/tiny.pth, then type: "
        "bench models import tiny FILE --tag places2"
    )


def test_official_weights_win_over_trained_ones_and_these_over_starters():
    taken = []
    for kind, tag in (("starter", "starter"), ("trained", "trained"), ("official", "places2")):
        give(kind, tag)
        taken += names("tiny")
    assert taken == ["tiny@starter", "tiny@trained", "tiny@places2"]


def test_among_several_starters_that_which_is_called_so_is_meant():
    give("starter", "other")
    give("starter", "starter")
    assert names("tiny") == ["tiny@starter"]
    assert names("tiny@other") == ["tiny@other"]


def test_a_plain_name_takes_the_weights_at_hand_whatever_their_variant(tiny):
    variants = list(model_registry.cards()["tiny"].variants)
    give("starter", "starter", variant=variants[1])
    assert names("tiny") == [f"tiny:{variants[1]}@starter"]
    give("starter", "own", variant=variants[0])
    assert names("tiny") == ["tiny@own"]


def test_two_official_weights_must_be_named():
    give("official", "places2")
    give("official", "faces")
    assert "several official weights here: name one of tiny@faces, tiny@places2" in model_registry.only("tiny").reason
    assert names("tiny@faces") == ["tiny@faces"]
    assert names("tiny@*") == ["tiny@faces", "tiny@places2"]


def test_a_kind_stands_for_its_only_weights():
    give("official", "places2")
    assert names("tiny@official") == ["tiny@places2"]


def test_weights_of_one_variant_are_not_taken_for_another():
    give("trained", "trained", variant="deep")
    assert model_registry.only("tiny:deep").file
    assert model_registry.only("tiny").name == "tiny:deep@trained"


def test_a_tag_brings_the_variant_that_its_weights_belong_to():
    give("official", "faces", variant="deep")
    assert names("tiny@faces") == ["tiny:deep@faces"]
    assert model_registry.only("tiny@faces").reason == ""


def test_weights_named_under_another_variant_are_refused_though_their_shapes_may_fit():
    give("official", "faces", variant="deep")
    reason = model_registry.only("tiny:plain@faces").reason
    assert reason == "The weights faces belong to tiny:deep, not to tiny:plain: name tiny:deep@faces."
    with pytest.raises(Unavailable, match="belong to tiny:deep"):
        opening.open_model(model_registry.only("tiny:plain@faces"))


def test_variants_of_one_network_share_their_weights(toymodels, fresh):
    give("trained", "trained")
    file = toymodels / "tiny.py"
    file.write_text(file.read_text().replace("aliases=", 'same_weights=("deep",), aliases='))
    fresh()
    assert model_registry.only("tiny:deep").name == "tiny:deep@trained"


def test_weights_shipped_with_the_package_are_found_and_the_users_own_win(toymodels):
    give("starter", "starter")
    mine = weights.folder("tiny") / "starter.safetensors"
    shipped = toymodels / "weights" / "tiny" / "starter.safetensors"
    shipped.parent.mkdir(parents=True)
    for suffix in (".safetensors", ".json"):
        shipped.with_suffix(suffix).write_bytes(mine.with_suffix(suffix).read_bytes())
    assert model_registry.only("tiny").file == mine
    mine.unlink()
    assert model_registry.only("tiny").file == shipped


def test_an_opened_model_is_in_evaluation_mode_without_gradients():
    give("trained", "trained", level=0.5)
    model = opening.open_model(model_registry.only("tiny"))
    assert not model.training
    assert all(not item.requires_grad and bool((item == 0.5).all()) for item in model.parameters())


def test_spectral_norms_are_worked_out_once_and_change_no_bit(tmp_path, write):
    file = write(
        tmp_path / "bounded.py",
        """
        from torch import nn
        from torch.nn.utils.parametrizations import spectral_norm
        class Bounded(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = spectral_norm(nn.Conv2d(3, 3, 3, padding=1))
            def predict(self, images, masks):
                return self.layer(images).sigmoid()
        """,
    )
    ref = model_registry.only(f"{file}:Bounded@untrained")
    opened, image = opening.open_model(ref), torch.rand(1, 3, 8, 8)
    torch.manual_seed(0)
    built = model_registry.sources.build(ref.member, attribute="Bounded").eval()
    assert torch.equal(opened.predict(image, None), built.predict(image, None))
    assert list(opened.state_dict()) == ["layer.bias", "layer.weight"]


def test_weights_of_a_narrower_build_open_with_their_settings():
    narrow = model_registry.sources.build(model_registry.sources.members()["tiny"], "deep", width=2)
    known = {"kind": "trained", "variant": "deep", "settings": {"width": 2}}
    weights.save(weights.folder("tiny") / "trained.safetensors", narrow.state_dict(), known)
    assert opening.open_model(model_registry.only("tiny:deep")).first.out_channels == 2


def test_half_precision_is_cast_to_the_models_own():
    state = {
        key: value.half()
        for key, value in opening.open_model(model_registry.only("tiny@untrained")).state_dict().items()
    }
    weights.save(weights.folder("tiny") / "starter.safetensors", state, {"kind": "starter"})
    assert {item.dtype for item in opening.open_model(model_registry.only("tiny")).parameters()} == {torch.float32}


def test_the_first_key_that_differs_is_named():
    give("trained", "trained", variant="deep")
    record = weights.folder("tiny") / "trained.json"
    record.write_text(record.read_text().replace('"variant": "deep"', '"variant": "plain"'))
    with pytest.raises(BadInput, match=r"does not fit the model 'tiny@trained': it holds 'second\.bias'"):
        opening.open_model(model_registry.only("tiny@trained"))


def test_untrained_models_are_the_same_every_time_and_leave_chance_alone():
    torch.manual_seed(5)
    first = opening.open_model(model_registry.only("tiny@untrained")).first.weight
    drawn = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(1))
    assert torch.equal(first, opening.open_model(model_registry.only("tiny@untrained")).first.weight)


def test_a_ref_survives_the_way_to_another_process():
    ref = model_registry.only("tiny@untrained")
    assert pickle.loads(pickle.dumps(ref)) == ref


def test_a_file_by_path_opens_with_foreign_weights(tmp_path, tiny, write):
    file = write(tmp_path / "mine.py", tiny)
    model = opening.open_model(model_registry.only(f"{file}:deep@untrained"))
    torch.save(model.state_dict(), tmp_path / "mine.pth")
    ref = model_registry.only(f"{file}:deep@{tmp_path / 'mine.pth'}")
    assert ref.name == "mine.py:deep@mine"
    assert torch.equal(opening.open_model(ref).second.weight, model.second.weight)
    assert "name them" in model_registry.only(str(file)).reason


def test_a_class_that_takes_weights_is_given_their_path(tmp_path, write):
    file = write(
        tmp_path / "mine.py",
        """
        class Mine:
            def __init__(self, weights):
                self.read = weights.read_text()
            def predict(self, images, masks): ...
        """,
    )
    notes = write(tmp_path / "notes.txt", "levels")
    ref = model_registry.only(f"{file}:Mine@{notes}")
    assert opening.open_model(ref).read == "levels"
    before = ref.digest
    notes.write_text("others")
    assert model_registry.only(f"{file}:Mine@{notes}").digest != before


# What moves the digest, and what does not


def digest(fresh, name="tiny@trained"):
    fresh()
    return model_registry.only(name).digest


def test_the_same_model_keeps_its_digest(fresh):
    give("trained", "trained")
    assert digest(fresh) == digest(fresh)


def test_other_weights_move_the_digest(fresh):
    give("trained", "trained", level=0.0)
    before = digest(fresh)
    give("trained", "trained", level=1.0)
    assert digest(fresh) != before


@pytest.mark.parametrize("file", ["tiny.py", "layers/joint.py"])
def test_a_change_of_the_models_own_code_moves_the_digest(fresh, toymodels, file):
    give("trained", "trained")
    before = digest(fresh)
    with (toymodels / file).open("a") as opened:
        opened.write("\nMORE = 1\n")
    assert digest(fresh) != before


def test_a_change_of_another_model_leaves_the_digest(fresh, toymodels):
    give("trained", "trained")
    before = digest(fresh)
    with (toymodels / "flat.py").open("a") as opened:
        opened.write("\nMORE = 1\n")
    assert digest(fresh) == before


def test_variants_differ_in_digest(fresh):
    assert digest(fresh, "tiny:deep@untrained") != digest(fresh, "tiny@untrained")


def test_the_library_of_a_classical_model_is_in_its_digest(monkeypatch):
    before = model_registry.only("flat").digest
    monkeypatch.setattr(
        model_registry.sources, "_library", lambda package: {"opencv": "99"} if package == "cv2" else {}
    )
    assert model_registry.only("flat").digest != before


def test_libraries_are_found_from_the_imports():
    found = model_registry.sources.fingerprint(model_registry.sources.members()["biharmonic"])
    assert "scikit-image" in found["libraries"]
    assert "baselines.layers.imagewise" in found["sources"]


def test_a_file_by_path_has_a_digest_that_its_place_does_not_move(tmp_path, write):
    text = "class Mine:\n    def predict(self, images, masks): ...\n"
    first = model_registry.only(f"{write(tmp_path / 'a' / 'mine.py', text)}:Mine").digest
    assert model_registry.only(f"{write(tmp_path / 'b' / 'mine.py', text)}:Mine").digest == first
    assert model_registry.only(f"{write(tmp_path / 'b' / 'mine.py', text + '#')}:Mine").digest != first


def test_a_damaged_record_is_the_reason_why_its_model_cannot_run(toymodels):
    give("trained", "trained")
    (weights.folder("tiny") / "trained.json").write_text(json.dumps(7))
    (ref,) = model_registry.choose(["tiny"])
    assert "trained.json must hold a table of fields, not 7. Import or train these weights again." in ref.reason
    with pytest.raises(BadInput, match=r"trained\.json must hold"):
        model_registry.weights_digest(model_registry.choose(["tiny@trained"])[0])


def test_a_class_that_a_file_lacks_is_said_before_a_run(tmp_path, write):
    path = write(
        tmp_path / "mine.py",
        """
        class Mine:
            def predict(self, images, masks):
                return images
        """,
    )
    assert names(f"{path}:Mine")
    with pytest.raises(BadInput, match=r"has no 'Yours'\. It holds: Mine"):
        names(f"{path}:Yours")
