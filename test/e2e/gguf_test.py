"""GGUF files: equal to the published checkpoint that they say, and refused where they are damaged or lie.

    RONDO_BIN=build/bin python3 test/run_unittest.py test/e2e/gguf_test.py [Equal.test_golden]
"""

import array
import json
import os
import random
import subprocess

import gguf
import refusals
import tensors

GOLDEN = os.path.join(refusals.GOLDEN, "llama_gqa")
NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
PARTS = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
         "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}


def settings_of(config):
    heads = config["num_attention_heads"]
    return {"general.architecture": "llama", "llama.block_count": config["num_hidden_layers"], "llama.context_length": 2048,
            "llama.embedding_length": config["hidden_size"], "llama.feed_forward_length": config["intermediate_size"], "llama.attention.head_count": heads,
            "llama.attention.head_count_kv": config.get("num_key_value_heads", heads), "llama.rope.freq_base": float(config.get("rope_theta", 10000)),
            "llama.attention.key_length": config.get("head_dim") or config["hidden_size"] // heads,
            "llama.attention.layer_norm_rms_epsilon": config["rms_norm_eps"]}


def name_of(published):
    stem, part = published.rsplit(".", 1)
    if stem in NAMES:
        return f"{NAMES[stem]}.{part}"
    _, _, layer, rest = stem.split(".", 3)
    return f"blk.{layer}.{PARTS[rest]}.{part}"


def tensors_of(config, published):
    """As llama.cpp's converter names and orders them; `published`: name -> (kind, shape, bytes)."""
    result = {}
    for name, (kind, shape, values) in published.items():
        for projection, heads in (("q_proj", config["num_attention_heads"]), ("k_proj", config["num_key_value_heads"])):
            if projection in name:
                values = gguf.neighbours(values, shape[0], heads)
        result[name_of(name)] = (kind, shape, values)
    return result


class GgufTest(refusals.RefusalTest):
    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.scratch.name, "m.gguf")

    def write(self, path, data):
        with open(path, "wb") as file:
            file.write(data)

    def run_program(self, *command):
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def compiled(self, checkpoint, precision="f32"):
        """A package of the forward entry, and what the compiler warned of."""
        package = os.path.join(self.scratch.name, f"{len(os.listdir(self.scratch.name))}.rpk")
        self.run_program(refusals.RONDOC, "--checkpoint", checkpoint, "--precision", precision, "--target", "native", "--entry", "forward", "-o", package)
        return package

    def logits(self, package):
        inputs, outputs = (os.path.join(self.scratch.name, name) for name in ("in.safetensors", "out.safetensors"))
        tensors.write(inputs, {"tokens": ("I64", [1, 24], array.array("q", [i * 7 % 60 for i in range(24)]))})
        self.run_program(refusals.RONDO, "eval", package, "--entry", "forward", "--inputs", inputs, "--outputs", outputs)
        return tensors.read(outputs)["logits"][2].tolist()


