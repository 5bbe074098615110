#!/usr/bin/env python3
"""Trains small tokenizers that are not byte-level with the `tokenizers` library (PyPI, 0.23.3) and writes what it makes of some texts.

    python3 test/runtime/tokenizers/make_pieces.py TEXT

Writes NAME.json (a tokenizer.json) and pieces.json beside this file: for each name and text the ids, and the text of the ids. The tests read these
files alone.
"""

import json
import os
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
TEXTS = [
    "", " ", "a", "Hello, world!", "The hacker's  guide\n\n  to the   galaxy.\t\r\n", "12345 67 8,901.5", "don't DON'T we'll I'VE",
    "naïve café — “quotes” … 中文字符 日本語 🙂👩‍💻 ½ ٣٤ ÀÉÎ İstanbul Straße ŒUVRE", "[CLS] hi [SEP] [MASK]ed", "<s>one</s> two<s> three",
    "   leading and trailing   ", "a" * 120, "program programs programming", "\u00a0\u2003spaces\u3000\u200bzero\u0085x\ufffd\x00\x07y",
    "e\u0301 A\u030a s\u0323 \u1e63 ﬁ \u1e9b\u0323 \uac00 \u1100\u1161 \u2126 ㎏ １２３", "$x+y<z>=^`|~ §¶†", "I am. You are ? yes ! do not n't it 's",
    "ΣΊΣΥΦΟΣ ǅ", "snake_case kebab-case a__b", "the", " the", "thethe", "▁the ▁", "<0x41> <0xZZ>",
]


def finish(name, tokenizer):
    path = os.path.join(HERE, name + ".json")
    tokenizer.save(path, pretty=False)
    tokenizer = Tokenizer.from_file(path)
    ids = [tokenizer.encode(text).ids for text in TEXTS]
    return {"ids": ids, "text": [tokenizer.decode(i) for i in ids], "with_specials": [tokenizer.decode(i, skip_special_tokens=False) for i in ids]}


def wordpiece(text):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(text, trainers.WordPieceTrainer(
        vocab_size=300, show_progress=False, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return finish("wordpiece", tokenizer)


def unigram(text):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " "), normalizers.Lowercase(),
                                                 normalizers.Strip()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    tokenizer.train_from_iterator(text, trainers.UnigramTrainer(vocab_size=280, show_progress=False, special_tokens=["<pad>", "<s>", "</s>", "<unk>"],
                                                                unk_token="<unk>"))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    return finish("unigram", tokenizer)


def fallback(text):
    """As SentencePiece's BPE is written out: whole texts, spaces as characters, bytes for what has no token."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"(?<=\S)(?=▁)"), "isolated")  # for training alone
    specials = ["<unk>", "<s>", "</s>"]
    tokenizer.train_from_iterator(text, trainers.BpeTrainer(vocab_size=460, show_progress=False, special_tokens=specials + [f"<0x{b:02X}>" for b in range(256) if b != 0xE3]))
    path = os.path.join(HERE, "fallback.json")
    tokenizer.save(path)
    with open(path) as file:
        loaded = json.load(file)
    loaded["pre_tokenizer"] = None
    loaded["added_tokens"] = [token for token in loaded["added_tokens"] if token["content"] in specials]
    with open(path, "w") as file:
        json.dump(loaded, file, ensure_ascii=False)
    tokenizer = Tokenizer.from_file(path)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return finish("fallback", tokenizer)


def main():
    with open(sys.argv[1], encoding="utf-8", errors="replace") as file:
        text = file.read()[:40000].split("\n\n")
    expected = {"texts": TEXTS, "wordpiece": wordpiece(text), "unigram": unigram(text), "fallback": fallback(text)}
    with open(os.path.join(HERE, "pieces.json"), "w") as file:
        json.dump(expected, file)


if __name__ == "__main__":
    main()
