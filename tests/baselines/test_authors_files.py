"""What `bench models show` tells to type imports the authors' files, laid out as they publish them, for every model."""

import dataclasses
import functools
import re
import shlex
import struct
import sys
import types

import numpy as np
import pytest
import torch

from baselines import ce, dgm, gfc, glcic, pconv
from bench.models import checkpoints, fetching, sources, weights
from bench.models import registry as model_registry

LAYOUTS = (
    "glcic@places2-mmagic",
    "deepfillv2@places2-mmagic",
    "deepfillv1@places2-mmagic",
    "aotgan@places2",
    "aotgan@places2-mmagic",
    "ce@paris",
    "ce@streetview-port",
    "cfs@TAG",
    "crfill@places2",
    "crfill@places2-512",
    "deepfillv1@imagenet",
    "deepfillv2@places2",
    "deepgin@ade20k",
    "degan@celeba-hq",
    "dgm@celeba",
    "edgeconnect@places2",
    "gfc@celeba",
    "glcic@places2",
    "glcic@celeba-otenim",
    "gmcnn@places2",
    "gmcnn@celeba-hq-pytorch",
    "lama@big",
    "lbam@places2",
    "mat@places2",
    "migan@places2",
    "pconv@places2",
    "pconv@places2-naoto0804",
    "pennet@celeba-hq",
    "picnet@celeba-random",
)
"""Weights whose authors' layout is tested; others of a model and variant are laid out as these."""


