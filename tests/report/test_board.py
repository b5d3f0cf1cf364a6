"""Submissions that a receiver can check, and the board over those that pass."""

import json
import os
import re
import shutil
import zipfile
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image
from typer.testing import CliRunner

from bench import cli, stats
from bench.errors import BadInput
from bench.report import board, submission
from bench.run import summary
from bench.run.main import run
from bench.runfolder import record, tables
from bench.types import RunSpec


def measured(out, *models, limit=2):
    spec = RunSpec(
        models, "demo", None, None, ("freeform",), "20-30", ("psnr", "psnr-pooled", "l1"), "bench@1", limit, 1
    )
    return run(spec, out).root


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return measured(tmp_path_factory.mktemp("ours") / "ours", "mean", "telea")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    return measured(tmp_path_factory.mktemp("theirs") / "theirs", "mean", "ns")


@pytest.fixture
def archive(ours, tmp_path):
    submission.pack(ours, tmp_path / "ours.zip")
    return tmp_path / "ours.zip"


def rewritten(archive, honest=False, **changes):
    """The archive with other contents ({name: function of bytes}); honest: with digests that fit."""
    with zipfile.ZipFile(archive) as opened:
        held = {name: opened.read(name) for name in opened.namelist()}
    for name, change in changes.items():
        found = next(key for key in held if key.endswith(name.replace("__", ".")))
        held[found] = change(held[found])
        if honest:
            digests = json.loads(held["digests.json"])
            digests["sha256"][found] = submission.digest.of_bytes(held[found])
            held["digests.json"] = json.dumps(digests).encode()
    with zipfile.ZipFile(archive, "w") as opened:
        for name, content in held.items():
            opened.writestr(name, content)
    return archive


def fault(archive, tmp_path):
    with pytest.raises(BadInput) as raised:
        submission.unpack(archive, tmp_path / "out")
    return str(raised.value)


def test_a_run_comes_back_whole_but_for_the_place_of_its_photographs(archive, ours, tmp_path):
    found = submission.unpack(archive, tmp_path / "out")
    assert found.numbers.keys() == submission.results.load(ours).numbers.keys()
    assert found.record.spec.root is None
    assert (tmp_path / "out" / "results.parquet").read_bytes() == (ours / "results.parquet").read_bytes()
    assert list((tmp_path / "out" / "images").rglob("telea.png"))


def test_a_run_at_the_photographs_own_sizes_comes_back_too(tmp_path):
    spec = RunSpec(("mean",), "demo", protocol="deepgin-os@1", limit=1, metrics=("psnr",), keep_images=1)
    submission.pack(run(spec, tmp_path / "run").root, tmp_path / "own.zip")
    assert submission.unpack(tmp_path / "own.zip", tmp_path / "out").models == ("mean",)


@pytest.mark.parametrize("given", ["--root /home/ann/photos --out runs/x", "--root=/home/ann/photos --out=runs/x"])
def test_no_place_of_the_machine_is_packed_with_the_command(ours, edit_record, tmp_path, given):
    def typed(plain):
        plain["command"] = f"bench run --models mean {given} --limit 2"
        plain["spec"]["root"] = "/home/ann/photos"

    submission.pack(edit_record(shutil.copytree(ours, tmp_path / "run"), typed), tmp_path / "a.zip")
    assert b"/home/ann" not in (tmp_path / "a.zip").read_bytes()
    command = submission.unpack(tmp_path / "a.zip", tmp_path / "out").record.command
    assert command.startswith("bench run --models mean --root")
    assert command.endswith("... --limit 2")


