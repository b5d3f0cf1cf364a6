"""What was named and cannot be given ends with status 1 or 2 and a sentence that names it; it is never passed over."""

import pytest

SMALL = ("--dataset", "demo", "--limit", "1", "--workers", "0", "--keep-images", "0")
DEEP = "deepfillv2@places2"


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    from bench import progress
    from bench.run.main import run
    from bench.types import Execution, RunSpec

    root = tmp_path_factory.mktemp("measured") / "run"
    progress.quiet = True
    run(RunSpec(("mean", "telea"), masks=("freeform",), buckets="20-30", metrics=("psnr",), limit=1), root, Execution())
    return root


@pytest.fixture
def ask(bench, measured, tmp_path, monkeypatch):
    """A command within an empty folder; RUN stands for the measured run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    (tmp_path / "empty").mkdir()
    return lambda words: bench(*words.replace("RUN", str(measured)).split())


@pytest.mark.parametrize(
    "words",
    {
        "report RUN --models teela": "No model 'teela'. Did you mean: telea",
        "report RUN --models mean,ns": "No model 'ns'",
        "report RUN --metrics fid": "No metric 'fid'",
        "report RUN --masks centre": "No mask set 'centre'",
        "report RUN --buckets 50-60": "No bucket '50-60'",
        "report RUN --sort fid": "No metric 'fid'",
        "report RUN --layout nope": "No layout 'nope'",
        "report RUN --format nope": "No format 'nope'",
        "report RUN --published sideways": "--published must be one of",
        "report RUN --layout rnon-table3 --published only": "--published only has no use for RUN",
        "figure RUN --out a.png --models teela": "No model 'teela'",
        "figure RUN --out a.png --metric fid": "No metric 'fid'. There are: psnr.",
        "figure RUN --out a.png --masks centre": "no masks centre",
        "figure RUN --out a.png --bucket 20-30": "has no use for --bucket",
        "figure RUN --out a.png --kind nope": "No figure 'nope'",
        "figure RUN --out a.png --layout nope": "No figure layout 'nope'",
        "figure RUN --out a.png --width wide": "--width wide",
        "check RUN --write e.json --tolerance abc": "--tolerance abc",
        "check RUN --write e.json --tolerance fid=1": "No metric 'fid'",
        "check RUN --write e.json --tolerance psnr=1 --tolerance psnr=2": "psnr is given twice",
        "compare RUN:mean RUN:nope": "No model 'nope'",
        "compare RUN:mean RUN:telea --metrics psnr,fid": "No metric 'fid'",
        "audit RUN --metrics nope": "No metric 'nope'",
        "submit RUN --out run.tar": "a submission is written as .zip",
        "study make RUN --out st --models mean,nope": "No model with kept pictures 'nope'",
        "models verify pconv --run RUN": "has no model pconv",
        "models verify nope": "No model 'nope'",
        "models show nope": "No model 'nope'",
        "models fetch pconv@nope": "No published weights 'pconv@nope'",
        "models import glcic empty --number mean=1,1,1 --number mean=2,2,2": "mean is given twice",
        "metrics show psn": "No metric 'psn'",
        "metrics fetch nope": "No weight file 'nope'",
        "metrics list --library nope": "No library of metrics 'nope'",
        "masks show nope": "No mask set 'nope'",
        "masks freeze nope": "No mask family 'nope'",
        "datasets show nope": "No data set 'nope'",
        "datasets verify demo --split nope": "The data set demo has no splits",
        "protocols show nope": "No protocol 'nope'",
        "protocols diff bench nope": "No protocol 'nope'",
        "reproduce rnon-table3 --root nope=x": "No data set of the table 'nope'. There are: celeba, places2.",
        "reproduce rnon-table3 --root celeba=a --root celeba=b": "celeba is given twice",
        "reproduce rnon-table3 --format nope": "No format 'nope'",
        "export out --masks centre --buckets 10-20": "centre-256 has no mask in bucket 10-20",
        "score --predictions empty --format nope": "No kind of picture 'nope'",
        "run --models mean --split nope": "The data set demo has no splits",
        "run --models mean,-mean": "leaves no model",
        "run --models mean --set ce.steps=3": "ce is none of the models asked for: mean",
        "run --models mean --masks centre --buckets 10-20": "centre-256 has no mask in bucket 10-20",
        "run --models mean --masks centre --buckets 10-20,20-30": "has masks in bucket 10-20",
        "run --models mean --protocol deepgin-os --buckets 10-20": "are drawn at each photograph's own size",
        "run --models ./empty --plan": "empty lacks ",
        "run --models mean --plan --out RUN/run.json": "stands where a folder must be",
        "train ce --recipe starter --plan --out RUN/run.json/a": "stands where a folder must be",
        "run --models mean --tiling foo": "There are: native.",
        "train pconv --validate freeform-256/rnon": "rnon are 4 buckets. Name one, or each: freeform-256/1-25",
        "train pconv --validate nope": "No mask set 'nope'",
        "train pconv --tag a/b": "--tag a/b",
        "train pconv --set batch=1 --set batch=2": "batch is set twice",
    }.items(),
    ids=lambda words: words[0],
)
def test_a_name_that_cannot_be_given_ends_with_2_and_one_sentence(ask, words):
    status, out, said = ask(words[0])
    assert (status, out) == (2, "")
    assert said.startswith("error: ")
    assert words[1] in said
    assert said.count("\n") == 1


def test_a_layout_that_takes_nothing_of_a_run_ends_with_1_and_says_what_the_run_holds(ask):
    status, out, said = ask("report RUN --layout rnon-table3")
    assert (status, "printed" in out) == (1, True)
    assert said.endswith("nothing that the layout rnon-table3 asks for: it holds mean, telea on demo by bench@1.\n")


def test_a_metric_that_was_named_and_has_no_network_here_ends_with_1_and_its_reason(bench, ask, tmp_path):
    words = ("run", "--models", "mean", "--masks", "centre", "--metrics", "psnr,fid", *SMALL, "--quiet")
    status, _, said = bench(*words, "--out", tmp_path / "run")
    assert status == 1
    assert said.startswith("fid was not measured: ")
    assert said.count("\n") == 1


@pytest.mark.slow
def test_what_was_not_named_is_told_at_the_start_and_in_the_last_line(bench, ask, tmp_path):
    words = ("run", "--models", "mean,lama*", "--masks", "centre", "--metrics", "psnr,fi*", *SMALL)
    status, out, said = bench(*words, "--out", tmp_path / "run")
    assert status == 0
    last = out.splitlines()[-1]
    assert last.startswith("Not measured: ")
    assert "something here (lama" in last
    assert "fid, fid-inf (bench doctor)" in last
    assert said.splitlines()[0] == last


def test_named_buckets_cut_sets_that_papers_leave_whole(bench, ask, tmp_path):
    lists = ("--masks", "lama-thick,centre", "--buckets", "10-20,20-30", "--metrics", "psnr")
    status, out, said = bench("run", "--models", "mean", *SMALL, *lists, "--out", tmp_path / "run")
    assert (status, "means over 3 cells" in out) == (0, True)
    assert "centre-256 has no mask in bucket 10-20: it is measured in the others alone." in said


@pytest.mark.parametrize("style", [(), ("--format", "terminal")])
def test_marks_of_the_compact_table_are_explained_wherever_it_goes(ask, style):
    out = ask(" ".join(("report", "RUN", "--summary", *style)))[1]
    assert "*" in out.split("Bold")[0]
    assert "Bold (*): the best" in out


def test_protocols_that_are_equal_say_so(ask):
    assert ask("protocols diff bench bench@1")[1] == "bench and bench@1 do not differ.\n"
