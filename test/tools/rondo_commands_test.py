"""`rondo`'s commands on small compiled checkpoints: what they compute, print and refuse.

    RONDO_BIN=build/bin python3 test/run_unittest.py test/tools/rondo_commands_test.py [Eval.test_packed_sequences]
"""

import array
import json
import math
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import refusals
import tensors

RONDO, RONDOC = refusals.RONDO, refusals.RONDOC
# f32 sums of another order, of logits near 1: the golden checkpoints' own tolerance.
CLOSE = 5e-5


class CommandTest(refusals.RefusalTest):
    """Packages are compiled once a class."""

    checkpoints = {"recurrent": os.path.join(refusals.GOLDEN, "mamba2_groups")}

    @classmethod
    def setUpClass(cls):
        cls.home = tempfile.TemporaryDirectory(prefix="rondo-commands-")
        cls.addClassCleanup(cls.home.cleanup)
        for name, folder in cls.checkpoints.items():
            path = os.path.join(cls.home.name, name + ".rpk")
            subprocess.run([RONDOC, "--checkpoint", folder, "-o", path], check=True, stdin=subprocess.DEVNULL)
            setattr(cls, name, path)

    def rondo(self, *arguments):
        done = subprocess.run([RONDO, *arguments], capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, timeout=300)
        self.assertEqual(done.returncode, 0, f"{arguments}\n{done.stdout}{done.stderr}")
        self.assertNotIn("\r", done.stderr, "progress is for terminals")
        return done

    def path(self, name):
        return os.path.join(self.scratch.name, name)

    def eval(self, package, inputs, entry="forward", *flags):
        tensors.write(self.path("in"), inputs)
        done = self.rondo("eval", package, "--entry", entry, "--inputs", self.path("in"), "--outputs", self.path("outputs"), *flags)
        self.notes = done.stderr
        return tensors.read(self.path("outputs"))

    def assertClose(self, found, expected):
        self.assertEqual(found[:2], expected[:2])
        for f, e in zip(found[2], expected[2]):
            self.assertLessEqual(abs(f - e), CLOSE * max(1, abs(e)))


def ids(shape, start=0, dtype="I64"):
    count = math.prod(shape)
    return (dtype, list(shape), array.array(tensors.TYPES[dtype], [(start + 7 * i * i + 3 * i) % 31 for i in range(count)]))


def rows(tensor, begin, end):
    """Rows [begin, end) of the second axis of a tensor [1, T, ...]."""
    dtype, shape, values = tensor
    width = math.prod(shape[2:])
    return (dtype, [1, end - begin, *shape[2:]], values[begin * width:end * width])


