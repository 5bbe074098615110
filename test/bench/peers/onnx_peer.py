"""Mamba in ONNX Runtime and in OpenVINO: the graph of onnx_mamba.py, made when it is first asked for."""

import os
import time

import serve

asked = serve.work()

import numpy
import onnx_mamba

if asked["model"] != "mamba-130m" or asked["kind"] not in ("prefill", "decode"):
    raise SystemExit("only Mamba-1 is written as an ONNX graph here")
tokens = asked["tokens"] if asked["kind"] == "prefill" else 1
path = os.path.join(asked["folder"], f"{asked['model']}-{tokens}.onnx")
if not os.path.exists(path):
    import jax_mamba

    onnx_mamba.save(jax_mamba.weights(os.path.join(asked["folder"], asked["model"])), tokens, path)


def onnxruntime():
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = asked["threads"], 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    shapes = {i.name: i.shape for i in session.get_inputs() if i.name != "tokens"}
    names, bound = [o.name for o in session.get_outputs()], session.io_binding()

    def call(ids, states):
        bound.clear_binding_inputs()
        bound.clear_binding_outputs()
        bound.bind_cpu_input("tokens", ids)
        for name, state in states.items():
            bound.bind_ortvalue_input(name, state)
        for name in names:
            bound.bind_output(name, "cpu")
        session.run_with_iobinding(bound)
        made = dict(zip(names, bound.get_outputs()))
        return made.pop("next").numpy(), {name.removesuffix("_after"): state for name, state in made.items()}

    return f"ONNX Runtime {ort.__version__}", call, {n: ort.OrtValue.ortvalue_from_numpy(numpy.zeros(s, numpy.float32)) for n, s in shapes.items()}


def openvino():
    import openvino as ov

    core = ov.Core()
    core.set_property("CPU", {"INFERENCE_NUM_THREADS": asked["threads"], "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": asked["precision"]})
    request = core.compile_model(core.read_model(path), "CPU").create_infer_request()
    shapes = {i.any_name: list(i.shape) for i in request.model_inputs if i.any_name != "tokens"}

    def call(ids, states):
        made = request.infer({**states, "tokens": ids}, share_inputs=True)
        return made["next"], {name: made[name + "_after"].copy() for name in states}

    return f"OpenVINO {ov.__version__.split('-')[0]}", call, {n: numpy.zeros(s, numpy.float32) for n, s in shapes.items()}


version, call, zeros = {"onnxruntime": onnxruntime, "openvino": openvino}[asked["system"]]()


def prefill():
    call(numpy.random.randint(0, 50000, tokens), {})


def decode():
    ids, states = numpy.zeros(1, numpy.int64), zeros
    begin = time.perf_counter()
    for _ in range(asked["tokens"]):
        ids, states = call(ids.reshape(1), states)
    return time.perf_counter() - begin


serve.serve(version, prefill if asked["kind"] == "prefill" else decode)
