"""Checkpoints that are damaged or lie: each is refused by name, place, found and expected.

    RONDO_BIN=build/bin python3 test/run_unittest.py test/e2e/bad_checkpoints_test.py [BadCheckpoints.test_truncated]

Each case is a copy of a small good checkpoint with one thing changed.
"""

import json
import os
import shutil
import struct

import refusals
import tensors

GOOD = os.path.join(refusals.GOLDEN, "mamba2_limit")
SHARDED = os.path.join(refusals.GOLDEN, "llama_sharded")
WEIGHTS = "model.safetensors"
TENSOR = "backbone.layers.1.mixer.A_log"
LARGE = "backbone.layers.0.mixer.in_proj.weight"


class BadCheckpoints(refusals.RefusalTest):
    def setUp(self):
        super().setUp()
        self.folder = os.path.join(self.scratch.name, "checkpoint")
        shutil.copytree(GOOD, self.folder)
        self.weights = os.path.join(self.folder, WEIGHTS)
        self.header, self.data = tensors.split(self.weights)

    def write(self, header=None, data=None):
        with open(self.weights, "wb") as file:
            file.write(tensors.join(self.header if header is None else header, self.data if data is None else data))

    def refused_by_rondoc(self, file, *says):
        command = [refusals.RONDOC, "--checkpoint", self.folder, "-o", os.path.join(self.out, "m.rpk")]
        self.refused(command, file, *says)

    def config(self, **changes):
        path = os.path.join(self.folder, "config.json")
        with open(path) as file:
            keys = json.load(file)
        keys |= changes
        with open(path, "w") as file:
            json.dump({key: value for key, value in keys.items() if value is not None}, file)

    # The file.
    def test_good_is_accepted(self):
        """Otherwise every refusal below would be worth nothing."""
        self.write()
        package = os.path.join(self.out, "m.rpk")
        done = refusals.subprocess.run([refusals.RONDOC, "--checkpoint", self.folder, "-o", package], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(os.path.getsize(package))

    def test_truncated(self):
        size = os.path.getsize(self.weights)
        os.truncate(self.weights, size - 100)
        self.refused_by_rondoc(WEIGHTS, "expect")

    def test_truncated_in_header(self):
        os.truncate(self.weights, 200)
        self.refused_by_rondoc(WEIGHTS, "header", "expect")

    def test_shorter_than_header_length(self):
        os.truncate(self.weights, 5)
        self.refused_by_rondoc(WEIGHTS, r"\b5\b", "expect")

    def test_empty(self):
        os.truncate(self.weights, 0)
        self.refused_by_rondoc(WEIGHTS, "expect")

    def test_header_length_beyond_file(self):
        with open(self.weights, "r+b") as file:
            file.write(struct.pack("<Q", 1 << 60))
        self.refused_by_rondoc(WEIGHTS, "header", str(1 << 60))

    def test_header_is_not_json(self):
        self.write(header=b'{"a": {"dtype": "F32", "shape": [1')
        self.refused_by_rondoc(WEIGHTS, "header", "JSON")

    def test_header_is_not_an_object(self):
        self.write(header=b"[1, 2, 3]")
        self.refused_by_rondoc(WEIGHTS, "header", "expect")

    def test_header_nested_without_end(self):
        self.write(header=b"[" * 200000)
        self.refused_by_rondoc(WEIGHTS, "header")

    def test_missing_weights(self):
        os.remove(self.weights)
        self.refused_by_rondoc(self.folder, WEIGHTS)

    # Tensors.
    def test_unknown_type(self):
        self.header[TENSOR]["dtype"] = "F7"
        self.write()
        self.refused_by_rondoc(WEIGHTS, TENSOR, "F7", "expect")

    def test_type_of_another_size(self):
        self.header[TENSOR]["dtype"] = "F64"
        self.write()
        self.refused_by_rondoc(WEIGHTS, TENSOR, "expect")

    def test_wrong_shape(self):
        self.header[TENSOR]["shape"] = [2, 2]
        self.write()
        self.refused_by_rondoc(WEIGHTS, TENSOR, r"2,? ?x? ?2", "expect", r"\b4\b")

    def test_wrong_size_of_an_axis(self):
        rows, columns = self.header[LARGE]["shape"]
        self.header[LARGE]["shape"] = [columns, rows]
        self.write()
        self.refused_by_rondoc(WEIGHTS, LARGE, str(rows), str(columns), "expect")

    def test_missing_tensor(self):
        self.header["other"] = self.header.pop(TENSOR)
        self.write()
        self.refused_by_rondoc(self.folder, TENSOR, "expect|missing")

    def test_shape_lies_about_the_bytes(self):
        self.header[TENSOR]["shape"] = [400]
        self.write()
        self.refused_by_rondoc(WEIGHTS, TENSOR, "expect")

    def test_shape_overflows(self):
        self.header[TENSOR]["shape"] = [1 << 40, 1 << 40]
        self.write()
        self.refused_by_rondoc(WEIGHTS, TENSOR)

    def test_shape_wraps_to_the_right_size(self):
        # 2^62 * 4 floats are 16 bytes modulo 2^64.
        self.header[TENSOR]["shape"] = [(1 << 62) + 1, 4]
        self.write()
        self.refused_by_rondoc(WEIGHTS, TENSOR)

    def test_negative_shape(self):
        self.header[TENSOR]["shape"] = [-4]
        self.write()
        self.refused_by_rondoc(WEIGHTS, TENSOR, "-4")

    def test_shape_is_not_integers(self):
        self.header[TENSOR]["shape"] = ["four"]
        self.write()
        self.refused_by_rondoc(WEIGHTS, TENSOR, "expect")

    def test_offsets_beyond_file(self):
        begin, end = self.header[TENSOR]["data_offsets"]
        self.header[TENSOR]["data_offsets"] = [begin + (1 << 40), end + (1 << 40)]
        self.write()
        self.refused_by_rondoc(WEIGHTS, TENSOR, "expect")

    def test_offsets_reversed(self):
        begin, end = self.header[TENSOR]["data_offsets"]
        self.header[TENSOR]["data_offsets"] = [end, begin]
        self.write()
        self.refused_by_rondoc(WEIGHTS, TENSOR)

    def test_offsets_negative(self):
        self.header[TENSOR]["data_offsets"] = [-16, 0]
        self.write()
        self.refused_by_rondoc(WEIGHTS, TENSOR)

    def test_offsets_missing(self):
        del self.header[TENSOR]["data_offsets"]
        self.write()
        self.refused_by_rondoc(WEIGHTS, TENSOR, "data_offsets")

    def test_overlapping_offsets(self):
        other = "backbone.layers.0.mixer.A_log"
        self.header[TENSOR]["data_offsets"] = self.header[other]["data_offsets"]
        self.write()
        self.refused_by_rondoc(WEIGHTS, TENSOR, "overlap")

    def test_duplicate_name(self):
        text = json.dumps(self.header)
        entry = json.dumps(self.header[TENSOR])
        self.write(header=(text[:-1] + f', "{TENSOR}": {entry}}}').encode())
        self.refused_by_rondoc(WEIGHTS, TENSOR, "twice|duplicate|more than once")

    # config.json.
    def test_config_is_not_json(self):
        with open(os.path.join(self.folder, "config.json"), "w") as file:
            file.write('{"architectures": ["Mamba2ForCausalLM"],\n "hidden_size": }')
        self.refused_by_rondoc("config.json", r"line 2|:2")

    def test_config_missing(self):
        os.remove(os.path.join(self.folder, "config.json"))
        self.refused_by_rondoc("config.json")

    def test_config_of_unknown_class(self):
        self.config(architectures=["NobodyForCausalLM"])
        tensors = r"must bind these tensors:\n(.*\n)*    backbone\.layers\.\{0\.\.1\}\.mixer\.A_log F32 \[\d+\]\n"
        self.refused_by_rondoc("config.json", "NobodyForCausalLM", "Mamba2ForCausalLM", r"nearest is \S*mamba2\.rondo \(Mamba2ForCausalLM\): (\d+) of its \1 tensors", tensors)

    def test_config_without_class(self):
        self.config(architectures=None)
        self.refused_by_rondoc("config.json", "architectures")

    def test_config_size_is_text(self):
        self.config(hidden_size="sixteen")
        self.refused_by_rondoc("config.json", "hidden_size", "sixteen", "expect")

    def test_config_size_is_negative(self):
        self.config(num_heads=-4)
        self.refused_by_rondoc("", "num_heads|h\\b", "-4")

    def test_config_size_is_huge(self):
        self.config(hidden_size=1 << 62)
        self.refused_by_rondoc("", "hidden_size|overflow|large|shape")

    def test_config_disagrees_with_weights(self):
        self.config(state_size=8)
        self.refused_by_rondoc(WEIGHTS, "backbone.layers.0.mixer", "expect")

    def test_config_layers_more_than_weights(self):
        self.config(num_hidden_layers=3)
        self.refused_by_rondoc(self.folder, "backbone.layers.2")


class BadShards(refusals.RefusalTest):
    def setUp(self):
        super().setUp()
        self.folder = os.path.join(self.scratch.name, "checkpoint")
        shutil.copytree(SHARDED, self.folder)
        self.index = os.path.join(self.folder, "model.safetensors.index.json")
        with open(self.index) as file:
            self.map = json.load(file)

    def refused_by_rondoc(self, file, *says):
        with open(self.index, "w") as out:
            json.dump(self.map, out)
        command = [refusals.RONDOC, "--checkpoint", self.folder, "-o", os.path.join(self.out, "m.rpk")]
        self.refused(command, file, *says)

    def test_shard_missing(self):
        os.remove(os.path.join(self.folder, "model-00002-of-00002.safetensors"))
        self.refused_by_rondoc("model-00002-of-00002.safetensors")

    def test_index_names_the_wrong_shard(self):
        self.map["weight_map"]["lm_head.weight"] = "model-00002-of-00002.safetensors"
        self.refused_by_rondoc("model-00002-of-00002.safetensors", "lm_head.weight")

    def test_index_leaves_the_folder(self):
        shutil.copy(os.path.join(self.folder, "model-00001-of-00002.safetensors"), os.path.join(self.scratch.name, "other.safetensors"))
        self.map["weight_map"]["lm_head.weight"] = "../other.safetensors"
        self.refused_by_rondoc("model.safetensors.index.json", "other.safetensors")

    def test_index_without_map(self):
        del self.map["weight_map"]
        self.refused_by_rondoc("model.safetensors.index.json", "weight_map")
