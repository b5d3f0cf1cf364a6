"""A study asks about kept pictures without telling names, and its tally is that of toys counted by hand."""

import json
import math
import shutil

import numpy as np
import pytest

from bench.errors import BadInput, UnknownName
from bench.report.study import questions, tally


@pytest.fixture(scope="module")
def run(template, with_pictures, tmp_path_factory):
    root = shutil.copytree(template, tmp_path_factory.mktemp("study") / "run")
    with_pictures(root)
    return root


def ask(run, out, kind="choice", **more):
    return questions.write([run], out, kind=kind, **{"questions": 9, "checks": 2, "seed": 0} | more)


def test_the_same_seed_gives_the_same_study_and_another_gives_another(run, tmp_path):
    first, again, other = (ask(run, tmp_path / str(n), seed=seed) for n, seed in enumerate((0, 0, 1)))
    assert first == again
    assert first.study != other.study
    assert questions.read(tmp_path / "0" / "key.json") == first


def test_pairs_are_met_alike_and_checks_set_the_truth_against_noise(run, tmp_path):
    key = ask(run, tmp_path / "out")
    pairs = [frozenset(one.models) for one in key.questions if not one.check]
    assert sorted(map(pairs.count, set(pairs))) == [3, 3, 3]
    assert [set(one.models) for one in key.questions if one.check] == [{"truth", "noise"}] * 2


def test_no_file_that_raters_get_tells_a_name(run, tmp_path):
    ask(run, tmp_path / "out", "rating", questions=6)
    given = [path for path in (tmp_path / "out" / "page").rglob("*") if path.is_file()]
    assert len(given) == 2 + 2 * (6 + 4)
    for path in given:
        text = path.name + ("" if path.suffix == ".png" else path.read_text())
        assert not [name for name in ('"ns', "telea", "deepgin", "photo0", '"truth', '"noise') if name in text]


def test_a_model_that_was_told_the_truth_is_marked_in_key_and_tally_and_nowhere_for_raters(run, tmp_path, edit_record):
    told = shutil.copytree(run, tmp_path / "told")
    edit_record(told, lambda plain: plain["models"]["telea"].update(guides="edges from-truth"))
    key = ask(told, tmp_path / "out")
    assert [note.startswith("! telea was given the edges of the truth") for note in key.notes] == [True]
    assert questions.read(tmp_path / "out" / "key.json").notes == key.notes
    given = (tmp_path / "out" / "page" / "questions.js").read_text()
    assert "telea" not in given
    first = next(str(place) for place, one in enumerate(key.questions) if not one.check)
    answer = json.dumps({"study": key.study, "rater": "ann", "answers": {first: {"value": 0}}})
    found = tally.tally(key, received(tmp_path, key, answer))
    assert key.notes[0] in tally.report(key, found).footer


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"questions": 999}, "questions, not 999: --questions"),
        ({"models": ["telea"]}, "needs pictures of two models or more; there is telea"),
    ],
)
def test_a_study_that_cannot_be_made_says_why(run, tmp_path, more, sentence):
    with pytest.raises(BadInput, match=sentence):
        ask(run, tmp_path / "out", **more)


def test_unknown_words_are_named(run, tmp_path):
    with pytest.raises(UnknownName, match="choice"):
        ask(run, tmp_path / "out", "choise")
    with pytest.raises(UnknownName, match="telea"):
        ask(run, tmp_path / "out", models=["tellea", "ns"])


def test_a_folder_that_is_not_empty_is_left_alone(run, tmp_path):
    with pytest.raises(BadInput, match="is not empty"):
        ask(run, tmp_path.parent)


def toy(kind, asked):
    made = [questions.Question(image, "freeform-256/10-20", models) for image, models in asked]
    return questions.Key("s", kind, 0, tuple(made))


def sent(rater, *values, study="s"):
    plain = {"study": study, "rater": rater, "answers": {str(n): {"value": v} for n, v in enumerate(values)}}
    return json.dumps(plain)


def received(tmp_path, key, *texts):
    found = []
    for number, text in enumerate(texts):
        path = tmp_path / f"{number}.json"
        path.write_text(text)
        found.append(tally.read(path, key))
    return found


def test_three_wins_against_one_are_75_per_cent_and_a_distance_of_log_three(tmp_path):
    key = toy("choice", [(f"p{n}", ("a", "b")) for n in range(4)])
    found = tally.tally(key, received(tmp_path, key, sent("ann", 0, 0, 0, 1)))
    assert found.models == ("a", "b")
    assert found.values["share"].tolist() == [75, 25]
    assert found.values["Bradley-Terry"] == pytest.approx([math.log(3) / 2, -math.log(3) / 2])
    low, high = found.intervals["share"]
    assert (low < 75).all()
    assert high[0] > 75
    assert math.isnan(found.alpha)


def test_strengths_of_three_are_those_from_which_the_wins_were_expected():
    strengths = np.array([0.9, -0.2, -0.7])
    chance = 1 / (1 + np.exp(strengths[None] - strengths[:, None]))
    wins = 30 * chance * (1 - np.eye(3))
    assert tally.bradley_terry(wins) == pytest.approx(strengths, abs=1e-9)


def test_a_model_that_always_won_has_no_finite_strength():
    assert np.isnan(tally.bradley_terry(np.array([[0.0, 4.0], [0.0, 0.0]]))).all()


