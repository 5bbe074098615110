"""Mamba as an ONNX graph, for ONNX Runtime and OpenVINO: a prompt with ONNX's Scan over its tokens, and one step with the states as inputs and outputs."""

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper


class Graph:
    """Nodes in order; `graph.Add(x, y)` makes one and gives its output's name, `outputs=N` their names."""

    def __init__(self, prefix=""):
        self.prefix = prefix  # names of a body must not be those of the graph around it
        self.nodes, self.constants, self.inputs, self.results = [], {}, [], []

    def constant(self, value, kind=None):
        value = numpy.ascontiguousarray(value, kind or numpy.asarray(value).dtype)
        name = f"{self.prefix}constant{len(self.constants)}"
        self.constants[name] = numpy_helper.from_array(value, name)
        return name

    def index(self, *values):
        return self.constant(values, numpy.int64)

    def input(self, name, shape, kind=TensorProto.FLOAT):
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def result(self, value, name, shape, kind=TensorProto.FLOAT):
        self.nodes.append(helper.make_node("Identity", [value], [name]))
        self.results.append(helper.make_tensor_value_info(name, kind, shape))

    def __getattr__(self, op):
        def node(*operands, outputs=None, **attributes):
            names = [f"{self.prefix}{op}{len(self.nodes)}_{i}" for i in range(outputs or 1)]
            self.nodes.append(helper.make_node(op, operands, names, **attributes))
            return names if outputs else names[0]

        return node

    def made(self, name):
        return helper.make_graph(self.nodes, name, self.inputs, self.results, list(self.constants.values()))


def norm(g, x, weight):
    mean = g.ReduceMean(g.Mul(x, x), g.index(-1), keepdims=1)
    scale = g.Reciprocal(g.Sqrt(g.Add(mean, g.constant(1e-5, numpy.float32))))
    return g.Mul(g.Mul(x, scale), g.constant(weight))


def silu(g, x):
    return g.Mul(x, g.Sigmoid(x))


def scan_body(A):
    """One token: the state decays, takes delta * u * B, and is read with C."""
    g, (inner, n) = Graph("token_"), A.shape
    state, delta, into, B, C = (g.input(name, shape) for name, shape in (("state", [inner, n]), ("delta", [inner]), ("into", [inner]), ("B", [n]), ("C", [n])))
    decay = g.Exp(g.Mul(g.Unsqueeze(delta, g.index(1)), g.constant(A)))
    after = g.Add(g.Mul(decay, state), g.Mul(g.Unsqueeze(into, g.index(1)), g.Unsqueeze(B, g.index(0))))
    g.result(after, "after", [inner, n])
    g.result(g.MatMul(after, C), "y", [inner])
    return g.made("token")


def graph(model, tokens):
    """tokens = 1: a step; otherwise a prompt of so many, with the logits of the last."""
    g, step = Graph(), tokens == 1
    embedding = g.constant(model["embedding"])
    x = g.Gather(embedding, g.input("tokens", [tokens], TensorProto.INT64))
    for index, layer in enumerate(model["layers"]):
        inner, n = layer["A"].shape
        taps = layer["taps"].shape[1]
        up, gate = g.Split(g.MatMul(norm(g, x, layer["norm"]), g.constant(layer["into"])), outputs=2, axis=1, num_outputs=2)
        if step:
            rows = g.Concat(g.input(f"window{index}", [taps - 1, inner]), up, axis=0)
            g.result(g.Slice(rows, g.index(1), g.index(taps), g.index(0)), f"window{index}_after", [taps - 1, inner])
            mixed = g.ReduceSum(g.Mul(rows, g.constant(layer["taps"].T)), g.index(0), keepdims=1)
        else:
            channels = g.Unsqueeze(g.Transpose(up, perm=[1, 0]), g.index(0))
            mixed = g.Conv(channels, g.constant(layer["taps"][:, None]), group=inner, pads=[taps - 1, 0])
            mixed = g.Transpose(g.Squeeze(mixed, g.index(0)), perm=[1, 0])
        u = silu(g, g.Add(mixed, g.constant(layer["bias"])))
        rank = layer["delta"].shape[0]
        low, B, C = g.Split(g.MatMul(u, g.constant(layer["parts"])), g.index(rank, n, n), outputs=3, axis=1)
        delta = g.Softplus(g.Add(g.MatMul(low, g.constant(layer["delta"])), g.constant(layer["delta_bias"])))
        into = g.Mul(delta, u)
        if step:
            state = g.input(f"state{index}", [inner, n])
            decay = g.Exp(g.Mul(g.Transpose(delta, perm=[1, 0]), g.constant(layer["A"])))
            after = g.Add(g.Mul(decay, state), g.Mul(g.Transpose(into, perm=[1, 0]), B))
            g.result(after, f"state{index}_after", [inner, n])
            y = g.Transpose(g.MatMul(after, g.Transpose(C, perm=[1, 0])), perm=[1, 0])
        else:
            zero = g.constant(numpy.zeros((inner, n), numpy.float32))
            y = g.Scan(zero, delta, into, B, C, outputs=2, body=scan_body(layer["A"]), num_scan_inputs=4)[1]
        y = g.Add(y, g.Mul(u, g.constant(layer["D"])))
        x = g.Add(x, g.MatMul(g.Mul(y, silu(g, gate)), g.constant(layer["out"])))
    if not step:
        x = g.Gather(x, g.index(tokens - 1))
    logits = g.MatMul(norm(g, x, model["norm"]), g.constant(model["embedding"].T))
    g.result(g.ArgMax(logits, axis=-1, keepdims=0), "next", [1], TensorProto.INT64)
    return helper.make_model(g.made("mamba"), opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def save(model, tokens, path):
    name = path.rsplit("/", 1)[-1] + ".data"
    onnx.save(graph(model, tokens), path, save_as_external_data=True, location=name, all_tensors_to_one_file=True)
