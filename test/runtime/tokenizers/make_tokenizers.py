#!/usr/bin/env python3
"""Trains three small tokenizers with the `tokenizers` library (PyPI, 0.23.3) and writes what it makes of some texts.

    python3 test/runtime/tokenizers/make_tokenizers.py TEXT

Writes NAME.json (a tokenizer.json) and expected.json beside this file: for each name and text the ids. The tests read these files alone.
"""

import json
import os
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
DIGITS_IN_THREES = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
TEXTS = [
    "", " ", "a", "Hello, world!", "The hacker's  guide\n\n  to the   galaxy.\t\r\n", "12345 67 8,901.5", "don't DON'T we'll I'VE",
    "naïve café — “quotes” … 中文字符 日本語 🙂👩‍💻 ½ ٣٤", "<|begin|>system<|end|> text <|end|><|begin|>", "x<|pad|>  y", "   leading and trailing   ",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "program programs programming", "\u00a0\u2003spaces\u3000", "the", " the", "thethe",
]


def train(name, pre, text, trainer_options=None, finish=None, ignore_merges=False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
                                  special_tokens=["<|begin|>", "<|end|>"], **(trainer_options or {}))
    tokenizer.train_from_iterator(text.split("\n\n"), trainer)
    tokenizer.add_tokens([AddedToken("<|pad|>", lstrip=True, rstrip=True, normalized=False)])
    if finish:
        finish(tokenizer)
    tokenizer.save(os.path.join(HERE, name + ".json"), pretty=False)
    return {"ids": [tokenizer.encode(t).ids for t in TEXTS], "text": [tokenizer.decode(tokenizer.encode(t).ids) for t in TEXTS]}


def main():
    with open(sys.argv[1], encoding="utf-8", errors="replace") as file:
        text = file.read()[:60000]
    expected = {"texts": TEXTS}
    expected["byte_level"] = train("byte_level", pre_tokenizers.ByteLevel(add_prefix_space=False), text)

    def frame(tokenizer):
        begin = tokenizer.token_to_id("<|begin|>")
        tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
            single="<|begin|> $A", special_tokens=[("<|begin|>", begin)])])
    split = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(DIGITS_IN_THREES), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    expected["threes"] = train("threes", split, text, finish=frame, ignore_merges=True)

    def normalize(tokenizer):
        tokenizer.normalizer = normalizers.NFC()
    digits = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=True)])
    expected["digits"] = train("digits", digits, text, finish=normalize)
    # Merges as strings, as older files have them.
    path = os.path.join(HERE, "digits.json")
    with open(path) as file:
        loaded = json.load(file)
    loaded["model"]["merges"] = [" ".join(pair) for pair in loaded["model"]["merges"]]
    with open(path, "w") as file:
        json.dump(loaded, file, ensure_ascii=False)
    with open(os.path.join(HERE, "expected.json"), "w") as file:
        json.dump(expected, file)


if __name__ == "__main__":
    main()