def test_mean_opinion_scores_are_means(tmp_path):
    key = toy("rating", [("p", ("a",)), ("p", ("b",)), ("q", ("a",))])
    found = tally.tally(key, received(tmp_path, key, sent("ann", 5, 2, 4), sent("bob", 4, 1, 5)))
    assert found.values["MOS"].tolist() == [4.5, 1.5]
    assert found.counts.tolist() == [4, 2]


def test_aspects_are_counted_apart(tmp_path):
    made = [questions.Question("p", "freeform-256/10-20", ("a",), aspect=aspect) for aspect in questions.ASPECTS]
    key = questions.Key("s", "aspects", 0, tuple(made))
    found = tally.tally(key, received(tmp_path, key, sent("ann", 5, 4, 3, 2), sent("bob", 5, 2, 3, 1)))
    assert {name: values.tolist() for name, values in found.values.items()} == {
        "content": [5], "colour": [3], "naturalness": [3], "texture": [1.5],
    }  # fmt: skip
    heads = [column.head for column in tally.report(key, found).tables[0].columns]
    assert heads == ["content, 1-5", "colour, 1-5", "naturalness, 1-5", "texture, 1-5", "answers"]


def test_every_picture_of_a_study_of_aspects_is_asked_about_four_times_beside_the_truth(run, tmp_path):
    key = ask(run, tmp_path / "study", "aspects", questions=3, checks=0)
    assert [one.aspect for one in key.questions] == 3 * list(questions.ASPECTS)
    page = tmp_path / "study" / "page"
    assert all((page / one.truth).is_file() and (page / one.shown).is_file() for one in key.questions)


@pytest.mark.parametrize(
    ("units", "nominal", "expected"),
    [
        ([[1, 1], [0, 0]], True, 1.0),
        ([[1, 1], [0, 1]], True, 0.0),
        ([[1, 2], [4, 5]], False, 1 - ((2 + 2) / 4) / ((2 * (1 + 9 + 16 + 4 + 9 + 1)) / 12)),
    ],
)
def test_krippendorffs_alpha_of_cases_by_hand(units, nominal, expected):
    assert tally.alpha(units, nominal=nominal) == pytest.approx(expected)


def test_who_takes_noise_for_the_truth_is_left_out_and_named(tmp_path):
    key = toy("choice", [("p", ("a", "b")), ("q", ("truth", "noise"))])
    found = tally.tally(key, received(tmp_path, key, sent("ann", 0, 0), sent("bob", 1, 1)))
    assert (found.raters, found.left_out) == (1, ("bob",))
    assert found.values["share"].tolist() == [100, 0]
    text = " ".join(tally.report(key, found).footer)
    assert "noise was taken before the truth: bob" in text
    assert "no finite score exists" in text


ONE = '{"value": 1}'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (sent("ann", 0, study="t"), "answers the study t, not s"),
        (sent("ann", 0, 1, 1), "question 2"),
        (sent("ann", 2), "question 0"),
        (f'{{"study": "s", "rater": "ann", "answers": {{"1": {ONE}, "01": {ONE}}}}}', "question 01"),
        (
            f'{{"study": "s", "rater": "ann", "answers": {{"\N{SUPERSCRIPT TWO}": {ONE}}}}}',
            "question \N{SUPERSCRIPT TWO}",
        ),
        ("{", "answers"),
    ],
)
def test_answers_of_another_study_are_refused(tmp_path, text, sentence):
    key = toy("choice", [("p", ("a", "b")), ("q", ("a", "b"))])
    with pytest.raises(BadInput, match=sentence):
        received(tmp_path, key, text)


def test_a_rater_counts_once(tmp_path):
    key = toy("choice", [("p", ("a", "b"))])
    with pytest.raises(BadInput, match="ann has sent two files"):
        tally.tally(key, received(tmp_path, key, sent("ann", 0), sent("ann", 1)))


RATES = {"truth": "5", "noise": "1"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "column"), [("choice", "Bradley-Terry"), ("rating", "MOS, 1-5"), ("aspects", "texture, 1-5")]
)
def test_the_page_works_from_disk_and_its_file_is_counted(bench, run, tmp_path, kind, column):
    browser = chromium()
    from playwright.sync_api import expect

    out = tmp_path / "study"
    assert bench("study", "make", run, "--kind", kind, "--questions", 3, "--checks", 1, "--out", out)[0] == 0
    key = questions.read(out / "key.json")
    with browser() as tab:
        tab.goto((out / "page" / "index.html").as_uri())
        tab.fill("#rater", "ann")
        tab.click("#begin")
        for question in key.questions:
            side = question.models.index("truth") if question.check and kind == "choice" else 0
            images = tab.locator("img")
            expect(images).to_have_count({"choice": 3, "rating": 2, "aspects": 3}[kind])
            for image in images.all():
                expect(image).not_to_have_js_property("naturalWidth", 0)
            tab.keyboard.press(
                ("ArrowLeft", "ArrowRight")[side] if kind == "choice" else RATES.get(question.models[0], "3")
            )
        with tab.expect_download() as saved:
            tab.click("#save")
        saved.value.save_as(tmp_path / "ann.json")
    status, shown, told = bench("study", "tally", out, tmp_path / "ann.json", "--format", "markdown")
    assert status == 0, told
    assert "1 raters" in shown
    assert column in shown


def chromium():
    from contextlib import contextmanager

    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("Chromium is not installed")

    @contextmanager
    def tab():
        from playwright.sync_api import sync_playwright

        with sync_playwright() as driver:
            opened = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--no-first-run"])
            yield opened.new_page(accept_downloads=True)
            opened.close()

    return tab