class Torch7:
    """Writes tables, numbers and tensors as Lua Torch7 does."""

    def __init__(self):
        self.index = 0

    def _next(self):
        self.index += 1
        return struct.pack("<i", self.index)

    def bytes(self, value):
        if isinstance(value, str):
            return struct.pack("<ii", 2, len(value)) + value.encode()
        if isinstance(value, dict):
            head = struct.pack("<i", 3) + self._next() + struct.pack("<i", len(value))
            return head + b"".join(self.bytes(key) + self.bytes(inner) for key, inner in value.items())
        if not isinstance(value, torch.Tensor):
            return struct.pack("<id", 1, value)
        array = value.numpy().astype("<f4", order="C")
        strides = [stride // 4 for stride in array.strides]
        shape = struct.pack(f"<i{array.ndim}q{array.ndim}qq", array.ndim, *array.shape, *strides, 1)
        storage = self._object("torch.FloatStorage") + struct.pack("<q", array.size) + array.tobytes()
        return self._object("torch.FloatTensor") + shape + storage

    def _object(self, kind):
        words = [struct.pack("<i", len(text)) + text.encode() for text in ("V 1", kind)]
        return struct.pack("<i", 4) + self._next() + b"".join(words)


def state_of(figures, weight):
    """`state(name, key)`: the authors' state dict of a stored figure, its tensors made by `weight`."""

    def state(name, key=""):
        facts, _ = figures(name)
        shapes = facts["state_dict"][key] if key else facts["state_dict"]
        return {name: weight(name, tuple(shape), facts.get("gain", 1.0)) for name, shape in shapes}

    return state


def prefixed(prefix, state):
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def torch7_layers(network):
    """A sequence of layers as Torch7's table of modules."""
    layers = []
    for part in network:
        layer = {name: value.detach() for name, value in part.named_parameters()}
        if isinstance(part, torch.nn.BatchNorm2d):
            layer |= {"running_mean": part.running_mean, "running_std": (part.running_var + part.eps) ** -0.5}
        layers.append(layer | {"eps": 1e-5})
    return {place + 1: layer for place, layer in enumerate(layers)}


def torch7_encoder(fill):
    """The context encoder of the authors, whose first kernel is a matrix."""
    layers = torch7_layers(fill(ce.model("centre").generator, 1.4).main)
    layers[1]["weight"] = layers[1]["weight"].flatten(1)
    return {"modules": layers}


def torch7_places(state):
    """State under places (`0.weight`) as Torch7's table of modules."""
    modules = {place + 1: {"eps": 1e-5} for place in range(50)}
    for name, tensor in state.items():
        place, _, kind = name.partition(".")
        if kind != "num_batches_tracked":
            modules[int(place) + 1][kind] = tensor
    return {"model": {"modules": modules}, "mean": torch.tensor([0.45, 0.43, 0.4])}


def keras(figures, weight):
    """Arrays of Keras's `get_weights()` by network and place."""
    facts, _ = figures("degan")
    axes = {1: (0,), 2: (1, 0), 4: (2, 3, 1, 0)}
    arrays = {}
    for part in ("encoder_f", "encoder_l", "unet"):
        for place, (name, shape) in enumerate(facts["state_dict"][part]):
            tensor = weight(f"{part}.{name}", tuple(shape), facts["gain"])
            arrays[f"{part}.{place}"] = tensor.permute(axes[tensor.dim()]).contiguous()
    return arrays


def tensorflow(figures, weight):
    """Variables of GMCNN's graph by its names."""
    facts, _ = figures("gmcnn-tf")
    arrays = {}
    for name, shape in facts["state_dict"]:
        tensor = weight(name, tuple(shape), facts["gain"])
        arrays[f"{facts['tf_names'][name]}:0"] = tensor.permute(2, 3, 1, 0) if tensor.dim() == 4 else tensor
    slots = {name.replace(":0", "/Adam:0"): tensor for name, tensor in list(arrays.items())[:2]}
    return arrays | slots | {"discriminator/conv1/kernel:0": torch.ones(1), "global_step:0": torch.ones(1)}


def graph_of_dgm(fill):
    """Variables of DGM's graph by its names."""
    kinds = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    arrays = {}
    for name, tensor in fill(dgm.model()).state_dict().items():
        player, *inner, kind = name.split(".")
        if inner[0] == "norms" and kind in kinds:
            arrays[f"{player}/{inner[1]}/{kinds[kind]}:0"] = tensor
        elif inner[0] != "norms":
            turned = tensor.permute({1: (0,), 2: (1, 0), 4: (2, 3, 1, 0)}[tensor.dim()])
            arrays[
                f"{player}/{inner[-1]}/{'biases' if kind == 'bias' else 'Matrix' if tensor.dim() == 2 else 'w'}:0"
            ] = turned
    return arrays | {"generator/g_h1/strides:0": torch.ones(4), "generator/g_h1/w/Adam:0": torch.ones(1)}


@pytest.fixture(scope="module")
def layouts(figures, weight, fill):
    """`MODEL@TAG` -> file name -> what the authors' file holds, made when it is asked for."""
    return made_of(state_of(figures, weight), figures, weight, fill)


@pytest.fixture(scope="module")
def shapes_alone(figures):
    """The same without numbers."""

    def empty(_, shape, __):
        return torch.empty(shape, device="meta")

    def without_numbers(make):
        with torch.device("meta"):
            return make()

    made = made_of(state_of(figures, empty), figures, empty, lambda network, *_: network)
    return {name: functools.partial(without_numbers, make) for name, make in made.items()}


def made_of(stored, figures, weight, fill):
    trainer = {"epoch": 1, "optimizer": {"state": {}}}

    def mmagic(name):
        return {
            "meta": {"epoch": 1, "mmcv_version": "0.5"},
            "state_dict": prefixed("generator.", stored(name, "G")) | prefixed("disc.", stored(name, "D")),
        }

    return {
        "deepfillv1@places2-mmagic": lambda: {
            "deepfillv1_256x256_8x2_places_20200619-c00a0e21.pth": mmagic("deepfillv1-mmagic")
        },
        "deepfillv2@places2-mmagic": lambda: {
            "deepfillv2_256x256_8x2_places_20200619-10d15793.pth": mmagic("deepfillv2-mmagic")
        },
        "glcic@places2-mmagic": lambda: {"gl_256x256_8x12_places_20200619-52a040a8.pth": mmagic("glcic-mmagic")},
        "aotgan@places2": lambda: {"G0000000.pt": stored("aotgan", "G")},
        "aotgan@places2-mmagic": lambda: {"AOT-GAN_512x512_4x12_places_20220509-6641441b.pth": mmagic("aotgan-mmagic")},
        "ce@paris": lambda: {"FILE.t7": torch7_encoder(fill)},
        "ce@streetview-port": lambda: {
            "netG_streetview.pth": trainer | {"state_dict": prefixed("module.", stored("ce", "G"))}
        },
        "cfs@TAG": lambda: {
            "EdgeModel_gen.pth": {"iteration": 1, "generator": prefixed("module.", stored("cfs", "sketch_G"))},
            "InpaintingModel_gen.pth": {"iteration": 1, "generator": stored("cfs", "inpaint_G")},
            "network-bsds500.pth": {
                name.replace("net", "module", 1): value for name, value in stored("hed", "net").items()
            },
        },
        "crfill@places2": lambda: {"latest_net_G.pth": prefixed("module.", stored("crfill", "G"))},
        "crfill@places2-512": lambda: {"model_near512.pth": stored("crfill", "G")},
        "deepfillv1@imagenet": lambda: {"torch_model.p": prefixed("netG.", stored("deepfillv1"))},
        "deepfillv2@places2": lambda: {"states_tf_places2.pth": {"G": stored("deepfillv2")}},
        "deepgin@ade20k": lambda: {"latest_net_G.pth": stored("deepgin", "G")},
        "degan@celeba-hq": lambda: {"FILE.safetensors": keras(figures, weight)},
        "dgm@celeba": lambda: {"FILE.npz": graph_of_dgm(fill)},
        "edgeconnect@places2": lambda: {
            "EdgeModel_gen.pth": {"iteration": 1, "generator": stored("edgeconnect", "edge_G")},
            "InpaintingModel_gen.pth": {"iteration": 1, "generator": stored("edgeconnect", "inpaint_G")},
        },
        "gfc@celeba": lambda: {"FILE.safetensors": fill(gfc.model().generator).state_dict()},
        "glcic@places2": lambda: {"completionnet_places2.t7": torch7_places(stored("glcic"))},
        "glcic@celeba-otenim": lambda: {"FILE.pth": stored("glcic-otenim")},
        "gmcnn@places2": lambda: {"FILE.npz": tensorflow(figures, weight)},
        "gmcnn@celeba-hq-pytorch": lambda: {"EPOCH_net_GM.pth": stored("gmcnn")},
        "hr@imagenet": lambda: {"imagenet_inpaintCenter.t7": torch7_encoder(fill)},
        "lama@big": lambda: {"big-lama.pt": prefixed("generator.", stored("lama"))},
        "lbam@places2": lambda: {"LBAM_NoBN_Places10Classes.pth": stored("lbam", "G")},
        "mat@places2": lambda: {"Places_512_FullData_G.pth": stored("mat", "G")},
        "migan@places2": lambda: {"migan_256_places2.pt": stored("migan", "G")},
        "pconv@places2": lambda: {
            "pconv_256x256_stage2_4x2_places_20200619-1ffed0e8.pth": {
                "meta": {"epoch": 1},
                "state_dict": prefixed("generator.", stored("pconv")) | {"loss_percep.vgg.0.weight": torch.ones(1)},
            }
        },
        "pconv@places2-naoto0804": lambda: {"1000000.pth": trainer | {"model": stored("pconv-naoto")}},
        "pennet@celeba-hq": lambda: {"FILE.pth": {"netG": stored("pennet", "G")}},
        "picnet@celeba-random": lambda: {
            "latest_net_E.pth": stored("picnet", "E"),
            "latest_net_G.pth": stored("picnet", "G"),
        },
    }


class Holder(torch.nn.Module):
    """A part of a scripted network: keeps what it is given."""

    def forward(self):
        return 0


def scripted(state):
    """A TorchScript program whose tensors have these dotted names."""
    root = Holder()
    for name, tensor in state.items():
        *inner, last = name.split(".")
        part = root
        for word in inner:
            if word not in part._modules:
                part.add_module(word, Holder())
            part = part._modules[word]
        part.register_buffer(last, tensor)
    return torch.jit.script(root)


def _write(path, content):
    if path.name == "big-lama.pt":
        scripted(content).save(path)
    elif path.suffix == ".t7":
        path.write_bytes(Torch7().bytes(content))
    elif path.suffix == ".npz":
        np.savez(path, **{name: tensor.numpy() for name, tensor in content.items()})
    elif path.suffix == ".safetensors":
        from safetensors.torch import save_file

        save_file(content, path)
    else:
        torch.save(content, path)


def _line(bench, name):
    """What `show` tells to type for weights, as words after `bench`."""
    model_id, _, tag = name.partition("@")
    shown = bench("models", "show", model_id)[1]
    line = next(line for line in shown.splitlines() if re.search(rf"--tag {tag}(;| --number|$)", line))
    return shlex.split(line.partition("then type: ")[2].partition(";")[0])[1:]


@pytest.fixture
def typed(layouts, bench, tmp_path, monkeypatch):
    """`typed(name)`: what the line that `show` tells to type leaves, in a folder with the authors' files."""

    def call(name):
        few = {variant: dataclasses.replace(search, steps=2) for variant, search in dgm.SEARCHES.items()}
        monkeypatch.setattr(dgm, "SEARCHES", few)  # the digest of an import's output takes a whole search
        monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
        monkeypatch.chdir(tmp_path)
        files = layouts[name]()
        for file, content in files.items():
            _write(tmp_path / file, content)
        meant = {"FILE": next(iter(files)), "mean=R,G,B": "mean=0.5,0.4,0.3"}
        words = [meant.get(word, word) for word in _line(bench, name)]
        return bench(*[file for word in words for file in ([path.name for path in tmp_path.glob(word)] or [word])])

    return call


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYOUTS)
def test_the_line_that_show_prints_imports_the_authors_files(name, typed):
    status, out, err = typed(name)
    assert not err
    assert status == 0
    used = out.split()[-1]
    assert used.endswith(name.partition("@")[2])
    assert model_registry.only(used).reason == ""


