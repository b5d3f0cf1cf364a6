import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.image.kid import poly_mmd

from bench.contracts import Vectors
from bench.errors import BadInput
from bench.metrics import kid, vectors

METRIC, SUBSETS = kid.metric("kid", "cpu"), kid.metric("kid-100x1000", "cpu")


@pytest.fixture(scope="session")
def cut(feature_tables):
    def make(name):
        tables = feature_tables.stored(name)
        count = min(len(table) for table in tables)
        return tuple(table[:count] for table in tables)

    return make


@pytest.mark.parametrize("name", ["d64_n_gt_d", "d64_n_lt_d", "d192_n_lt_d", "d192_n_gt_d", "identical_sets"])
def test_the_subsets_are_torch_fidelitys(name, cut, feature_tables):
    facts = feature_tables.FACTS["fid_kid"][name]["kid"]["torch_fidelity_10_subsets"]
    tables = feature_tables.stored("d64_n_gt_d")[:1] * 2 if name == "identical_sets" else cut(name)
    values = kid.subset_values(*tables, 10, facts["subset_size"])
    assert np.mean(values) == pytest.approx(facts["mean"], rel=1e-6)
    assert np.std(values) == pytest.approx(facts["std_population"], rel=1e-6)


def test_the_estimate_of_equal_sets_is_the_stored_one(feature_tables):
    truth = feature_tables.stored("d64_n_gt_d")[0]
    stored_value = feature_tables.FACTS["fid_kid"]["identical_sets"]["kid"]["full_set_unbiased_formula_f64"]
    assert feature_tables.value(METRIC, truth, truth) == pytest.approx(stored_value, rel=1e-10)


@pytest.mark.parametrize("key", ["torch_fidelity_one_subset_of_m_f64", "clean_fid_kernel_distance_one_subset_of_m_f64"])
def test_the_estimate_agrees_with_each_library_on_one_subset_of_all(paired_name, key, cut, feature_tables):
    assert feature_tables.value(METRIC, *cut(paired_name)) == pytest.approx(
        feature_tables.FACTS["fid_kid"][paired_name]["kid"][key], rel=1e-6
    )


def test_the_estimate_agrees_with_torchmetrics(paired_name, cut, feature_tables):
    tables = cut(paired_name)
    single = float(poly_mmd(*(torch.from_numpy(table).double() for table in tables)))
    assert feature_tables.value(METRIC, *tables) == pytest.approx(single, rel=1e-9)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(3, 40))
def test_the_estimate_is_symmetric_and_blind_to_order(seed, count, feature_tables):
    truth, rows = feature_tables.drawn(seed, count, width=16)
    turned = np.random.default_rng(seed).permutation(count)
    found = feature_tables.value(METRIC, truth, rows)
    assert feature_tables.value(METRIC, rows, truth) == pytest.approx(found, rel=1e-9, abs=1e-12)
    assert feature_tables.value(METRIC, truth[turned], rows) == pytest.approx(found, rel=1e-9, abs=1e-12)


def test_the_estimate_grows_with_the_shift(feature_tables):
    values = [
        feature_tables.value(METRIC, *feature_tables.drawn(4, 80, width=16, shift=shift))
        for shift in (0.2, 0.4, 0.8, 1.6)
    ]
    assert values == sorted(values)


def test_two_samples_of_one_law_have_an_estimate_about_zero(feature_tables):
    random = np.random.default_rng(0)
    values = [feature_tables.value(METRIC, *random.standard_normal((2, 50, 8)).astype(np.float32)) for _ in range(200)]
    assert abs(np.mean(values)) < 3 * np.std(values) / 200**0.5
    assert min(values) < 0


def test_blocks_do_not_change_the_estimate(monkeypatch, feature_tables):
    tables = [torch.from_numpy(table).double() for table in feature_tables.drawn(5, 50, width=16)]
    whole, drawings = kid.mmd2(*tables), kid.resamples(*tables, count=20)
    monkeypatch.setattr(vectors, "BLOCK", 7)
    assert kid.mmd2(*tables) == pytest.approx(whole, rel=1e-12)
    assert kid.resamples(*tables, count=20) == pytest.approx(drawings, rel=1e-9)


