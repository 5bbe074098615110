#!/usr/bin/env python3
"""Trains small SentencePiece models (PyPI sentencepiece, 0.2.3) and writes what that library makes of some texts.

    python3 test/runtime/tokenizers/make_models.py TEXT

Writes NAME.model and models.json beside this file: for each name and text the ids, and the text of the ids where none is unknown. The tests read these files alone.
"""

import json
import os
import sys
import tempfile

import sentencepiece

from make_pieces import TEXTS

HERE = os.path.dirname(os.path.abspath(__file__))
KINDS = {
    # as of Llama 2: bytes to fall back on, every space kept
    "sp_bpe": {"model_type": "bpe", "vocab_size": 420, "byte_fallback": True, "normalization_rule_name": "identity", "remove_extra_whitespaces": False,
               "character_coverage": 0.995},
    # as of T5: a character map, neighbouring spaces become one, what has no piece is unknown
    "sp_unigram": {"model_type": "unigram", "vocab_size": 300, "normalization_rule_tsv": "map.tsv", "character_coverage": 0.995},
    "sp_plain": {"model_type": "bpe", "vocab_size": 300, "normalization_rule_name": "identity", "add_dummy_prefix": False, "character_coverage": 0.99},
}


def main():
    result = {"texts": [t for t in TEXTS if "<s>" not in t and "\0" not in t and "<0x" not in t]}
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        rules = [("\t", " "), ("\n", " "), ("\r", ""), ("\u00a0", " "), ("\ufb01", "fi"), ("\uff11", "1"), ("\u00e9", "e"), ("e\u0301", "e")]
        with open("map.tsv", "w") as file:
            for source, target in rules:
                file.write(" ".join(f"{ord(c):X}" for c in source) + "\t" + " ".join(f"{ord(c):X}" for c in target) + "\n")
        for name, options in KINDS.items():
            sentencepiece.SentencePieceTrainer.train(input=sys.argv[1], model_prefix=name, minloglevel=2, **options)
            os.replace(name + ".model", os.path.join(HERE, name + ".model"))
            processor = sentencepiece.SentencePieceProcessor(model_file=os.path.join(HERE, name + ".model"))
            ids = [processor.encode(text) for text in result["texts"]]
            result[name] = {"ids": ids, "text": [None if processor.unk_id() in i else processor.decode(i) for i in ids]}
    with open(os.path.join(HERE, "models.json"), "w") as file:
        json.dump(result, file, ensure_ascii=True)
        file.write("\n")


if __name__ == "__main__":
    main()