@pytest.mark.slow
def test_a_model_that_reads_another_network_names_it_where_it_is_missing(typed):
    status, _, err = typed("hr@imagenet")
    assert status == 2
    assert "`bench metrics fetch vgg19-imagenet` gets it" in err


def test_every_model_and_variant_with_published_weights_has_a_layout_here():
    sets = [one for model_id in model_registry.cards() for one in fetching.published(model_id)]
    laid_out = {one.label for one in sets if f"{one.model_id}@{one.tag}" in (*LAYOUTS, *OTHER_SIZES)}
    assert {one.label for one in sets} - laid_out == {"hr:centre"}  # its fault is tested above


OTHER_SIZES = {"lama@places2": "generator.", "migan@places2-512": ""}
"""Weights of the same code as a layout's, in another size; how the authors' names begin."""
PARTED = ("cfs@TAG", "edgeconnect@places2", "picnet@celeba-random")
"""Weights of several files, each a state dict of PyTorch's."""
ARRAYS = ("degan@celeba-hq", "dgm@celeba", "gfc@celeba", "gmcnn@places2")
"""Weights that other programs write, arrays by name."""
TABLES = ("ce@paris", "glcic@places2")
"""Weights that Torch7 wrote: tables of layers by place, so that no beginning can stand before names."""
UNPUBLISHED = tuple(
    name
    for name, card in model_registry.cards().items()
    if card.kind == "learned" and not fetching.published(name) and f"{name}@TAG" not in PARTED
)
"""Models of which nobody published weights: their files have our names."""
WRAPPED = (*(name for name in LAYOUTS if name not in (*PARTED, *ARRAYS, *TABLES)), *OTHER_SIZES, *UNPUBLISHED)
"""Weights that are one state dict of PyTorch's."""


