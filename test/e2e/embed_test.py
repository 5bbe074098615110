"""`rondo embed`: pooled vectors of texts against the published code's vectors of their tokens.

    RONDO_BIN=build/bin python3 test/run_unittest.py test/e2e/embed_test.py
"""

import array
import json
import math
import os
import shutil
import subprocess
import tempfile
import unittest

import refusals
import tensors

BERT = os.path.join(refusals.ROOT, "test", "golden", "bert")
TOKENIZER = os.path.join(refusals.ROOT, "test", "runtime", "tokenizers", "wordpiece.json")


class Embed(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory(prefix="rondo-embed-")
        self.addCleanup(self.scratch.cleanup)

    def path(self, name):
        return os.path.join(self.scratch.name, name)

    def call(self, program, *arguments, code=0):
        done = subprocess.run([os.path.join(refusals.BIN, program), *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, code, done.stderr[-3000:])
        return done.stdout if code == 0 else done.stderr

    def compile(self, *options):
        folder = self.path("checkpoint")
        shutil.copytree(BERT, folder, dirs_exist_ok=True)
        shutil.copy(TOKENIZER, os.path.join(folder, "tokenizer.json"))
        self.call("rondoc", "--checkpoint", folder, "--entry", "prefill", "--target", "native", *options, "-o", self.path("m.rpk"))

    def test_pooled_vectors_are_made_of_the_published_ones(self):
        expected = tensors.read(os.path.join(BERT, "expected.safetensors"))
        _, shape, ids = expected["input_ids_b"]
        _, (_, count, width), values = expected["logits_b"]
        rows = [values[i * width:(i + 1) * width] for i in range(count)]
        mean = [sum(row[k] for row in rows) / count for k in range(width)]
        length = math.sqrt(sum(x * x for x in mean))
        wanted = {("mean", "true"): [x / length for x in mean], ("first", "false"): rows[0]}
        tensors.write(self.path("in"), {"tokens": ("I64", shape, array.array("q", ids))})
        for (pooling, unit), vector in wanted.items():
            self.compile("--set", f"pooling={pooling}", "--set", f"unit={unit}")
            self.call("rondo", "eval", self.path("m.rpk"), "--entry", "prefill", "--inputs", self.path("in"), "--outputs", self.path("out"))
            found = tensors.read(self.path("out"))["logits"][2]
            worst = max(abs(f - w) for f, w in zip(found, vector))
            self.assertLess(worst, 5e-5, (pooling, unit))  # the checkpoint's own tolerance

    def test_each_line_has_its_vector(self):
        self.compile("--set", "pooling=mean")
        texts = ["The hacker's guide.", "", "programs and naïve programming", "The hacker's guide."]
        with open(self.path("texts"), "w", encoding="utf-8") as file:
            file.write("\n".join(texts) + "\n")
        rows = json.loads(self.call("rondo", "embed", self.path("m.rpk"), self.path("texts"), "--json"))
        self.assertEqual([row["text"] for row in rows], texts)
        self.assertEqual(rows[1]["tokens"], [2, 3])  # the frame alone
        self.assertEqual(rows[0]["embedding"], rows[3]["embedding"])
        self.call("rondo", "embed", self.path("m.rpk"), self.path("texts"), "-o", self.path("vectors"))
        _, shape, values = tensors.read(self.path("vectors"))["embeddings"]
        self.assertEqual(shape, [4, 30])
        self.assertEqual(list(values[60:90]), list(array.array("f", rows[2]["embedding"])))
        for row in rows:  # the same ids by eval
            tensors.write(self.path("in"), {"tokens": ("I64", [1, len(row["tokens"])], array.array("q", row["tokens"]))})
            self.call("rondo", "eval", self.path("m.rpk"), "--entry", "prefill", "--inputs", self.path("in"), "--outputs", self.path("out"))
            self.assertEqual(list(tensors.read(self.path("out"))["logits"][2]), list(array.array("f", row["embedding"])))

    def test_a_sentencepiece_model_is_a_tokenizer(self):
        folder = self.path("checkpoint")
        shutil.copytree(BERT, folder)
        pieces = os.path.dirname(TOKENIZER)
        shutil.copy(os.path.join(pieces, "sp_unigram.model"), os.path.join(folder, "tokenizer.model"))
        with open(os.path.join(pieces, "models.json"), encoding="utf-8") as file:
            expected = json.load(file)
        at = expected["texts"].index("Hello, world!")
        with open(os.path.join(folder, "tokenizer_config.json"), "w") as file:
            json.dump({"add_eos_token": True}, file)
        self.call("rondoc", "--checkpoint", folder, "--entry", "prefill", "--target", "native", "--set", "pooling=mean", "-o", self.path("m.rpk"))
        with open(self.path("texts"), "w") as file:
            file.write("Hello, world!\n")
        (row,) = json.loads(self.call("rondo", "embed", self.path("m.rpk"), self.path("texts"), "--json"))
        self.assertEqual(row["tokens"], expected["sp_unigram"]["ids"][at] + [2])

    def test_refusals(self):
        self.compile()
        open(self.path("empty"), "w").close()
        self.assertIn("no line", self.call("rondo", "embed", self.path("m.rpk"), self.path("empty"), code=1))
        with open(self.path("long"), "w") as file:
            file.write("short\n" + "a " * 100 + "\n")
        said = self.call("rondo", "embed", self.path("m.rpk"), self.path("long"), code=1)
        self.assertRegex(said, r"line 2: .*found a sequence of \d+ tokens, expected at most 96: .*max_position_embeddings")
        self.assertIn("pooling: found 'max'", self.compile_error("--set", "pooling=max"))

    def compile_error(self, *options):
        return self.call("rondoc", "--checkpoint", BERT, *options, "-o", self.path("n.rpk"), code=1)


if __name__ == "__main__":
    unittest.main()
