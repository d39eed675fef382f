"""ONNX files that cannot be read: not ours, damaged, or meaning harm."""

import numpy as np
import pytest

from npsqueeze.data import Preprocessing
from npsqueeze.errors import CheckpointError
from npsqueeze.interop.onnx import load, load_pretrained, save
from npsqueeze.interop.onnx.operators import LARGEST_WINDOW
from npsqueeze.interop.onnx.reading import read_model
from npsqueeze.interop.onnx.tensors import LARGEST_TENSOR
from tests import fuzzing, tiny
from tests.onnx_models import TensorProto, Zoo, helper, model_of, one_node, onnx
from tests.strategies import random_array
from tests.tiny import tiny_network

one_thread = tiny.one_thread
W = random_array(0, (4, 3, 3, 3), np.float32)
IMAGE = (2, 3, 8, 8)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


def external(model):
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def conv(**attributes):
    return one_node("Conv", IMAGE, W, **attributes)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            model_of(
                [
                    helper.make_node("Elu", ["x"], ["a"]),
                    helper.make_node("Tan", ["a"], ["b"]),
                    helper.make_node("Elu", ["b"], ["c"], domain="mine"),
                ],
                IMAGE,
                {},
            ),
            r"operators that npsqueeze does not know: Elu, Tan, mine\.Elu$",
        ),
        (conv(opset=2), "expected one opset from 3 to"),
        (conv(opset=999), "expected one opset from 3 to"),
        (conv(strjdes=[1, 1]), "Conv 'y': attributes without a meaning here: strjdes"),
        (conv(strides=[1]), r"strides: expected 2 ints from 1 to 4096, got \[1\]"),
        (conv(strides=[1, 0]), "strides: expected 2 ints"),
        (conv(strides=1), "strides: expected list, got int"),
        (conv(pads=[-1, 0, 0, 0]), "pads: expected 4 ints from 0"),
        (conv(pads=[LARGEST_WINDOW + 1] * 4), "pads: expected 4 ints from 0"),
        (conv(kernel_shape=[2, 2]), r"kernel_shape: expected \(3, 3\), got \(2, 2\)"),
        (conv(auto_pad="SAME"), "auto_pad: got 'SAME'"),
        (conv(group=0), "group: expected 1 to 4, got 0"),
        (conv(group=3), "groups: expected a divisor of 9 and 4, got 3"),
        (one_node("Conv", (2, 4, 8, 8), W), "y: expected 3 channels, got 4"),
        (one_node("Conv", (2, 3, 2, 8), W), "y: x: expected an image that holds a window"),
        (one_node("Conv", IMAGE, W[0]), r"input 1: expected 4 axes, got shape \(3, 3, 3\)"),
        (one_node("Conv", IMAGE), "input 1: expected a constant, got none"),
        (one_node("Conv", IMAGE, W.astype(int)), "expected floating-point weights, got int64"),
        (one_node("Conv", IMAGE, W.astype(np.float16)), "got ONNX's type 10"),
        (one_node("Conv", IMAGE, W * np.nan), "expected finite numbers, got 108 others"),
        (one_node("Conv", IMAGE, W, W[0, 0, 0].astype(float)), r"the bias: expected shape \(4,\)"),
        (
            one_node("Conv", IMAGE, W, W[:, 0, 0, 0].astype(float)),
            "of one type, got float32, float64",
        ),
        (one_node("MaxPool", IMAGE), "kernel_shape: expected 2 ints"),
        (one_node("Concat", IMAGE), "axis: expected one, got none"),
        (one_node("Dropout", IMAGE, np.array(1.5, np.float32)), "ratio: expected a probability"),
        (one_node("Dropout", IMAGE, np.array(0.5), np.array(True)), "training_mode"),
        (one_node("Reshape", IMAGE, np.array([5, -1])), "as many elements"),
        (one_node("Reshape", IMAGE, np.array([-1, -1])), "bad shape"),
        (one_node("Reshape", IMAGE, np.array([2.0])), "expected int64, got float64"),
        (one_node("Softmax", IMAGE, axis=4), "expected an axis of"),
        (model_of([helper.make_node("Relu", ["z"], ["y"])], IMAGE, {}), "reads 'z'"),
        (model_of([helper.make_node("Relu", ["x"], ["x"])], IMAGE, {}), "'x' is written twice"),
    ],
)
def test_what_is_not_ours(path, model, message):
    onnx.save(model, path)
    with pytest.raises(CheckpointError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (external, "expected the numbers in the file itself, got the name of another file"),
        (lambda m: m.graph.initializer[0].dims.append(2), "expected 216 numbers for shape"),
        (lambda m: m.graph.initializer[0].dims.append(-1), "expected at most 8 axes"),
        (lambda m: m.graph.initializer[0].dims.extend([2**31] * 2), "expected at most 8 axes"),
        (lambda m: m.graph.initializer[0].float_data.append(1), "expected 108 numbers"),
        (lambda m: m.graph.initializer.append(m.graph.initializer[0]), "'w0' is there twice"),
        (lambda m: m.graph.input.append(m.graph.input[0]), "got 2 and 1"),
        (lambda m: m.graph.output.append(m.graph.output[0]), "got 1 and 2"),
        (lambda m: m.graph.ClearField("output"), "got 1 and 0"),
        (lambda m: m.graph.ClearField("node"), "does not depend on"),
        (lambda m: m.ClearField("graph"), "damaged, or no ONNX file"),
        (lambda m: m.graph.node.append(m.graph.node[0]), "'y' is written twice"),
        (lambda m: m.graph.node[0].ClearField("output"), "Conv"),
        (lambda m: m.opset_import.append(m.opset_import[0]), "expected one opset"),
        (lambda m: m.graph.sparse_initializer.add(), "dense weights"),
    ],
)
def test_damaged_models(path, change, message):
    model = conv()
    change(model)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match=message):
        load(path)