def test_every_learned_model_is_imported_here():
    learned = {name for name, card in model_registry.cards().items() if card.kind == "learned"}
    assert {name.partition("@")[0] for name in (*WRAPPED, *PARTED, *ARRAYS, *TABLES)} == learned - {"hr"}


def inmost(content, change):
    """A checkpoint with another state dict in place of its own."""
    if any(isinstance(value, torch.Tensor) for value in content.values()):
        return change(content)
    return {name: inmost(v, change) if isinstance(v, dict) and v else v for name, v in content.items()}


AROUND = {
    "state_dict": lambda content: {"state_dict": content, "epoch": 3},
    "model": lambda content: {"model": content, "optimizer": {"param_groups": []}},
    "generator": lambda content: {"generator": content, "iteration": 7},
    "G": lambda content: {"G": content},
    "netG": lambda content: {"netG": content, "netD": {"x": torch.ones(1)}},
    "params_ema": lambda content: {"params_ema": content, "params": content},
}
BEFORE = {
    "module.": lambda content: inmost(content, lambda state: prefixed("module.", state)),
    "netG.": lambda content: inmost(content, lambda state: prefixed("netG.", state) | {"netD.x": torch.ones(1)}),
    "Lightning": lambda content: {"state_dict": inmost(content, lambda state: prefixed("model.", state))},
    "mmengine": lambda content: {
        "meta": {"epoch": 1},
        "state_dict": inmost(content, lambda state: prefixed("generator.", state) | {"discriminator.x": torch.ones(1)}),
        "message_hub": {"log_scalars": {"loss": {}}},
    },
}
WRAPPERS = AROUND | BEFORE
COPIES = {
    "beside": lambda content: {"generator": content, "generator_ema": content},
    "before": lambda content: inmost(
        content, lambda state: prefixed("generator.", state) | prefixed("generator_ema.", state)
    ),
}
"""A network and its average over the training: which of the two is meant, nobody can tell but the user."""


def converted(name, found, network):
    """A state of the network's names and shapes out of a checkpoint; why not, where it does not fit."""
    model_id, _, tag = name.partition("@")
    convert = getattr(sources.load(sources.members()[model_id]), "convert", lambda state, _: state)
    try:
        state = convert(dict(found) | {"mean": torch.ones(3)} if model_id == "glcic" else dict(found), tag)
    except (KeyError, AttributeError, TypeError, ValueError, RuntimeError) as fault:
        return repr(fault)
    return weights.misfit(network, state) or state


