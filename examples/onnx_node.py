"""Weights and inputs of one node of an .onnx file: what enters it while onnxruntime runs the model.

A MatMul or Gemm has its weights on the right; of a Conv the windows of its input, one for each position of the output,
are the inputs. The file is data: onnx reads it, without tensors that lie in files of their own, and it runs on the CPU.
"""

import pathlib
from collections.abc import Iterable

import numpy as np


def libraries():
    """onnx and onnxruntime; ends the program where they are not installed."""
    try:
        import onnx
        import onnxruntime
    except ImportError:
        raise SystemExit("a model's activations need two libraries: pip install steode[onnx]") from None
    return onnx, onnxruntime


def recorded(
    path: pathlib.Path, name: str, feeds: Iterable[dict[str, np.ndarray]], samples: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (rows, d) of the node of this name, and at most `samples` of the inputs (n, d) that enter it.

    `feeds` are the model's own inputs by name, run one after the other. Ends the program, saying why, if the node is
    no such product of inputs and constant weights.
    """
    onnx, onnxruntime = libraries()
    model = onnx.load(path, load_external_data=False)
    node, weights = _node_and_weights(onnx, model.graph, name)
    entering = node.input[0]
    fed = {value.name for value in model.graph.input}
    if entering not in fed and entering not in {value.name for value in model.graph.output}:
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(entering))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    generator, parts = np.random.default_rng(seed), []
    feeds = list(feeds)
    for feed in feeds:
        value = feed[entering] if entering in fed else session.run([entering], feed)[0]
        rows = _rows(node, weights.shape, np.asarray(value, dtype=np.float32))
        # of every run its share, so that all of them count
        share = -(-samples // len(feeds))
        parts.append(rows[np.sort(generator.permutation(len(rows))[:share])])
    inputs = np.concatenate(parts)
    return weights.reshape(weights.shape[0], -1), inputs[np.sort(generator.permutation(len(inputs))[:samples])]


def attributes(onnx, node) -> dict:
    """Attributes of a node by name."""
    return {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}


def _node_and_weights(onnx, graph, name: str):
    """The node, and its weights with outputs first: (rows, d) or (rows, channels, height, width)."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t
    kinds = ("MatMul", "Gemm", "Conv")
    known = {
        node.name: node
        for node in graph.node
        if node.op_type in kinds and len(node.input) > 1 and node.input[1] in constants
    }
    if name not in known:
        raise SystemExit(f"--node: a {', '.join(kinds)} with constant weights, one of {', '.join(known)}; not {name!r}")
    node = known[name]
    weights, given = onnx.numpy_helper.to_array(constants[node.input[1]]), attributes(onnx, node)
    if node.op_type == "Conv":
        if given.get("group", 1) != 1 or weights.ndim != 4 or given.get("auto_pad", b"NOTSET") != b"NOTSET":
            raise SystemExit(f"--node: {name} is a convolution in groups, not in two dimensions, or pads by itself")
        return node, weights
    if given.get("transA", 0) or given.get("alpha", 1.0) != 1.0 or weights.ndim != 2:
        raise SystemExit(f"--node: {name} turns or scales its input, or has a stack of weights")
    return node, weights if given.get("transB", 0) else weights.T


def _rows(node, shape: tuple[int, ...], value: np.ndarray) -> np.ndarray:
    """What is multiplied by one row of the weights, (n, d)."""
    if node.op_type != "Conv":
        return value.reshape(-1, shape[1])
    given = {entry.name: list(entry.ints) for entry in node.attribute if entry.ints}
    top, left, bottom, right = given.get("pads", [0] * 4)
    padded = np.pad(value, ((0, 0), (0, 0), (top, bottom), (left, right)))
    (high, wide), (down, across) = given.get("dilations", [1, 1]), given.get("strides", [1, 1])
    spans = high * (shape[2] - 1) + 1, wide * (shape[3] - 1) + 1
    windows = np.lib.stride_tricks.sliding_window_view(padded, spans, axis=(2, 3))[:, :, ::down, ::across]
    windows = windows[..., ::high, ::wide]  # (images, channels, positions, positions, height, width)
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, int(np.prod(shape[1:])))