def test_sizes_are_looked_at_before_anything_is_allocated():
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["w"]),
        helper.make_node("Conv", ["x", "w"], ["y"]),
    ]
    for sizes in ([LARGEST_TENSOR, 3, 1, 1], [2**62, 2**62, 4, 4], [-1, 3, 1, 1], [1] * 9):
        with pytest.raises(CheckpointError, match="expected at most"):
            read_model(model_of(nodes, IMAGE, {"shape": np.array(sizes)}))


def test_one_array_as_the_weights_of_many_layers(monkeypatch):
    """A thousand layers of a small file may not become a thousand copies of a large array."""
    filters = np.zeros((16, 16, 1, 1), np.float32)
    nodes = [helper.make_node("Conv", [f"v{i}", "w"], [f"v{i + 1}"]) for i in range(1000)]
    nodes.insert(0, helper.make_node("Relu", ["x"], ["v0"]))
    model = model_of(nodes, (1, 16, 1, 1), {"w": filters})
    assert len(read_model(model).graph.nodes) == 1001
    monkeypatch.setattr("npsqueeze.interop.onnx.reading.LARGEST_TENSOR", 999 * 256)
    with pytest.raises(CheckpointError, match=f"at most {999 * 256} weights in all"):
        read_model(model)


def test_other_files(tmp_path):
    for name, content in {"a": b"", "b": b"not a model", "c": bytes(1000)}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match="damaged, or no ONNX file"):
            load(tmp_path / name)
    for name in ("nothing", "."):
        with pytest.raises(CheckpointError, match="no such file"):
            load(tmp_path / name)


@pytest.fixture
def models(path):
    """Small models of ours, and in the zoo's old ways."""
    way = Preprocessing(16, 16, (0.5, 0.5, 0.5), (1.0, 1.0, 1.0))
    made = []
    for options in ({}, {"bypass": "complex"}, {"batch_norm": True, "head": "linear"}):
        save(path, tiny_network(**options), image_size=16, preprocessing=way, classes="abcdefghij")
        made.append(onnx.load(path))
    zoo = Zoo(tiny_network(), 3, [0, 0, 1, 1])
    zoo.caffe2()
    made += [zoo.proto((1, 3, 32, 32), listed=True), zoo.proto(("N", 3, 32, 32), as_nodes=True)]
    return made


def test_damaged_bytes(path, models):
    contents = [model.SerializeToString() for model in models]
    fuzzing.hold(load_pretrained, path, contents, CheckpointError)


def test_damaged_meaning(path, models):
    """The file is well formed, but some of its fields hold something else."""
    draw = np.random.default_rng(fuzzing.COUNT)
    read_anyway = 0
    for _ in range(fuzzing.COUNT):
        model = onnx.ModelProto()
        model.CopyFrom(models[draw.integers(len(models))])
        for _ in range(draw.integers(1, 4)):
            change_a_field(model, draw)
        path.write_bytes(model.SerializeToString())
        try:
            found = load_pretrained(path)
        except CheckpointError as error:
            assert str(error).startswith(f"{path}: ")  # noqa: PT017
            continue
        read_anyway += 1
        size = found.preprocessing.size
        if size <= 64:  # what was read can be run
            dtypes = {parameter.data.dtype for parameter in found.model.parameters()}
            x = np.ones((1, 3, size, size), dtypes.pop() if dtypes else np.float32)
            with np.errstate(all="ignore"):
                assert found.model.forward(x).ndim == 2
    assert read_anyway > 0


def change_a_field(message, draw):
    """Walk down to a random field, and put something else there, or remove or repeat it."""
    while True:
        fields = message.ListFields()
        if not fields:
            return
        field, value = fields[draw.integers(len(fields))]
        repeated = not isinstance(value, int | float | str | bytes) and hasattr(value, "__len__")
        is_message = field.type == field.TYPE_MESSAGE
        if draw.random() < (0.02 if is_message else 0.3):
            if repeated and draw.random() < 0.7:
                _reorder(value, draw)
            else:
                message.ClearField(field.name)
            return
        if is_message:
            message = value[draw.integers(len(value))] if repeated else value
            continue
        if field.enum_type is not None:
            new = int(draw.choice([entry.number for entry in field.enum_type.values]))
        else:
            new = _other(value[draw.integers(len(value))] if repeated else value, draw)
        if repeated:
            value[int(draw.integers(len(value)))] = new
        else:
            setattr(message, field.name, new)
        return


def _reorder(values, draw):
    """Remove an entry, or repeat one."""
    place = int(draw.integers(len(values)))
    if draw.random() < 0.5:
        del values[place]
    elif hasattr(values, "add"):
        values.add().CopyFrom(values[place])
    else:
        values.append(values[place])


def _other(value, draw):
    """Return something of the same type."""
    names = ["x", "", "images", "Conv", "Relu", "Add", "Concat", "Flatten", "Identity", "Softmax"]
    numbers = [0, 1, 2, 3, 5, 7, 11, 16, 64, 1 << 20, (1 << 31) - 1]
    match value:
        case bool() | int():
            return int(draw.choice(numbers)) if draw.random() < 0.8 else -1
        case float():
            return float(draw.choice([0.0, -1.0, 0.5, 1e38, np.nan, np.inf]))
        case str():
            return str(draw.choice(names))
        case bytes():
            cut = int(draw.integers(len(value) + 1))
            return value[:cut] if draw.random() < 0.5 else value + value[:cut]
