"""Random checkpoints of the 130M class, in published form: what every system of the benchmark runs.

    checkpoints.py FOLDER LLAMA_CPP NAME ...     writes FOLDER/NAME/ (config.json, model.safetensors) and FOLDER/NAME-f32.gguf

Shapes are those of the smallest published checkpoint of a family, or of its proportions at that size; weights are random, since speed does not depend on them. GGUF files
come from llama.cpp's own converter, with an empty vocabulary: the benchmark speaks in token numbers.
"""

import os
import subprocess
import sys

VOCABULARY = 50280
WIDTH = 768


def configurations(tf):
    """Name → (configuration class, model class, arguments)."""
    shared = {"vocab_size": VOCABULARY, "hidden_size": WIDTH, "tie_word_embeddings": True}
    return {
        "mamba-130m": (tf.MambaConfig, tf.MambaForCausalLM, {**shared, "num_hidden_layers": 24, "state_size": 16}),
        "mamba2-130m": (
            tf.Mamba2Config, tf.Mamba2ForCausalLM,
            {**shared, "vocab_size": 50288, "num_hidden_layers": 24, "state_size": 128, "expand": 2, "head_dim": 64, "num_heads": 24, "n_groups": 1, "chunk_size": 256},
        ),
        "llama-125m": (
            tf.LlamaConfig, tf.LlamaForCausalLM,
            {**shared, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 12, "num_key_value_heads": 12, "max_position_embeddings": 32768},
        ),
        "gdn-hybrid": (
            tf.Qwen3_5TextConfig, tf.Qwen3_5ForCausalLM,
            {**shared, "intermediate_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 128, "linear_num_key_heads": 6,
             "linear_num_value_heads": 6, "linear_key_head_dim": 128, "linear_value_head_dim": 128},
        ),
        "jamba-small": (
            tf.JambaConfig, tf.JambaForCausalLM,
            {**shared, "intermediate_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 12, "num_key_value_heads": 4, "attn_layer_period": 8, "attn_layer_offset": 4,
             "expert_layer_period": 2, "expert_layer_offset": 1, "num_experts": 1, "num_experts_per_tok": 1, "mamba_d_state": 16, "use_mamba_kernels": False},
        ),
        "falcon-h1-small": (
            tf.FalconH1Config, tf.FalconH1ForCausalLM,
            {**shared, "intermediate_size": 1536, "num_hidden_layers": 16, "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 64, "mamba_d_ssm": 1536,
             "mamba_n_heads": 24, "mamba_d_head": 64, "mamba_n_groups": 1, "mamba_d_state": 128, "mamba_rms_norm": False, "max_position_embeddings": 32768},
        ),
        "lfm2-350m": (
            tf.Lfm2Config, tf.Lfm2ForCausalLM,
            {**shared, "vocab_size": 65536, "hidden_size": 1024, "intermediate_size": 6656, "num_hidden_layers": 16, "num_attention_heads": 16, "num_key_value_heads": 8,
             "conv_L_cache": 3, "full_attn_idxs": [2, 5, 8, 10, 12, 14], "block_ff_dim": 6656, "block_auto_adjust_ff_dim": True, "block_multiple_of": 256,
             "block_ffn_dim_multiplier": 1.0, "max_position_embeddings": 32768},
        ),
        "xlstm-small": (
            tf.xLSTMConfig, tf.xLSTMForCausalLM,
            {**shared, "tie_word_embeddings": False, "num_blocks": 12, "num_heads": 6, "embedding_dim": WIDTH},
        ),
    }


def rwkv7():
    """The one family that transformers does not have: its class comes from flash-linear-attention, whose kernels do not run here, but whose checkpoints do."""
    from fla.models import RWKV7Config, RWKV7ForCausalLM

    return RWKV7Config, RWKV7ForCausalLM, {
        "vocab_size": 65536, "hidden_size": WIDTH, "num_hidden_layers": 12, "head_dim": 64, "intermediate_size": 3072, "attn_mode": "chunk", "decay_low_rank_dim": 64,
        "gate_low_rank_dim": 128, "a_low_rank_dim": 64, "v_low_rank_dim": 32, "tie_word_embeddings": False, "fuse_norm": False,
    }


def write(folder, name):
    import torch
    import transformers

    config, model, arguments = rwkv7() if name == "rwkv7-0.1b" else configurations(transformers)[name]
    torch.manual_seed(0)
    made = model(config(**arguments)).to(torch.float32).eval()
    made.save_pretrained(os.path.join(folder, name), safe_serialization=True)
    print(f"{name}: {sum(p.numel() for p in made.parameters()) / 1e6:.1f} M parameters", file=sys.stderr)


CONVERT = """
import runpy, sys
sys.path[:0] = [{source!r}, {source!r} + "/gguf-py"]
from conversion.base import TextModel

def no_vocabulary(self, *arguments, **options):
    self._set_vocab_none()
    self.gguf_writer.add_vocab_size(self.hparams["vocab_size"])

for name in dir(TextModel):
    if name.startswith("_set_vocab_") and name != "_set_vocab_none":
        setattr(TextModel, name, no_vocabulary)
sys.argv = ["convert", {model!r}, "--outtype", "f32", "--outfile", {out!r}] + {extra!r}
runpy.run_path({source!r} + "/convert_hf_to_gguf.py", run_name="__main__")
"""


def convert(folder, name, source):
    """llama.cpp's file of it; families that llama.cpp does not have get none."""
    out = os.path.join(folder, f"{name}-f32.gguf")
    extra = ["--no-mtp"] if name == "gdn-hybrid" else []
    code = CONVERT.format(source=source, model=os.path.join(folder, name), out=out + ".part", extra=extra)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if done.returncode == 0:
        os.replace(out + ".part", out)
    else:
        reason = (done.stderr.strip().splitlines() or ["no output"])[-1]
        print(f"{name}: llama.cpp's converter does not read it: {reason}", file=sys.stderr)


def main():
    folder, source, *names = sys.argv[1:]
    os.environ["HF_HUB_OFFLINE"] = "1"
    for name in names:
        if not os.path.exists(os.path.join(folder, name, "model.safetensors")):
            write(folder, name)
        if not os.path.exists(os.path.join(folder, f"{name}-f32.gguf")):
            convert(folder, name, source)


if __name__ == "__main__":
    main()
