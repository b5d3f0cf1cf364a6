"""Writes `docs/weights.md`: for every model which weights exist, where they lie, and what to type.

Command: python docs/weights.py        (make docs)
"""

from __future__ import annotations

import ast
from pathlib import Path
from urllib.parse import urlsplit

from bench.disk import write_text
from bench.models import fetching, registry
from bench.models.fetching import Published

PAGE = Path(__file__).with_suffix(".md")
TYPED = Path(__file__).parent.parent / "tests" / "baselines" / "test_authors_files.py"
"""The test that types the line of each weights in `LAYOUTS`, on a file laid out as the authors'."""
HEAD = """# Weights

Written by `python docs/weights.py` (`make docs`) from the models' cards and `baselines/weights/*/*.toml`; a test
fails when this page is stale. `fetch` needs a network, `import` the file in the working folder. What is not fetched
lies where a browser is needed (Google Drive, OneDrive, Baidu): `bench models show MODEL` says where.

*Loading* says what the key map was proven by. *typed*: the very line was typed in a test, on a file laid out as the
authors' code writes it: every tensor found its place, and the image was finite and repeated. *alike*: another file of
the same code and variant was. *no*: neither. *refused*: the file holds code. **No real file of these has been opened
by this project**, which was made without a network; the digests are those that others state.

`bench models verify MODEL@TAG --published` says which run measures weights as their paper did, and with `--run RUN`
how far its numbers are from the printed ones.
"""
OTHERS = """## Files of other programs

TensorFlow, Caffe and Keras save what their own programs read alone. Where such a program is, these lines write what
`bench models import` takes, every tensor under its own name; critics and an optimizer's numbers may stay in it. Neither
the programs nor the files were at hand here: imports were tried on arrays of these names.

A TensorFlow checkpoint (`gmcnn`, `dgm`), the folder or its files' common beginning:

```python
import numpy, tensorflow

found = tensorflow.train.load_checkpoint("FOLDER")
numpy.savez("FILE.npz", **{name: found.get_tensor(name) for name in found.get_variable_to_shape_map()})
```

A frozen graph of TensorFlow (`dcgan-100.pb` of `dgm`):

```python
graph = tensorflow.compat.v1.GraphDef.FromString(open("dcgan-100.pb", "rb").read())
constants = {node.name: tensorflow.make_ndarray(node.attr["value"].tensor) for node in graph.node if node.op == "Const"}
numpy.savez("FILE.npz", **{name: array for name, array in constants.items() if array.dtype.kind == "f"})
```

A model of Caffe (`gfc`), with the description of its layers that the authors' code holds:

```python
import caffe
from safetensors.numpy import save_file

layers = caffe.Net("Model_G.prototxt", "Model_G.caffemodel", caffe.TEST).params.items()
pairs = {name: zip(("weight", "bias"), blobs) for name, blobs in layers}
arrays = {f"{name}.{kind}": blob.data.copy() for name, pair in pairs.items() for kind, blob in pair}
save_file(arrays, "FILE.safetensors")
```

Networks of Keras (`degan`): [the lines](models/degan.md#weights).
"""


def typed() -> set[str]:
    """`MODEL@TAG` of the weights whose line is typed in a test."""
    tree = ast.parse(TYPED.read_text(encoding="utf-8"))
    assigned = {ast.unparse(node.targets[0]): node.value for node in tree.body if isinstance(node, ast.Assign)}
    return set(ast.literal_eval(assigned["LAYOUTS"]))


def row(one: Published, proven: set[str], alike: set[str]) -> str:
    """A line of the table."""
    name = f"{one.model_id}@{one.tag}"
    if one.download and one.fetchable:
        where, licence, line = urlsplit(one.download.url).hostname, one.download.licence, f"bench models fetch {name}"
    else:
        where, licence = "by hand", one.card.licence
        line = registry.import_line(one.model_id, one.card, one.tag)
    loading = "typed" if name in proven else "alike" if one.label in alike else "no"
    loading = "refused" if "which are refused" in one.card.checkpoints.get(one.tag, "") else loading
    digest = fetching.digest_from(one.download).partition(":")[0] if one.download and one.fetchable else "-"
    return f"| `{one.name}` | {where} | {licence} | {digest} | `{line}` | {loading} |"


def page() -> str:
    """The whole page."""
    proven = typed()
    sets = [one for model_id in registry.cards() for one in fetching.published(model_id)]
    alike = {one.label for one in sets if f"{one.model_id}@{one.tag}" in proven}
    heads = ("weights", "where", "licence", "digest", "line to copy", "loading")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *(row(one, proven, alike) for one in sets)]
    known = {one.model_id for one in sets}
    without = [name for name, card in registry.cards().items() if card.kind == "learned" and name not in known]
    ending = f"Nobody published weights of {', '.join(without)}: `bench train MODEL`; most have starters.\n"
    return "\n".join([HEAD, *lines, "", ending, OTHERS])


if __name__ == "__main__":
    write_text(PAGE, page())