def test_the_resamples_average_to_the_estimate(feature_tables):
    tables = [torch.from_numpy(table).double() for table in feature_tables.drawn(6, 60, width=16)]
    drawings = kid.resamples(*tables, count=4000)
    assert drawings.mean() == pytest.approx(kid.mmd2(*tables), abs=4 * drawings.std() / 4000**0.5)


def test_an_image_drawn_once_each_gives_the_estimate_itself(monkeypatch, feature_tables):
    tables = [torch.from_numpy(table).double() for table in feature_tables.drawn(6, 30, width=16)]
    ones = type("Ones", (), {"multinomial": lambda _, n, p, size: np.ones((size, n), int)})
    monkeypatch.setattr(kid.np.random, "default_rng", lambda _: ones())
    assert kid.resamples(*tables, count=2) == pytest.approx([kid.mmd2(*tables)] * 2, rel=1e-12)


@pytest.mark.slow
def test_the_interval_is_as_wide_as_fresh_sets_differ(feature_tables):
    truth, rows = feature_tables.drawn(0, 60 * 200, width=16)
    sets = [(truth[i : i + 60], rows[i : i + 60]) for i in range(0, len(truth), 60)]
    spread = np.std([feature_tables.value(METRIC, *one) for one in sets])
    widths = [np.subtract(*feature_tables.interval(METRIC, *one)[::-1]) / (2 * 1.96) for one in sets[:20]]
    assert np.mean(widths) == pytest.approx(spread, rel=0.35)


def test_too_few_images_for_the_subsets_meet_a_sentence(feature_tables):
    with pytest.raises(BadInput, match="subsets of 1000 images; there are 40"):
        feature_tables.value(SUBSETS, *feature_tables.drawn(0, 40, width=8))


def test_sets_of_different_size_meet_a_sentence(feature_tables):
    truth, rows = feature_tables.drawn(0, 40, width=8)
    with pytest.raises(BadInput, match="sets of one size, not 40 and 39"):
        feature_tables.value(METRIC, truth, rows[:39])


def test_the_subset_variant_repeats_itself(monkeypatch, feature_tables):
    monkeypatch.setattr(kid, "SUBSET_SIZE", 20)
    tables = feature_tables.drawn(1, 50, width=8)
    found = feature_tables.value(SUBSETS, *tables)
    assert found == feature_tables.value(SUBSETS, *tables)
    spread = np.std(kid.subset_values(*tables, 100, 20))
    assert found == pytest.approx(feature_tables.value(METRIC, *tables), abs=4 * spread / 100**0.5)


@pytest.fixture
def many(monkeypatch, feature_tables):
    """300 images are more than the exact estimate is made for."""
    monkeypatch.setattr(kid, "LARGEST", 299)
    monkeypatch.setattr(kid, "SUBSET_SIZE", 100)
    return feature_tables.drawn(3, 300, width=16)


def test_above_the_largest_count_the_estimate_is_that_of_the_subsets(many, feature_tables):
    assert feature_tables.value(METRIC, *many) == feature_tables.value(SUBSETS, *many)
    fewer = [table[:299] for table in many]
    assert feature_tables.value(METRIC, *fewer) != feature_tables.value(SUBSETS, *fewer)


def test_too_few_kept_vectors_for_the_subsets_meet_a_sentence(many):
    truth, output = (table[:99] for table in many)
    whole = vectors.moments([many[0]])
    sides = [METRIC.statistics(Vectors(rows, whole)) for rows in (truth, output)]
    with pytest.raises(BadInput, match="--keep-vectors 100 or more"):
        METRIC.compare(*sides)


def test_above_the_largest_count_the_interval_is_about_as_wide_as_the_exact_one(many, monkeypatch, feature_tables):
    linear = feature_tables.interval(METRIC, *many)
    monkeypatch.setattr(kid, "LARGEST", 300)
    assert np.ptp(linear) == pytest.approx(np.ptp(feature_tables.interval(METRIC, *many)), rel=0.2)


def test_above_the_largest_count_resamples_of_two_models_stay_paired(many, feature_tables):
    truth, near = many
    apart = feature_tables.resamples(METRIC, truth, near) - feature_tables.resamples(
        METRIC, truth, near + np.float32(0.01)
    )
    assert np.std(apart) < 0.2 * np.std(feature_tables.resamples(METRIC, truth, near))