class Equal(GgufTest):
    def test_golden(self):
        """A published checkpoint, and the file that a converter makes of it."""
        with open(os.path.join(GOLDEN, "config.json")) as file:
            config = json.load(file)
        published = {name: (kind, shape, bytes(values)) for name, (kind, shape, values) in
                     tensors.read(os.path.join(GOLDEN, "model.safetensors")).items()}
        config["rope_theta"] = config.get("rope_parameters", config).get("rope_theta", 10000)
        self.write(self.path, gguf.join(settings_of(config), tensors_of(config, published)))
        expected = self.logits(self.compiled(GOLDEN))
        self.assertEqual(self.logits(self.compiled(self.path)), expected)
        self.assertGreater(max(map(abs, expected)), 0.01)

    def test_layers_of_two_kinds(self):
        """Heads of keys in a list: none of them where a layer is a short convolution."""
        heads, keys, width, d, f, vocabulary = 4, [0, 2, 0], 3, 32, 48, 60
        config = {"architectures": ["Lfm2ForCausalLM"], "hidden_size": d, "intermediate_size": f, "block_auto_adjust_ff_dim": False, "num_hidden_layers": len(keys),
                  "num_attention_heads": heads, "num_key_value_heads": max(keys), "layer_types": ["full_attention" if k else "conv" for k in keys], "conv_L_cache": width,
                  "norm_eps": 0.25, "rope_parameters": {"rope_theta": 500.0, "rope_type": "default"}, "vocab_size": vocabulary, "tie_word_embeddings": True}
        settings = {"general.architecture": "lfm2", "lfm2.block_count": len(keys), "lfm2.embedding_length": d, "lfm2.feed_forward_length": f,
                    "lfm2.attention.head_count": heads, "lfm2.attention.head_count_kv": keys, "lfm2.shortconv.l_cache": width,
                    "lfm2.attention.layer_norm_rms_epsilon": 0.25, "lfm2.rope.freq_base": 500.0, "lfm2.vocab_size": vocabulary}
        pairs = {"model.embed_tokens": ("token_embd", [vocabulary, d]), "model.embedding_norm": ("token_embd_norm", [d])}
        for layer, key in enumerate(keys):
            size = d // heads
            parts = {"operator_norm": ("attn_norm", [d]), "ffn_norm": ("ffn_norm", [d]), "feed_forward.w1": ("ffn_gate", [f, d]), "feed_forward.w2": ("ffn_down", [d, f]),
                     "feed_forward.w3": ("ffn_up", [f, d])}
            parts.update({"self_attn.q_proj": ("attn_q", [d, d]), "self_attn.k_proj": ("attn_k", [key * size, d]), "self_attn.v_proj": ("attn_v", [key * size, d]),
                          "self_attn.out_proj": ("attn_output", [d, d]), "self_attn.q_layernorm": ("attn_q_norm", [size]), "self_attn.k_layernorm": ("attn_k_norm", [size])}
                         if key else {"conv.in_proj": ("shortconv.in_proj", [3 * d, d]), "conv.out_proj": ("shortconv.out_proj", [d, d])})
            if not key:
                parts["conv.conv"] = ("shortconv.conv", [d, width])
            pairs.update({f"model.layers.{layer}.{ours}": (f"blk.{layer}.{theirs}", shape) for ours, (theirs, shape) in parts.items()})
        source, stored, plain = random.Random(2), {}, {}
        for ours, (theirs, shape) in pairs.items():
            count = shape[0] * (shape[1] if len(shape) > 1 else 1)
            values = array.array("f", [source.gauss(1 if len(shape) == 1 else 0, 0.3) for _ in range(count)])
            stored[theirs + ".weight"] = ("F32", shape, bytes(values))
            plain[ours + ".weight"] = ("F32", [shape[0], 1, shape[1]] if ours.endswith("conv.conv") else shape, values)
        folder = os.path.join(self.scratch.name, "published")
        os.mkdir(folder)
        with open(os.path.join(folder, "config.json"), "w") as file:
            json.dump(config, file)
        tensors.write(os.path.join(folder, "model.safetensors"), plain)
        self.write(self.path, gguf.join(settings, stored))
        expected = self.logits(self.compiled(folder))
        self.assertEqual(self.logits(self.compiled(self.path)), expected)
        self.assertGreater(max(map(abs, expected)), 0.01)
        settings["lfm2.attention.head_count_kv"] = ["two"]
        self.write(self.path, gguf.join(settings, stored))
        package = os.path.join(self.scratch.name, "refused.rpk")
        self.refused([refusals.RONDOC, "--checkpoint", self.path, "-o", package], self.path, "head_count_kv", "a number for every layer")

    def small(self, kind):
        """A file with matrices in blocks, and the published checkpoint of their numbers."""
        config = {"architectures": ["LlamaForCausalLM"], "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1, "num_attention_heads": 4,
                  "num_key_value_heads": 2, "vocab_size": 60, "rms_norm_eps": 0.25, "tie_word_embeddings": False}
        shapes = {"model.embed_tokens": [60, 64], "lm_head": [60, 64], "self_attn.q_proj": [64, 64], "self_attn.k_proj": [32, 64], "self_attn.v_proj": [32, 64],
                  "self_attn.o_proj": [64, 64], "mlp.gate_proj": [96, 64], "mlp.up_proj": [96, 64], "mlp.down_proj": [64, 96]}
        source = random.Random(kind)
        stored, plain = {}, {}
        for name, shape in shapes.items():
            full = (name if name in NAMES else "model.layers.0." + name) + ".weight"
            data, numbers = gguf.blocks(kind, source, shape[0] * shape[1] // 32)
            stored[full] = (kind, shape, data)
            plain[full] = ("F32", shape, array.array("f", numbers))
        for name in ("model.norm", "model.layers.0.input_layernorm", "model.layers.0.post_attention_layernorm"):
            numbers = array.array("f", [source.uniform(0.5, 1.5) for _ in range(64)])
            stored[name + ".weight"] = ("F32", [64], bytes(numbers))
            plain[name + ".weight"] = ("F32", [64], numbers)
        folder = os.path.join(self.scratch.name, "published")
        os.mkdir(folder)
        with open(os.path.join(folder, "config.json"), "w") as file:
            json.dump(config, file)
        tensors.write(os.path.join(folder, "model.safetensors"), plain)
        self.write(self.path, gguf.join(settings_of(config), tensors_of(config, stored)))
        return folder

    def check_blocks(self, kind, precision):
        folder = self.small(kind)
        expected = self.logits(self.compiled(folder))
        self.assertEqual(self.logits(self.compiled(self.path)), expected)
        package = self.compiled(self.path, precision)
        weights = json.loads(self.run_program(refusals.RONDO, "inspect", package, "--json"))["weights"]
        kept = [weight for weight in weights if weight["layout"] in ("bytes32", "nibbles32")]
        self.assertEqual(len(kept), 9)
        self.assertEqual([weight["error"] for weight in kept], [0] * 9, "integers and scales are kept as they are")
        layouts = {weight["name"]: weight["layout"] for weight in kept}
        self.assertEqual(layouts["model.embed_tokens.weight"], "bytes32", "a table that is looked up alone has 8 bits")
        self.assertEqual(layouts["lm_head.weight"], {"w8": "bytes32", "w4": "nibbles32"}[precision])

    def test_q8_0(self):
        self.check_blocks("Q8_0", "w8")

    def test_q4_0(self):
        self.check_blocks("Q4_0", "w4")


class Refused(GgufTest):
    def setUp(self):
        super().setUp()
        self.config = {"num_hidden_layers": 1, "hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2, "num_key_value_heads": 1, "rms_norm_eps": 1e-5}
        self.settings = settings_of(self.config)
        self.tensors = {"token_embd.weight": ("F32", [4, 8], b"\0" * 128), "blk.0.attn_k.weight": ("F32", [4, 8], b"\0" * 128)}

    def refused_by_rondoc(self, *says, data=None):
        self.write(self.path, gguf.join(self.settings, self.tensors) if data is None else data)
        self.refused([refusals.RONDOC, "--checkpoint", self.path, "-o", os.path.join(self.out, "m.rpk")], "m.gguf", *says)

    def test_missing_tensors(self):
        """Also: what these files are refused for below is what was changed."""
        self.refused_by_rondoc("no tensor 'model.layers.0.self_attn.q_proj.weight'", "expected")

    def test_truncated(self):
        self.refused_by_rondoc("'blk.0.attn_k.weight'", "found 128 bytes", "expected", data=gguf.join(self.settings, self.tensors)[:-1])

    def test_truncated_in_settings(self):
        self.refused_by_rondoc("found the end of the file|found a length", "expected", data=gguf.join(self.settings, self.tensors)[:100])

    def test_count_of_tensors_lies(self):
        self.refused_by_rondoc("expected", data=gguf.join(self.settings, self.tensors, count=1000))

    def test_version(self):
        self.refused_by_rondoc("found version 9, expected 2 or 3", data=gguf.join(self.settings, self.tensors, version=9))

    def test_unknown_type(self):
        self.tensors["output.weight"] = (19, [4, 256], b"\0" * 200)
        self.refused_by_rondoc("'output.weight'", "found type 19", "expected F32.*Q8_0")

    def test_extents_overflow(self):
        self.tensors["output.weight"] = ("F32", [1 << 40, 1 << 40], b"\0" * 32)
        self.refused_by_rondoc("'output.weight'", "expected a size that fits")

    def test_unknown_architecture(self):
        self.settings["general.architecture"] = "other"
        self.refused_by_rondoc("'other'", "expected one of .*llama")

    def test_heads_do_not_divide(self):
        self.settings["llama.attention.head_count_kv"] = 3
        self.refused_by_rondoc("'blk.0.attn_k.weight'", "3 heads")

    def test_heads_missing(self):
        del self.settings["llama.attention.head_count"], self.settings["llama.attention.head_count_kv"]
        self.refused_by_rondoc("found no setting 'llama.attention.head_count")

    def test_heads_are_no_number(self):
        self.settings["llama.attention.head_count_kv"] = "two"
        self.refused_by_rondoc("llama.attention.head_count_kv", '"two"', "expected a positive integer")


if __name__ == "__main__":
    refusals.unittest.main()