class Eval(CommandTest):
    def test_shapes(self):
        outputs = self.eval(self.recurrent, {"tokens": ids((2, 9))})
        self.assertEqual(outputs["logits"][1][:2], [2, 9])
        self.assertEqual(self.notes, "")
        for name, (dtype, shape, _) in outputs.items():
            if name != "logits":
                self.assertTrue(name.startswith("state."), name)
                self.assertEqual((dtype, shape[0]), ("I64" if name == "state.position" else "F32", 2))

    def test_i32_tokens(self):
        self.assertEqual(self.eval(self.recurrent, {"tokens": ids((2, 9), dtype="I32")}), self.eval(self.recurrent, {"tokens": ids((2, 9))}))

    def test_sequences_of_a_batch_are_independent(self):
        batch = self.eval(self.recurrent, {"tokens": ids((2, 9))})["logits"]
        second = self.eval(self.recurrent, {"tokens": rows(("I64", [1, 18], ids((1, 18))[2]), 9, 18)})["logits"]
        half = len(batch[2]) // 2
        self.assertClose(("F32", second[1], batch[2][half:]), second)

    def test_packed_sequences(self):
        whole = ids((1, 20))
        packed = self.eval(self.recurrent, {"tokens": whole, "cu_seqlens": ("I64", [4], array.array("q", [0, 7, 7, 20]))})
        self.assertEqual(packed["logits"][1][:2], [1, 20])
        for begin, end in [(0, 7), (7, 20)]:
            alone = self.eval(self.recurrent, {"tokens": rows(whole, begin, end)})["logits"]
            self.assertClose(rows(packed["logits"], begin, end), alone)
        states = [shape for name, (_, shape, _) in packed.items() if name.startswith("state.")]
        self.assertTrue(states)
        self.assertEqual({shape[0] for shape in states}, {3})

    def test_states_carry_a_sequence_on(self):
        whole = ids((1, 20))
        expected = self.eval(self.recurrent, {"tokens": whole})
        first = self.eval(self.recurrent, {"tokens": rows(whole, 0, 11)})
        carried = {name: tensor for name, tensor in first.items() if name.startswith("state.")}
        second = self.eval(self.recurrent, {"tokens": rows(whole, 11, 20), **carried})
        self.assertClose(second["logits"], rows(expected["logits"], 11, 20))
        for name in carried:
            self.assertClose(second[name], expected[name])

    def test_prefill_gives_the_last_row(self):
        tokens = ids((1, 20))
        last = rows(self.eval(self.recurrent, {"tokens": tokens})["logits"], 19, 20)
        prefill = self.eval(self.recurrent, {"tokens": tokens}, "prefill")["logits"]
        self.assertEqual(prefill[1], [1, last[1][2]])
        self.assertClose(("F32", last[1], prefill[2]), last)

    def test_no_tokens(self):
        self.assertEqual(self.eval(self.recurrent, {"tokens": ids((2, 0))})["logits"][1][:2], [2, 0])

    def test_unused_tensors_are_named(self):
        self.eval(self.recurrent, {"tokens": ids((1, 3)), "token": ids((1, 3))})
        self.assertIn("'token'", self.notes)

    def test_reference(self):
        tokens = ids((1, 20))
        expected = self.eval(self.recurrent, {"tokens": tokens})["logits"]
        reference = self.eval(self.recurrent, {"tokens": tokens}, "forward", "--precision", "f64", "--reference")["logits"]
        self.assertEqual(reference[0], "F64")
        self.assertClose(("F32", *reference[1:]), expected)

    def test_reference_of_packed_sequences(self):
        inputs = {"tokens": ids((1, 20)), "cu_seqlens": ("I64", [3], array.array("q", [0, 7, 20]))}
        expected = self.eval(self.recurrent, inputs)
        reference = self.eval(self.recurrent, inputs, "forward", "--reference")
        # The spec's own form may keep more states than the compiled one.
        self.assertLessEqual(set(expected), set(reference))
        for name in expected:
            self.assertClose(reference[name], expected[name])

    def refused_eval(self, inputs, *says, entry="forward"):
        tensors.write(self.path("in"), inputs)
        self.refused([RONDO, "eval", self.recurrent, "--entry", entry, "--inputs", self.path("in"), "--outputs", os.path.join(self.out, "o")], "", *says)

    def test_missing_input(self):
        self.refused_eval({"token": ids((1, 3))}, "tokens", "missing", "expected")

    def test_wrong_rank(self):
        self.refused_eval({"tokens": ids((3,))}, "tokens", r"\[3\]", "expected")

    def test_real_tokens(self):
        self.refused_eval({"tokens": ("F32", [1, 2], array.array("f", [1, 2]))}, "tokens", "F32", "expected")

    def test_id_out_of_range(self):
        self.refused_eval({"tokens": ("I64", [1, 2], array.array("q", [1, 1 << 40]))}, "tokens", str(1 << 40), "expected")

    def test_negative_id(self):
        self.refused_eval({"tokens": ("I64", [1, 2], array.array("q", [1, -1]))}, "tokens", "-1", "expected")

    def test_sequences_beyond_the_tokens(self):
        self.refused_eval({"tokens": ids((1, 5)), "cu_seqlens": ("I64", [2], array.array("q", [0, 6]))}, "cu_seqlens", r"\b6\b", "expected")

    def test_sequences_that_go_back(self):
        self.refused_eval({"tokens": ids((1, 5)), "cu_seqlens": ("I64", [4], array.array("q", [0, 4, 2, 5]))}, "cu_seqlens", r"\b2\b", "expected")

    def test_unknown_state(self):
        self.refused_eval({"tokens": ids((1, 5)), "state.nobody": ("F32", [1, 2], array.array("f", [0, 0]))}, "state.nobody")

    def test_unknown_entry(self):
        self.refused_eval({"tokens": ids((1, 5))}, "backward", "forward", entry="backward")