@pytest.fixture
def network(shapes):
    """`network(name)`: what weights `MODEL@TAG` belong to, without numbers."""

    def built(name):
        model_id, _, tag = name.partition("@")
        card = model_registry.cards()[model_id]
        return shapes(model_id, card.built_as.get(tag, card.built_as.get("", "") if tag == "TAG" else ""))

    return built


@pytest.fixture
def laid_out(shapes_alone, network):
    """`laid_out(name)`: what the authors' one file holds as it is read, and the network that it belongs to."""

    def made(name):
        built = network(name)
        if name not in LAYOUTS:
            return prefixed(OTHER_SIZES.get(name, ""), built.state_dict()), built
        (content,) = shapes_alone[name]().values()
        return {str(key).removesuffix(":0") if name in ARRAYS else key: value for key, value in content.items()}, built

    return made


@pytest.mark.parametrize("name", [*WRAPPED, *ARRAYS, *TABLES])
def test_every_wrapper_comes_off_every_models_file(name, laid_out):
    content, built = laid_out(name)
    for wrap in (AROUND if name in TABLES else WRAPPERS).values():
        state, _ = checkpoints.unwrapped(wrap(content), lambda found: converted(name, found, built))
        assert state.keys() == built.state_dict().keys()


@pytest.mark.parametrize("name", [*WRAPPED, *ARRAYS, *TABLES])
def test_of_two_copies_in_every_models_file_the_user_names_one(name, laid_out):
    content, built = laid_out(name)
    for kind in ("beside",) if name in TABLES else COPIES:
        both = COPIES[kind](content)
        with pytest.raises(checkpoints.Several):
            checkpoints.unwrapped(both, lambda found: converted(name, found, built))
        state, path = checkpoints.unwrapped(both, lambda found: converted(name, found, built), "generator_ema")
        assert "generator_ema" in path
        assert state.keys() == built.state_dict().keys()


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("name", PARTED)
def test_every_wrapper_comes_off_every_file_of_several(name, wrapper, shapes_alone, network):
    parts = model_registry.cards()[name.partition("@")[0]].parts
    contents = [checkpoints.plain(WRAPPERS[wrapper](content)) for content in shapes_alone[name]().values()]
    state = converted(name, dict(zip(parts, contents, strict=True)), network(name))
    assert not isinstance(state, str), state


@pytest.mark.parametrize("name", PARTED)
def test_of_two_copies_in_one_file_of_several_the_user_names_one(name, shapes_alone):
    for content in shapes_alone[name]().values():
        state = {str(key): value for key, value in checkpoints.plain(content).items()}
        for copied in COPIES.values():
            with pytest.raises(checkpoints.Several):
                checkpoints.plain(copied(state))
            assert checkpoints.plain(copied(state), "generator_ema") == state


KINDS = {
    "torch": ("x.pth", dict),
    "safetensors": ("x.safetensors", dict),
    "arrays of TensorFlow": ("x.npz", lambda state: {f"{name}:0": tensor for name, tensor in state.items()}),
    "Torch7": ("x.t7", dict),
    "TorchScript": ("big-lama.pt", dict),
    "mmengine": ("y.pth", lambda state: {"state_dict": state, "message_hub": {"log_scalars": _History()}}),
}
"""Kinds of files: a name for which `_write` writes one, and how a state stands in it."""
_History = type("HistoryBuffer", (), {"__module__": "mmengine"})


@pytest.mark.parametrize("name", {name.partition("@")[0]: name for name in (*WRAPPED, *PARTED, *ARRAYS)}.values())
def test_every_kind_of_file_gives_back_every_models_tensors(name, network, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mmengine", types.SimpleNamespace(HistoryBuffer=_History))
    state = {key: torch.tensor([place], dtype=torch.float32) for place, key in enumerate(network(name).state_dict())}
    for file, laid_out in KINDS.values():
        _write(tmp_path / file, laid_out(state))
    monkeypatch.delitem(sys.modules, "mmengine")
    for file, _ in KINDS.values():
        assert checkpoints.plain(checkpoints.read(tmp_path / file)) == checkpoints.plain(state)


NARROW = {"glcic": glcic.model(width=4).completion, "pconv": pconv.model(width=4)}
"""A network whose names are a published file's."""


@pytest.mark.parametrize(("asked", "theirs"), [("pconv", "glcic"), ("lbam", "pconv")])
def test_another_models_file_is_called_by_that_models_name(asked, theirs, bench, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    torch.save(NARROW[theirs].state_dict(), tmp_path / "x.pth")
    status, _, err = bench("models", "import", asked, tmp_path / "x.pth")
    assert status == 2
    assert f"These are {theirs}'s names: bench models show {theirs}." in err
