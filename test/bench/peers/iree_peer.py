"""IREE on the CPU: the JAX program of Mamba, exported as StableHLO and compiled for this processor."""

import os

import serve

asked = serve.work()
os.environ["JAX_PLATFORMS"] = "cpu"

import iree.compiler
import iree.compiler.version
import iree.runtime
import jax
import jax.export
import jax.numpy as jnp
import numpy

import jax_mamba

if asked["kind"] != "prefill":
    raise SystemExit("only prefill was written for this system")
model = jax_mamba.weights(os.path.join(asked["folder"], asked["model"]))
tokens = (numpy.arange(asked["tokens"]) % 1000).astype(numpy.int32)
leaves, shape = jax.tree_util.tree_flatten(model)
exported = jax.export.export(jax.jit(lambda leaves, tokens: jax_mamba.prefill(jax.tree_util.tree_unflatten(shape, leaves), tokens)))(leaves, tokens)
module = iree.compiler.compile_str(
    exported.mlir_module(), input_type="stablehlo", target_backends=["llvm-cpu"], extra_args=["--iree-llvmcpu-target-cpu=host", "--iree-opt-level=O3"]
)
iree.runtime.flags.parse_flags(f"--task_topology_max_group_count={asked['threads']}")
config = iree.runtime.Config("local-task")
main = iree.runtime.load_vm_module(iree.runtime.VmModule.copy_buffer(config.vm_instance, module), config)["main"]
arguments = [iree.runtime.asdevicearray(config.device, numpy.asarray(leaf)) for leaf in leaves]
arguments.append(iree.runtime.asdevicearray(config.device, tokens))
serve.serve(f"IREE {iree.compiler.version.VERSION}", lambda: main(*arguments).to_host())