class LogitsError(CommandTest):
    def test_is_stored_and_shown(self):
        small = self.path("small.rpk")
        subprocess.run([RONDOC, "--checkpoint", self.checkpoints["recurrent"], "--precision", "bf16", "--target", "native", "-o", small], check=True)
        inspect = lambda: json.loads(self.rondo("inspect", small, "--check", "--json").stdout)
        self.assertNotIn("logits_error", inspect())
        verify = ["verify", small, "--tokens", "20", "--no-reference"]
        measured = json.loads(self.rondo(*verify, "--json", "--against", self.recurrent, "--store").stdout)["against"]
        stored = inspect()["logits_error"]
        hash_of_other = json.loads(self.rondo("inspect", self.recurrent, "--json").stdout)["hash"]
        for key in ("logits_max_abs", "logits_mean_abs", "kl_nats", "same_first"):
            self.assertEqual(stored[key], measured[key])
        self.assertGreater(stored["logits_max_abs"], 1e-6)
        self.assertEqual((stored["against"], stored["precision"], stored["tokens"]), (hash_of_other, "f32", 20))
        self.assertRegex(self.rondo("inspect", small).stdout, "(?m)^logits +at most .* against those of " + hash_of_other)
        self.assertRegex(self.rondo(*verify).stdout, "^logits against those of " + hash_of_other)

    def test_needs_another_package(self):
        done = subprocess.run([RONDO, "verify", self.recurrent, "--store"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--against", done.stderr)


class Run(CommandTest):
    def generate(self, *flags, prompt="1,2,3,4,5", n=12):
        return json.loads(self.rondo("run", self.recurrent, "--tokens", prompt, "-n", str(n), "--json", *flags).stdout)

    def test_greedy_is_the_default_and_repeats(self):
        first = self.generate()
        self.assertEqual(len(first["tokens"]), 12)
        self.assertEqual(first["tokens"], self.generate("--temp", "0", "-t", "1")["tokens"])
        self.assertGreater(first["timings"]["tokens_per_second"], 0)

    def test_a_seed_repeats_and_another_differs(self):
        drawn = [self.generate("--temp", "5", "--seed", seed, n=40)["tokens"] for seed in ("1", "1", "2")]
        self.assertEqual(drawn[0], drawn[1])
        self.assertNotEqual(drawn[0], drawn[2])

    def test_top_p_near_0_is_greedy(self):
        self.assertEqual(self.generate("--temp", "1", "--top-p", "0.000001")["tokens"], self.generate()["tokens"])

    def test_saved_states_go_on(self):
        whole = self.generate(n=12)["tokens"]
        state = self.path("saved.safetensors")
        first = self.generate("--state-out", state, prompt="1,2,3", n=0)
        self.assertEqual(first["tokens"], [])
        self.assertEqual(self.generate("--state-in", state, prompt="4,5")["tokens"], whole)
        # The state after generated tokens holds them all.
        head = self.generate("--state-out", state, n=5)["tokens"]
        self.assertEqual(head, whole[:5])
        position = tensors.read(state)["position"][2][0]
        self.assertEqual(position, 10)

    def test_ids_without_text_are_printed(self):
        printed = self.rondo("run", self.recurrent, "--tokens", "1,2,3,4,5", "-n", "12").stdout
        self.assertEqual([int(i) for i in printed.strip().split(",")], self.generate()["tokens"])

    def test_text_without_tokenizer(self):
        self.refused([RONDO, "run", self.recurrent, "-p", "hello"], "recurrent.rpk", "tokenizer", "--tokens")

    def test_id_out_of_range(self):
        self.refused([RONDO, "run", self.recurrent, "--tokens", "1,999999"], "", "999999", "expected")

    def test_state_of_another_kind(self):
        tensors.write(self.path("bad"), {"position": ("I64", [], array.array("q", [3]))})
        self.refused([RONDO, "run", self.recurrent, "--tokens", "1", "--state-in", self.path("bad")], "bad", "expected")

    def test_state_that_is_no_file_of_tensors(self):
        with open(self.path("bad"), "w") as file:
            file.write("nothing")
        self.refused([RONDO, "run", self.recurrent, "--tokens", "1", "--state-in", self.path("bad"), "--state-out", os.path.join(self.out, "s")], "bad")


class Bytes(CommandTest):
    """The demo model: its vocabulary is the 256 byte values."""

    checkpoints = {"bytes": os.path.join(refusals.ROOT, "models", "demo")}

    def test_a_format_stands_around_the_prompt(self):
        plain = json.loads(self.rondo("run", self.bytes, "-p", "<u>\nlisp{x}</u>\n", "-n", "9", "--json").stdout)
        with_format = json.loads(self.rondo("run", self.bytes, "-p", "lisp{x}", "--format", "<u>\\n{prompt}</u>\\n", "-n", "9", "--json").stdout)
        self.assertEqual(with_format["prompt_tokens"], plain["prompt_tokens"])
        self.assertEqual(with_format["tokens"], plain["tokens"])
        self.refused([RONDO, "run", self.bytes, "-p", "a", "--format", "<u>"], "", "--format", "<u>", "expected \\{prompt\\}")
        self.refused([RONDO, "run", self.bytes, "-p", "a", "--format", "{prompt}{prompt}"], "", "--format", "twice")

    def test_score_is_the_mean_of_log_softmax(self):
        text = b"hacker\n n.\n\n    [originally, someone who makes furniture with an axe]\n"
        with open(self.path("text"), "wb") as file:
            file.write(text)
        score = json.loads(self.rondo("score", self.bytes, self.path("text"), "--json").stdout)
        _, shape, logits = self.eval(self.bytes, {"tokens": ("I64", [1, len(text)], array.array("q", list(text)))})["logits"]
        nats = 0
        for row, target in enumerate(text[1:]):
            values = logits[row * 256:(row + 1) * 256]
            nats += math.log(sum(math.exp(v) for v in values)) - values[target]
        self.assertEqual(score["predictions"], len(text) - 1)
        self.assertAlmostEqual(score["bits_per_byte"], nats / math.log(2) / (len(text) - 1), delta=CLOSE)
        self.assertAlmostEqual(score["perplexity"], math.exp(nats / (len(text) - 1)), delta=CLOSE * 10)

    def test_score_of_one_token(self):
        with open(self.path("text"), "wb") as file:
            file.write(b"x")
        self.refused([RONDO, "score", self.bytes, self.path("text")], "text", "expected at least 2")

    def test_text_is_the_bytes_generated(self):
        made = json.loads(self.rondo("run", self.bytes, "-p", "hacker", "-n", "20", "--json").stdout)
        self.assertEqual(made["text"], bytes(made["tokens"]).decode(errors="replace"))
        self.assertEqual(self.rondo("run", self.bytes, "-p", "hacker", "-n", "20").stdout, made["text"] + "\n")
        with open(self.path("prompt"), "w") as file:
            file.write("hacker")
        self.assertEqual(self.rondo("run", self.bytes, "--file", self.path("prompt"), "-n", "20").stdout, made["text"] + "\n")

    def test_bench_columns(self):
        table = self.rondo("bench", self.bytes, "-p", "16", "-n", "4", "-r", "2").stdout.splitlines()
        heads = [head.strip() for head in table[0].strip("|").split("|")]
        self.assertEqual(heads[:7], ["model", "size", "params", "backend", "threads", "test", "t/s"])
        self.assertEqual([line.split("|")[6].strip() for line in table[2:4]], ["pp16", "tg4"])
        runs = json.loads(self.rondo("bench", self.bytes, "-p", "16", "-n", "4", "-r", "2", "-o", "json").stdout)
        self.assertEqual([len(run["samples_ts"]) for run in runs], [2, 2])
        # 1.56 million parameters, as the folder's README says.
        self.assertAlmostEqual(runs[0]["model_n_params"] / 1e6, 1.56, delta=0.01)
        self.assertGreater(runs[1]["share_of_read_limit"], 0)
        csv = self.rondo("bench", self.bytes, "-p", "16", "-n", "0", "-r", "1", "-o", "csv").stdout.splitlines()
        self.assertEqual(len(csv), 2)

    def test_bench_kernels(self):
        runs = json.loads(self.rondo("bench", self.bytes, "-p", "16", "-n", "4", "-r", "1", "--kernels", "-o", "json").stdout)
        for run in runs:
            for kernel in run["kernels"]:
                self.assertGreater(kernel["seconds"], 0)
            self.assertTrue(any(k["kind"] == "scan" and k["flops"] > 0 for k in run["kernels"]))
            for kernel in run["kernels"]:
                self.assertEqual(kernel["predicted_seconds"] > 0, kernel["kind"] in ("product", "rows", "scan", "attend"), kernel)
        step = runs[1]
        weights = sum(k["bytes"] for k in step["kernels"] if k["kind"] == "product")
        flops = sum(k["flops"] for k in step["kernels"] if k["kind"] == "product")
        # One token: two operations for four bytes of a weight; bytes also count a row in and out.
        self.assertLess(flops / 2 * 4, weights)
        self.assertGreater(flops / 2 * 4, 0.5 * weights)
        # Three pieces: what is made of the last token alone is made in the last.
        pieces = json.loads(self.rondo("bench", self.bytes, "-p", "600", "-n", "0", "-r", "1", "--kernels", "-o", "json").stdout)[0]
        launches = {k["launches"] for k in pieces["kernels"] if k["kind"] == "product"}
        self.assertEqual(min(launches), 1)
        self.assertTrue(all(n == 1 or n % 3 == 0 for n in launches), launches)
        table = self.rondo("bench", self.bytes, "-p", "16", "-n", "0", "-r", "1", "--kernels").stdout
        self.assertIn("of limit", table)
        self.assertIn("predicted ms", table)

    def test_bench_of_a_module(self):
        spec = os.path.join(refusals.GOLDEN, "..", "recurrences", "gla.rondo")
        subprocess.run([RONDOC, spec, "-o", self.path("gla")], check=True, stdin=subprocess.DEVNULL)
        runs = json.loads(self.rondo("bench", self.path("gla"), "-p", "40", "-n", "3", "-r", "2", "-o", "json").stdout)
        self.assertEqual([run["test"] for run in runs], ["fw40", "st3"])
        self.assertEqual([len(run["samples_ts"]) for run in runs], [2, 2])

    def test_inspect(self):
        shown = json.loads(self.rondo("inspect", self.bytes, "--json", "--check").stdout)
        self.assertTrue(shown["weights_checked"])
        self.assertLessEqual({"forward", "prefill", "step", "score"}, {entry["name"] for entry in shown["entries"]})
        self.assertEqual(shown["cache_bytes_per_token"], 0)
        for word in ("forward", "prefill", "parameters", "hash"):
            self.assertIn(word, self.rondo("inspect", self.bytes).stdout)

    def test_inspect_finds_damaged_weights(self):
        with open(self.bytes, "rb") as file:
            damaged = bytearray(file.read())
        damaged[-100] ^= 1
        with open(self.path("damaged.rpk"), "wb") as file:
            file.write(damaged)
        self.rondo("inspect", self.path("damaged.rpk"))
        self.refused([RONDO, "inspect", self.path("damaged.rpk"), "--check"], "damaged.rpk", "weights", "expected")


class Verify(CommandTest):
    checkpoints = {"recurrent": os.path.join(refusals.GOLDEN, "mamba2_groups"), "window": os.path.join(refusals.GOLDEN, "mistral_window")}

    def test_all_forms_agree(self):
        for package in (self.recurrent, self.window):
            report = json.loads(self.rondo("verify", package, "--json").stdout)
            self.assertTrue(report["passed"])
            results = {line["comparison"]: line["result"] for line in report["comparisons"]}
            for form in ("interpreter in f64", "token by token", "step", "prefill", "packed", "loaded", "threads"):
                self.assertTrue(any(form in name and result == "pass" for name, result in results.items()), (form, results))
            # Of the recurrent one the forms are derived anew from the program that the package carries.
            for form in ("sequential", "chunk:16", "chunk:64"):
                self.assertEqual(results[f"token loop = recurrences as {form}, in f64"], "pass" if package == self.recurrent else "not applicable")

    def test_a_spec_is_compiled_first(self):
        spec = self.path("decay.rondo")
        with open(spec, "w") as file:
            file.write("size h = 2\nsize k = 3\nmodule decay(a[h], x[h k]) {\n  recur S[h k] = 0 { S = sigmoid(a) * S + x } yield y = S\n  return y\n}\n")
        report = json.loads(self.rondo("verify", spec, "--set", "k=5", "--json").stdout)
        self.assertTrue(report["passed"])
        forms = {line["comparison"].split(" as ")[-1]: line["result"] for line in report["comparisons"]}
        for form in ("sequential", "chunk:16", "chunk:64", "sequential, in f64", "chunk:16, in f64"):
            self.assertEqual(forms.get(form), "pass", forms)

    def test_a_spec_that_does_not_compile(self):
        spec = self.path("wrong.rondo")
        with open(spec, "w") as file:
            file.write("module wrong(x[d]) { return y }\n")
        self.refused([RONDO, "verify", spec], "wrong.rondo")


if __name__ == "__main__":
    refusals.unittest.main()
