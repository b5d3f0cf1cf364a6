"""Files that people write: taken in every harmless spelling, refused in one sentence with file, line and field."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import documents
from bench.errors import BadInput, BenchError


@dataclass(frozen=True)
class Row:
    head: str
    width: int = 0


@dataclass(frozen=True)
class Table:
    title: str
    rows: tuple[str | Row, ...] = ()
    names: tuple[str, ...] = ()
    buckets: str = ""
    marks: Literal["bold", "none"] = "none"
    limit: int | None = None
    wide: bool = False
    scale: float = 1.0
    decimals: dict[str, int] = field(default_factory=dict)
    measured: dict[str, str | tuple[str, ...]] = field(default_factory=dict)
    origin: str = ""


def taken(text, *, toml=True, **options):
    options = {"names": ("names",), "joined": ("buckets",)} | options
    return documents.parse(text, "mine", toml=toml).into(Table, **options)


def test_a_file_becomes_a_dataclass():
    text = 'title = "x"\nrows = ["a", {head = "b"}]\nscale = 2\nmeasured = {ssim = "s", fid = ["f"]}'
    held = taken(text)
    assert held == Table("x", ("a", Row("b")), scale=2.0, measured={"ssim": "s", "fid": ("f",)})


@pytest.mark.parametrize("written", ['"a, b"', '["a", "b"]'])
def test_names_are_taken_as_a_list_and_as_a_text_with_commas(written):
    assert taken(f'title = "x"\nnames = {written}\nbuckets = {written.replace(", b", ",b")}') == Table(
        "x", names=("a", "b"), buckets="a,b"
    )


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("title = 3", "line 1, field 'title': must be text in quotes, not 3."),
        ("names = 3", r"field 'names': must be a list \(\[...\]\) of which each is text in quotes, not 3"),
        ('names = ["a", 2]', r"field 'names\[1\]': must be text in quotes, not 2"),
        ("rows = [3]", r"field 'rows\[0\]': must be text in quotes or a table, not 3"),
        ("rows = [{head = 3}]", r"field 'rows\[0\].head': must be text in quotes, not 3"),
        ("rows = [{}]", r"field 'rows\[0\].head': is missing"),
        ('rows = [{head = "a", widht = 3}]', r"field 'rows\[0\].widht': no such field; did you mean 'width'\?"),
        ('marks = "bolt"', "field 'marks': must be one of bold, none, not \"bolt\""),
        ("limit = 2.5", "field 'limit': must be a whole number, not 2.5"),
        ("limit = true", "field 'limit': must be a whole number, not true"),
        ("wide = 1", "field 'wide': must be true or false, not 1"),
        ('scale = "1"', "field 'scale': must be a number, not \"1\""),
        ("decimals = {psnr = 2, ssim = 2.5}", r"field 'decimals.ssim': must be a whole number, not 2.5"),
        ("measured = {ssim = [3]}", r"field 'measured.ssim\[0\]': must be text in quotes, not 3"),
        ("wide = 1979-05-27", 'must be true or false, not "1979-05-27"'),
        ("titel = 1", "field 'titel': no such field; did you mean 'title'"),
    ],
)
def test_a_wrong_field_is_named_with_its_line_and_what_must_stand_there(line, sentence):
    text = line if line.startswith("title") else f'title = "x"\n\n# a remark\n{line}'
    where = "" if line.startswith("title") else "mine, line 4, .*"
    with pytest.raises(BadInput, match=where + sentence):
        taken(text)


def test_a_missing_field_is_named():
    with pytest.raises(BadInput, match=r"^mine, field 'title': is missing\.$"):
        taken("wide = true")


def test_a_field_that_the_reader_gives_cannot_be_written():
    with pytest.raises(BadInput, match="line 2, field 'origin': cannot be given here"):
        taken('title = "x"\norigin = "y"', origin="z")
    assert taken('title = "x"', origin="z").origin == "z"


def test_other_fields_may_stand_in_files_that_are_not_ours_alone():
    assert taken('{"title": "x", "info": [1]}', toml=False, loose=True) == Table("x")
    with pytest.raises(BadInput, match="line 2, field 'title': must be text"):
        taken('{"info": 2,\n"title": 3}', toml=False, loose=True)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('title = "x"\n[[rows]]\nhead = "a"\n[[rows]]\nhead = 3', 5),
        ('title = "x"\n[[rows]]\nhead = "a"\n[[rows]]\nwidth = 3', 4),
        ('title = """\nwide = 1\n"""\nwide = 1', 4),
        ('title = "x"\nrows = [\n  {head = "a"},\n  {head = 3},\n]', 2),
        ('title = "x"\ndecimals.psnr = "a"', 2),
        ('title = "x"\n[decimals]\n"psnr" = "a"', 3),
        ('title = "x"\n[ decimals ] # here\npsnr = 1\nssim = []', 4),
    ],
)
def test_the_line_is_that_of_the_value_in_toml(text, line):
    with pytest.raises(BadInput, match=f"^mine, line {line}, "):
        taken(text)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"title": "x",\n "rows": ["a",\n {"head": "b"},\n {"head":\n 3}]}', 4),
        ('{"title": "x",\n "rows": ["a",\n {"width": 3}]}', 3),
        ('{"title": "wide\\"",\n\n "wide": 1}', 3),
        ('{"title": "x", "decimals": {\n"a": 1,\n"b": "c"}}', 3),
    ],
)
def test_the_line_is_that_of_the_value_in_json(text, line):
    with pytest.raises(BadInput, match=f"^mine, line {line}, "):
        taken(text, toml=False)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('title = "x"\ncorner [', r"is not valid TOML: .*at line 2, .*: corner \["),
        ("rows = [\n", "is not valid TOML: .*line 1, the end of the file"),
        ("a = " + "[" * 5000, "is not valid TOML: tables or lists are nested more than 32 deep"),
        ("a = " + "[" * 40 + "]" * 40, "nests tables or lists more than 32 deep"),
        (".".join("a" * 50000) + " = 1", r"not valid TOML: a name of more than 32 parts \(at line 1\)"),
        ("a = " + "9" * 5000, "is not valid TOML"),
    ],
)
def test_text_that_is_not_toml_is_named_with_its_line(text, sentence):
    with pytest.raises(BadInput, match=sentence):
        taken(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"title": "x",\n]', r"is not valid JSON: .*at line 2\): \]"),
        ('{"title":', r"is not valid JSON: it ends too early \(at line 1, the end of the file\)"),
        ("", "is not valid JSON: it ends too early"),
        ("[" * 100_000, "nested more than 32 deep"),
        ('{"a": ' * 40 + "1" + "}" * 40, "nests tables or lists more than 32 deep"),
        ('{"title": NaN}', "is not valid JSON"),
        ('{"title": "\\ud800"}', "is not valid JSON"),
        ("[1]", "must hold a table of fields, not a list"),
        ("null", "must hold a table of fields, not null"),
    ],
)
def test_text_that_is_not_json_is_named_with_its_line(text, sentence):
    with pytest.raises(BadInput, match=sentence):
        taken(text, toml=False)


@pytest.mark.parametrize("name", ["x.toml", "x.json"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_a_byte_order_mark_is_passed_over(tmp_path, name, start):
    path = tmp_path / name
    path.write_bytes(start + (b'title = "x"\r\n' if name.endswith("toml") else b'{"title": "x"}\r\n'))
    read = documents.from_toml if name.endswith("toml") else documents.from_json
    assert read(path, "the table").into(Table) == Table("x")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('title = "x"'.encode("utf-16"), "is UTF-16 .*Save it as UTF-8"),
        ('title = "x"'.encode("utf-16-le"), "is UTF-16 .*Save it as UTF-8"),
        (b'title = "x"\n# \xff', "line 2 is not UTF-8"),
        (b"#" * (documents.TOML_BYTES + 1), "is larger than 256 KiB"),
    ],
)
def test_bytes_that_are_no_text_are_refused(tmp_path, content, sentence):
    (tmp_path / "x.toml").write_bytes(content)
    with pytest.raises(BadInput, match=rf"^Cannot read the table .*x\.toml: .*{sentence}"):
        documents.from_toml(tmp_path / "x.toml", "the table")


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "locked").symlink_to("locked")
    for name, sentence in {
        "none": "No such file",
        ".": "it is a folder",
        "pipe": "it is no plain file",
        "locked": "Too many levels",
        "x" * 300: "File name too long",
    }.items():
        with pytest.raises(BadInput, match=rf"^Cannot read the table .*: {sentence}"):
            documents.from_toml(tmp_path / name, "the table")


def test_a_sentence_cannot_steer_the_terminal():
    with pytest.raises(BadInput) as fault:
        taken('title = "x"\n"\\u001b[31mred" = 1')
    assert str(fault.value).isprintable()


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["head", "width", "x"]), inner),
    max_leaves=6,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.dictionaries(st.sampled_from(["title", "rows", "names", "decimals", "limit", "marks", "y"]), plain))
def test_no_data_ends_in_a_traceback(data):
    document = documents.Document("mine", "", data)
    with contextlib.suppress(BenchError):
        document.into(Table, names=("names",), joined=("buckets",))


def test_a_line_that_ends_with_a_full_stop_is_told_with_one():
    with pytest.raises(BadInput, match=r"A sentence\.$") as fault:
        documents.parse("A sentence.", "notes", toml=False)
    assert not str(fault.value).endswith("..")
