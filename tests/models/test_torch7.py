import struct

import numpy as np
import pytest
import torch

from bench.errors import BadInput
from bench.models import checkpoints, torch7


def string(text):
    return struct.pack("<i", len(text)) + text.encode()


class Writer:
    """Writes the format as Torch7 does."""

    def __init__(self):
        self.index = 0

    def next(self):
        self.index += 1
        return struct.pack("<i", self.index)

    def number(self, value):
        return struct.pack("<id", 1, value)

    def text(self, value):
        return struct.pack("<i", 2) + string(value)

    def table(self, pairs):
        head = struct.pack("<i", 3) + self.next() + struct.pack("<i", len(pairs))
        return head + b"".join(key + value for key, value in pairs)

    def object(self, kind, body):
        return struct.pack("<i", 4) + self.next() + string("V 1") + string(kind) + body

    def tensor(self, array, stride=None, offset=1):
        head = struct.pack("<i", 4) + self.next() + string("V 1") + string("torch.FloatTensor")
        stride = stride or [item // array.itemsize for item in array.strides]
        shape = struct.pack(f"<i{array.ndim}q{array.ndim}qq", array.ndim, *array.shape, *stride, offset)
        storage = self.object("torch.FloatStorage", struct.pack("<q", array.size) + array.tobytes())
        return head + shape + storage


def read(tmp_path, content):
    (tmp_path / "some.t7").write_bytes(content)
    return torch7.read(tmp_path / "some.t7")


def test_numbers_strings_and_truth(tmp_path):
    writer = Writer()
    pairs = [
        (writer.number(1), writer.text("one")),
        (writer.text("yes"), struct.pack("<ii", 5, 1)),
        (writer.text("none"), struct.pack("<i", 0)),
    ]
    assert read(tmp_path, writer.table(pairs)) == {1: "one", "yes": True, "none": None}


def test_a_tensor_keeps_shape_and_values(tmp_path):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert torch.equal(read(tmp_path, Writer().tensor(array)), torch.from_numpy(array))


def test_a_transposed_tensor_is_read_by_its_strides(tmp_path):
    array = np.arange(4, dtype=np.float32).reshape(2, 2)
    assert read(tmp_path, Writer().tensor(array, stride=(1, 2))).tolist() == [[0, 2], [1, 3]]


def test_an_object_met_again_is_the_same_one(tmp_path):
    writer = Writer()
    inner = writer.table([])
    again = struct.pack("<ii", 3, 1)
    outer = struct.pack("<iii", 3, 2, 2) + writer.number(1) + inner + writer.number(2) + again
    found = read(tmp_path, outer)
    assert found[1] is found[2]


def test_layers_come_in_the_order_in_which_they_run(tmp_path):
    writer = Writer()

    def layer(name):
        return writer.object(name, writer.table([]))

    def container(*modules):
        numbered = [(writer.number(place + 1), module) for place, module in enumerate(modules)]
        return writer.object("nn.Sequential", writer.table([(writer.text("modules"), writer.table(numbered))]))

    found = read(tmp_path, container(container(layer("nn.A"), layer("nn.B")), layer("nn.C")))
    assert [leaf[torch7.KIND] for leaf in torch7.leaves(found)] == ["nn.A", "nn.B", "nn.C"]


def test_the_old_running_deviation_becomes_a_variance():
    norm = {"running_std": torch.tensor([2.0]), "eps": 1e-5}
    assert torch7.variance(norm).item() == pytest.approx(0.25 - 1e-5)
    assert torch7.variance({"running_var": torch.tensor([3.0])}).item() == 3


@pytest.mark.parametrize("content", [b"", b"\x03\x00", struct.pack("<ii", 2, 1 << 30), struct.pack("<i", 77)])
def test_a_damaged_file_is_said(tmp_path, content):
    with pytest.raises(BadInput, match="damaged or no Torch7 file"):
        read(tmp_path, content)


def test_functions_are_skipped_and_never_run(tmp_path):
    writer = Writer()
    function = struct.pack("<ii", 8, 9) + string("bytecode") + struct.pack("<i", 0)
    assert read(
        tmp_path, writer.table([(writer.text("call"), function), (writer.text("after"), writer.number(2))])
    ) == {
        "call": None,
        "after": 2.0,
    }


def test_checkpoints_are_read_by_their_suffix(tmp_path):
    writer = Writer()
    (tmp_path / "some.t7").write_bytes(writer.table([(writer.text("epoch"), writer.number(3))]))
    assert checkpoints.read(tmp_path / "some.t7") == {"epoch": 3.0}