def test_a_run_that_nobody_would_unpack_is_not_packed(ours, tmp_path, monkeypatch):
    monkeypatch.setattr(submission, "MAX_BYTES", 1000)
    with pytest.raises(BadInput, match="that a submission may unpack to"):
        submission.pack(ours, tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


def test_equal_runs_give_equal_archives(archive, ours, tmp_path):
    submission.pack(ours, tmp_path / "again.zip", day=date.fromisoformat(submission.packed_on(archive)))
    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()


def test_a_changed_file_is_refused(archive, tmp_path):
    assert "does not have the digest" in fault(rewritten(archive, images__txt=lambda text: text + b"x\n"), tmp_path)


def test_numbers_that_do_not_follow_from_the_rows_are_refused(archive, ours, tmp_path):
    run = record.read(ours).mark

    def better(content):
        path = tmp_path / "summary.parquet"
        path.write_bytes(content)
        frame = pd.read_parquet(path)
        frame.loc[frame["model"] == "telea", "value"] += 0.01
        table = pa.Table.from_pandas(frame)
        tables.write(path, table.schema, [table], run)
        return path.read_bytes()

    said = fault(rewritten(archive, honest=True, summary__parquet=better), tmp_path)
    assert said == "psnr of telea on freeform-256/20-30 is not what its rows give"


FORGERIES = {
    "a value without images": ({"metric": "psnr", "value": 99.9, "n": 0}, "is not what its rows give"),
    "more images": ({"metric": "l1", "images": 100_000}, "counts other images than the 2 of its list"),
    "an interval": ({"metric": "l1", "low": 0.0, "high": 0.01}, "is not what its rows give"),
    "a number of images": ({"metric": "l1", "n": 1}, "is not what its rows give"),
    "another bucket": ({"metric": "l1", "bucket_hi": 0.4}, "its summary tells of another cell freeform-256/20-30"),
    "another family": ({"metric": "l1", "family": "centre"}, "its summary tells of another cell freeform-256/20-30"),
    "a metric that no row has": ({"metric": "ssim-wang", "value": 0.99}, "has no values in its rows"),
}


@pytest.mark.parametrize("what", FORGERIES)
def test_no_number_is_shown_that_its_rows_do_not_give(archive, ours, tmp_path, what):
    forged, said = FORGERIES[what]

    def rewrite(content):
        (tmp_path / "summary.parquet").write_bytes(content)
        frame = pd.read_parquet(tmp_path / "summary.parquet")
        place = frame.index[frame["metric"] == ("l1" if forged["metric"] == "l1" else "psnr")][0]
        for name, value in forged.items():
            frame.loc[place, name] = value
        table = pa.Table.from_pandas(frame, preserve_index=False)
        tables.write(tmp_path / "summary.parquet", table.schema, [table], record.read(ours).mark)
        return (tmp_path / "summary.parquet").read_bytes()

    assert said in fault(rewritten(archive, honest=True, summary__parquet=rewrite), tmp_path)


ROWS = {
    "without a column": (lambda frame: frame.drop(columns="psnr"), "has no values in its rows"),
    "without the worst image": (lambda frame: frame.assign(psnr=frame["psnr"].where(frame["psnr"] > 25)), "leaves out"),
    "none": (lambda frame: frame.iloc[:0], "it has no rows"),
    "without a row": (lambda frame: frame.iloc[1:], "leaves out some of the 2 images"),
    "of another ratio": (lambda frame: frame.assign(ratio=0.5), "measured under other masks"),
    "twice": (lambda frame: pd.concat([frame, frame]), "rows, more than its models, images and cells give"),
    "of other images": (lambda frame: frame.assign(image="x"), "that are not its own"),
    "under other masks": (lambda frame: frame.assign(mask="10-15/001"), "measured under other masks"),
    "on other photographs": (lambda frame: frame.assign(image_digest=bytes(16)), "not those of its record"),
    "with a name of a megabyte": (lambda frame: frame.assign(mask="x" * (1 << 20)), "a name of more than 4,096 bytes"),
}


@pytest.mark.parametrize("what", ROWS)
def test_rows_that_no_run_leaves_are_refused(archive, ours, tmp_path, what):
    change, said = ROWS[what]

    def rewrite(content):
        (tmp_path / "results.parquet").write_bytes(content)
        held = tables.read(tmp_path / "results.parquet")
        frame = change(held.to_pandas())
        schema = pa.schema([field for field in held.schema if field.name in frame])
        table = pa.Table.from_pandas(frame, schema, preserve_index=False)
        tables.write(tmp_path / "results.parquet", schema, [table], record.read(ours).mark)
        return (tmp_path / "results.parquet").read_bytes()

    assert said in fault(rewritten(archive, honest=True, results__parquet=rewrite), tmp_path)


def test_rows_that_would_fill_the_memory_are_refused_before_they_are_read(archive, ours, tmp_path):
    def rewrite(content):
        schema = tables.row_schema(["psnr"])
        count = 1 << 20
        columns = [pa.array(["x"] * count) if field.name in tables.TEXTS else pa.nulls(count) for field in schema]
        table = pa.Table.from_arrays(
            [column.cast(f.type) for column, f in zip(columns, schema, strict=True)], schema=schema
        )
        tables.write(tmp_path / "bomb.parquet", schema, [table], record.read(ours).mark)
        return (tmp_path / "bomb.parquet").read_bytes()

    assert "results.parquet has 1,048,576 rows" in fault(
        rewritten(archive, honest=True, results__parquet=rewrite), tmp_path
    )


def test_a_forged_copy_displaces_no_honest_archive(ours, theirs, tmp_path):
    """Whichever name comes first."""
    copy = shutil.copytree(ours, tmp_path / "a", ignore=shutil.ignore_patterns("images"))
    held = tables.read(ours / "results.parquet")
    frame = held.to_pandas().assign(psnr=99.0)
    tables.write(
        copy / "results.parquet", held.schema, [pa.Table.from_pandas(frame, held.schema)], record.read(ours).mark
    )
    runs = {"a": submission.results.load(copy), "ours": submission.results.load(ours)}
    assert list(board.join(runs, tmp_path / "joined").models) == [
        "mean [a]",
        "telea [a]",
        "mean [ours]",
        "telea [ours]",
    ]


@pytest.fixture
def edited(edit_record, tmp_path):
    """A change of the record's content, as `rewritten` takes it."""

    def change(edit):
        def rewrite(content):
            (tmp_path / "run.json").write_bytes(content)
            return (edit_record(tmp_path, edit) / "run.json").read_bytes()

        return rewrite

    return change


def test_masks_of_another_set_are_refused(ours, edit_record, tmp_path):
    def other(plain):
        plain["settings"]["mask_sets"]["freeform-256"] = "00"

    submission.pack(edit_record(shutil.copytree(ours, tmp_path / "forged"), other), tmp_path / "forged.zip")
    said = fault(tmp_path / "forged.zip", tmp_path)
    assert said == "its mask set freeform-256 is not the one that is frozen here"


def test_a_changed_record_is_refused(archive, tmp_path):
    def forged(content):
        return content.replace(b'"limit": 2', b'"limit": 3')

    said = fault(rewritten(archive, honest=True, run__json=forged), tmp_path)
    assert said == "its run.json is damaged: its content does not have its digest"


def test_pictures_that_were_not_scored_are_refused(archive, tmp_path):
    def nicer(_):
        Image.fromarray(np.zeros((256, 256, 3), np.uint8)).save(tmp_path / "nicer.png")
        return (tmp_path / "nicer.png").read_bytes()

    said = fault(rewritten(archive, honest=True, telea__png=nicer), tmp_path)
    assert re.fullmatch(
        r"its images/freeform-256/20-30/.*/models/telea.png is damaged: it is not the picture that was scored", said
    )


def test_pictures_that_no_row_tells_of_are_refused(archive, tmp_path):
    with zipfile.ZipFile(archive) as opened:
        digests = json.loads(opened.read("digests.json"))
    digests["sha256"]["images/a/b/c/d.png"] = submission.digest.of_bytes(b"x")
    rewritten(archive, digests__json=lambda _: json.dumps(digests).encode())
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr("images/a/b/c/d.png", b"x")
    assert fault(archive, tmp_path) == "the picture images/a/b/c/d.png is not one that was scored"


@pytest.mark.parametrize(
    "name", ["../evil.png", "images/../../../../evil.png", "/evil.png", "images/a/b/c/d.svg", "x.py"]
)
def test_nothing_leaves_the_folder_or_is_no_part_of_a_submission(name, archive, tmp_path):
    with zipfile.ZipFile(archive) as opened:
        digests = json.loads(opened.read("digests.json"))
    digests["sha256"][name] = submission.digest.of_bytes(b"evil")
    rewritten(archive, digests__json=lambda _: json.dumps(digests).encode())
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr(name, b"evil")
    assert "is no part of a submission" in fault(archive, tmp_path)
    assert not list(tmp_path.rglob("evil*"))


def test_an_archive_that_unpacks_to_too_much_is_refused(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(submission, "MAX_BYTES", 1000)
    assert "unpacks to more than" in fault(archive, tmp_path)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_archive_is_refused(content, tmp_path):
    (tmp_path / "x.zip").write_bytes(content)
    assert "no archive" in (said := fault(tmp_path / "x.zip", tmp_path)) or "no digests.json" in said


def test_the_board_names_what_it_refuses_and_shows_the_rest(archive, theirs, tmp_path):
    folder = archive.parent
    submission.pack(theirs, folder / "theirs.zip")
    (folder / "broken.zip").write_bytes(b"broken")
    result = CliRunner().invoke(cli.build(), ["board", str(folder), "--html", str(tmp_path / "board")])
    assert result.exit_code == 1
    page = (tmp_path / "board" / "index.html").read_text()
    assert "<b>broken.zip</b>: it is no archive that can be read" in page
    rows = re.findall(r'<tr><td>(\d)</td><th scope="row"><a href="(board-[^"]+)">([^<]+)</a>', page)
    assert [rank for rank, *_ in rows] == ["1", "2", "3"]
    assert {"Telea", "Navier-Stokes"} <= {title for *_, title in rows}
    (inner,) = (tmp_path / "board").glob("board-*/data.js")
    assert all(f'"title":"{name}"' in inner.read_text() for name in ("Telea", "Navier-Stokes"))


DAYS = {
    "2126-01-01": "its date 2126-01-01 lies in the future",
    "yesterday": "its date yesterday is none that is written as 2026-02-28",
}


@pytest.mark.parametrize("day", DAYS)
def test_a_date_that_is_none_is_refused(archive, tmp_path, day):
    def forged(content):
        return json.dumps(json.loads(content) | {"date": day}).encode()

    assert fault(rewritten(archive, digests__json=forged), tmp_path) == DAYS[day]


def test_the_board_says_when_each_submission_was_packed_and_which_is_the_newest(ours, theirs, tmp_path):
    submission.pack(ours, tmp_path / "ours.zip", day=date(2025, 3, 14))
    submission.pack(theirs, tmp_path / "theirs.zip", day=date(2026, 2, 1))
    page = board.write(tmp_path, tmp_path / "board").page.read_text()
    days = re.findall(r">([^<]+)</a></th>.*?<td>([^<]*)</td><td>(2[\d-]+)( <small>newest</small>)?</td>", page)
    assert sorted(days) == [
        ("Mean colour", "ours, theirs", "2025-03-14", ""),
        ("Navier-Stokes", "theirs", "2026-02-01", " <small>newest</small>"),
        ("Telea", "ours", "2025-03-14", ""),
    ]


def test_an_archive_without_a_date_is_shown_without_one(archive, tmp_path):
    def earlier(content):
        return json.dumps({name: value for name, value in json.loads(content).items() if name != "date"}).encode()

    rewritten(archive, digests__json=earlier)
    page = board.write(archive.parent, tmp_path / "board").page.read_text()
    assert page.count("<td>ours</td><td>&ndash;</td>") == 2


def test_a_model_of_two_submissions_stands_once_if_its_rows_are_equal(ours, theirs, tmp_path):
    runs = {"ours": submission.results.load(ours), "theirs": submission.results.load(theirs)}
    joined = board.join(runs, tmp_path / "joined")
    assert list(joined.models) == ["mean", "telea", "ns"]
    assert set(pd.read_parquet(tmp_path / "joined" / "results.parquet")["model"]) == {"mean", "telea", "ns"}


def test_a_model_of_two_submissions_with_other_rows_carries_the_archives_names(ours, theirs, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(theirs, copy, ignore=shutil.ignore_patterns("images"))
    frame = pd.read_parquet(theirs / "results.parquet").assign(output_digest=bytes(16))
    table = pa.Table.from_pandas(frame, schema=tables.opened(theirs / "results.parquet").schema_arrow)
    tables.write(copy / "results.parquet", table.schema, [table])
    runs = {"ours": submission.results.load(ours), "theirs": submission.results.load(tmp_path / "copy")}
    assert list(board.join(runs, tmp_path / "joined").models) == ["mean [ours]", "telea", "mean [theirs]", "ns"]


def renamed(run, edit_record, model, name, **facts):
    """The run with one model under another name, and other facts of it."""

    def edit(plain):
        plain["models"] = {name if key == model else key: held for key, held in plain["models"].items()}
        plain["models"][name].update(facts)

    for path in run.glob("*.parquet"):
        held = tables.read(path)
        place = held.schema.get_field_index("model")
        models = [name if one == model else one for one in held.column(place).to_pylist()]
        table = held.set_column(place, "model", pa.array(models, pa.string()))
        tables.write(path, table.schema, [table])
    return edit_record(run, edit)


def test_no_model_is_called_as_if_another_archive_held_it(ours, theirs, edit_record, tmp_path):
    (tmp_path / "in").mkdir()
    copies = [shutil.copytree(theirs, tmp_path / name, ignore=shutil.ignore_patterns("images")) for name in "ab"]
    submission.pack(renamed(copies[0], edit_record, "ns", "telea [ours]", title="Better"), tmp_path / "in/evil.zip")
    submission.pack(renamed(copies[1], edit_record, "ns", "telea"), tmp_path / "in/other.zip")
    submission.pack(ours, tmp_path / "in/ours.zip")
    made = board.write(tmp_path / "in", tmp_path / "board")
    assert not made.refused
    rows = re.findall(r">([^<]+)</a></th>.*?<td>([^<]*)</td><td>\d{4}-", made.page.read_text())
    assert sorted(archive for title, archive in rows if "Better" in title) == ["evil"]
    assert sorted(archive for _, archive in rows) == ["evil", "evil, other, ours", "other", "ours"]


def test_a_copy_gives_no_other_title_to_anothers_rows(ours, edit_record, tmp_path):
    copy = shutil.copytree(ours, tmp_path / "a", ignore=shutil.ignore_patterns("images"))
    renamed(copy, edit_record, "telea", "telea", title="Mine")
    runs = {"a": submission.results.load(copy), "ours": submission.results.load(ours)}
    joined = board.join(runs, tmp_path / "joined").models
    assert {name: made.title for name, made in joined.items() if "telea" in name} == {
        "telea [a]": "Mine",
        "telea [ours]": "Telea",
    }


def test_runs_of_other_settings_share_no_table(archive, tmp_path):
    submission.pack(measured(tmp_path / "fewer", "mean", limit=1), archive.parent / "fewer.zip")
    board.write(archive.parent, tmp_path / "board")
    assert len(list((tmp_path / "board").glob("board-*"))) == 2


def test_what_is_no_file_is_refused_and_never_opened(archive, tmp_path):
    os.mkfifo(tmp_path / "pipe.zip")
    (tmp_path / "zero.zip").symlink_to("/dev/zero")
    (tmp_path / "folder.zip").mkdir()
    made = board.write(tmp_path, tmp_path / "board")
    assert made.refused == dict.fromkeys(["folder.zip", "pipe.zip", "zero.zip"], "it is no regular file")


def test_an_archives_name_leads_nowhere(archive, ours, tmp_path):
    group = submission.digest.of_lines([submission.results.load(ours).record.mark])[:16]
    (tmp_path / "in").mkdir()
    for name in ("...zip", f"board-{group}.zip", "<b>.zip"):
        shutil.copy(archive, tmp_path / "in" / name)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(scratch))
        made = board.write(tmp_path / "in", tmp_path / "board")
    assert not made.refused
    assert not list(scratch.iterdir())
    assert "<b>" not in made.page.read_text().partition("<tbody>")[2].partition("</td>")[0]


@pytest.fixture
def with_rows(archive, ours, tmp_path):
    """The archive after `change(rows)`, with a summary that follows from the changed rows in PSNR."""

    def rewrite(name, change):
        def rewritten_file(content):
            (tmp_path / name).write_bytes(content)
            table = tables.read(tmp_path / name)
            changed = pa.Table.from_pandas(change(table.to_pandas()), table.schema, preserve_index=False)
            tables.write(tmp_path / name, table.schema, [changed], record.read(ours).mark)
            return (tmp_path / name).read_bytes()

        return rewritten_file

    def make(change):
        rows = change(pd.read_parquet(ours / "results.parquet"))
        values = rows.loc[rows["model"] == "telea", "psnr"].to_numpy()[None]
        (score,) = summary.PairScores({"psnr": stats.mean}, 2)({"psnr": values})["psnr"]

        def summed(frame):
            frame.loc[(frame["model"] == "telea") & (frame["metric"] == "psnr"), list(score)] = list(score.values())
            return frame

        files = {"results.parquet": rewrite("results.parquet", lambda _: rows)}
        return rewritten(archive, honest=True, **files | {"summary.parquet": rewrite("summary.parquet", summed)})

    return make


@pytest.fixture
def place(ours):
    """The row of Telea on an image, by whether its picture is kept."""
    (kept,) = record.read(ours).kept

    def find(rows, *, shown):
        (found,) = rows.index[(rows["model"] == "telea") & ((rows["image"] == kept) == shown)]
        return found

    return find


def test_values_that_are_left_out_are_counted_beside_the_row(with_rows, place, tmp_path):
    def met(rows):
        row = place(rows, shown=False)
        rows.loc[row, "psnr"] = np.inf
        rows.at[row, "output_digest"] = rows.at[row, "image_digest"]  # noqa: PD008 - bytes are no list
        return rows

    (tmp_path / "in").mkdir()
    shutil.move(with_rows(met), tmp_path / "in")
    made = board.write(tmp_path / "in", tmp_path / "board")
    assert made.page.read_text().count("yes; left out, not finite: 1 value<") == 1


def test_an_infinite_value_of_a_picture_that_is_not_the_truth_is_refused(with_rows, place, tmp_path):
    def hidden(rows):
        rows.loc[place(rows, shown=False), "psnr"] = np.inf
        return rows

    assert fault(with_rows(hidden), tmp_path) == "psnr is infinite in a row whose picture is not the truth"


def test_a_row_that_its_kept_picture_contradicts_is_refused_with_both_numbers(with_rows, place, tmp_path):
    def better(rows):
        rows.loc[place(rows, shown=True), "psnr"] += 5
        return rows

    said = fault(with_rows(better), tmp_path)
    told, found = map(
        float, re.fullmatch(r"psnr of telea on .* is (\S+) in its rows and (\S+) of its kept picture", said).groups()
    )
    assert told == pytest.approx(found + 5, abs=1e-3)


WORDS = {
    "another protocol": (lambda plain: plain["protocol"].update(composite=False), "not those of the protocol bench@1"),
    "masks of no size": (lambda plain: plain["mask_sets"]["freeform-256"].update(size_px=0), "another mask set"),
    "another family": (lambda plain: plain["mask_sets"]["freeform-256"].update(family="centre"), "another mask set"),
    "another data set": (lambda plain: plain["spec"].update(dataset="places2"), "data set demo, not of places2"),
}


@pytest.mark.parametrize("what", WORDS)
def test_a_record_whose_words_are_not_its_settings_is_refused(ours, edit_record, tmp_path, what):
    edit, said = WORDS[what]
    submission.pack(edit_record(shutil.copytree(ours, tmp_path / "forged"), edit), tmp_path / "forged.zip")
    assert said in fault(tmp_path / "forged.zip", tmp_path)


def test_which_way_a_metric_is_better_is_not_a_submissions_to_say(ours, edit_record, tmp_path):
    def turned(plain):
        plain["metrics"]["psnr"].update(better="lower", title="Best of all")

    forged = submission.results.load(edit_record(shutil.copytree(ours, tmp_path / "forged"), turned))
    card = board.join({"forged": forged}, tmp_path / "joined").metrics["psnr"]
    assert (card.better, card.title) == ("higher", "PSNR")


def test_photographs_of_one_name_that_are_not_the_same_share_no_table(archive, theirs, edit_record, tmp_path):
    copy = shutil.copytree(theirs, tmp_path / "copy", ignore=shutil.ignore_patterns("images"))
    held = tables.read(copy / "results.parquet")
    other = [digest[::-1] for digest in held.column("image_digest").to_pylist()]
    place = held.schema.get_field_index("image_digest")
    held = held.set_column(place, held.schema.field(place), pa.array(other, tables.DIGEST))
    tables.write(copy / "results.parquet", held.schema, [held])
    truths = list(dict.fromkeys(other))
    edit_record(copy, lambda plain: plain.update(photographs=submission.digest.of_bytes(*truths)))
    submission.pack(copy, archive.parent / "copy.zip")
    made = board.write(archive.parent, tmp_path / "board")
    assert not made.refused
    assert len(list((tmp_path / "board").glob("board-*"))) == 2


def test_a_folder_without_archives_is_refused(tmp_path):
    with pytest.raises(BadInput, match="holds no submission"):
        board.write(tmp_path, tmp_path / "board")


def test_the_command_packs_beside_the_run_and_checks(ours, tmp_path):
    result = CliRunner().invoke(cli.build(), ["submit", str(ours), "--out", str(tmp_path / "a.zip")])
    assert result.exit_code == 0
    assert "2 models" in result.stdout


def test_an_archive_that_is_there_stays_where_the_run_cannot_be_submitted(ours, edit_record, tmp_path):
    wrong = edit_record(
        shutil.copytree(ours, tmp_path / "wrong"), lambda plain: plain["spec"].update(dataset="places2")
    )
    (tmp_path / "a.zip").write_bytes(b"of yesterday")
    result = CliRunner().invoke(cli.build(), ["submit", str(wrong), "--out", str(tmp_path / "a.zip")])
    assert "cannot be submitted: its settings are those of the data set demo" in str(result.exception)
    assert (tmp_path / "a.zip").read_bytes() == b"of yesterday"
