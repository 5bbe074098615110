#!/usr/bin/env python3
"""Asks the `tokenizers` library (PyPI, 0.23.3) what it makes of some texts when parts of byte_level.json are replaced.

    python3 test/runtime/tokenizers/make_variants.py

Writes variants.json beside this file: for each name the JSON merge patch (RFC 7396) of byte_level.json, and for each text the ids, without and
with special tokens around them, and the text of the ids. The tests read that file alone.
"""

import json
import os

from tokenizers import Tokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
CASED = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
SINGLE_DIGITS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SYMBOLS = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
TEXTS = [
    "", " ", "a", "Hello, world!", "The hacker's  guide\n\n  to the   galaxy.\t\r\n", "12345 67 8,901.5 and 0007", "don't DON'T we'll I'VE don\u017ft",
    "naïve café — “quotes” … 中文字符 日本語 🙂👩‍💻 ½ x² ٣٤ ³¹", "e\u0301 A\u030a s\u0323 \u1e63 ﬁ \u1e9b\u0323 \uac00 \u1100\u1161 \u0928\u093f\u0915\u093c \u2126",
    "xAbxAB  <|begin|>sys\u00a0<|end|> text <|end|><|begin|>\n", "x<|pad|>  y <|pad|><|pad|> \u3000<|pad|>", "word words wordword (word) word_ word\u0301 word1 word",
    "   leading and trailing   ", "program programs programming", "\u00a0\u2003spaces\u3000\u180ehere\u200b\u0085x", "snake_case kebab-case a__b é_é ३_३",
    "line one\nline two\n\nline  three \n", "a.b..c...d,,e;f", "$x+y<z>=^`|~ §¶†", "ABCdefGHI'll Iphone iPhone", "abbaabbaabbb ababab", "the the-the  the",
]


def split(pattern, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": pattern if isinstance(pattern, dict) else {"Regex": pattern}, "behavior": behavior, "invert": invert}


def sequence(*rules):
    return {"type": "Sequence", "pretokenizers": list(rules)}


def added(start, *tokens):
    return [{"id": start + i, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False, **token}
            for i, token in enumerate(tokens)]


def variants(base):
    """name -> patch"""
    vocabulary, known, end = base["model"]["vocab"], base["added_tokens"], 421  # ids go on where the base ends
    pre = lambda rule: {"pre_tokenizer": rule}
    # The library gives added tokens the ids after the vocabulary's number: ids stay without a gap.
    without = lambda *tokens: {**{token: None for token in tokens}, **{"\u2603" + token: vocabulary[token] for token in tokens}}
    result = {
        "cased": pre(sequence(split(CASED), BYTES)),
        "single_digits": pre(sequence(split(SINGLE_DIGITS), BYTES)),
        "symbols": pre(sequence(split(r"[\r\n]"), split(r"\s?\p{L}+"), split(SYMBOLS), {"type": "Digits", "individual_digits": True}, BYTES)),
        "rules_after_bytes": pre(sequence({"type": "Punctuation", "behavior": "Contiguous"}, {**BYTES, "use_regex": True},
                                          {"type": "Digits", "individual_digits": False}, split("[0-9][0-9][0-9]"))),
        "punctuation": pre(sequence({"type": "Punctuation", "behavior": "Isolated"}, BYTES)),
        "digits_together": pre(sequence({"type": "Digits", "individual_digits": False}, BYTES)),
        "prefix_of_pieces": pre(sequence(split(" ", "MergedWithNext"), {**BYTES, "add_prefix_space": True})),
        "prefix": pre({**BYTES, "add_prefix_space": True, "use_regex": True}),
        "bytes_alone": pre(BYTES),
        "words": pre(sequence(split(r"\w+|[^\w\s]+", "Removed", True), BYTES)),
        "not_words": pre(sequence(split(r"\W"), BYTES)),
        "spaces": pre(sequence(split(r"\s+"), BYTES)),
        "line_ends": pre(sequence(split(r"^l|.$"), BYTES)),
        "empty_matches": pre(sequence(split(r"(?=[aeiou])"), BYTES)),
        "maybe_empty": pre(sequence(split(r"b*"), BYTES)),
        "escapes": pre(sequence(split("\\u0061|\\x{e9}|[\\x41-\\x43]"), BYTES)),
        "nfc": {"normalizer": {"type": "NFC"}},
        "nfd": {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFD"}]}},
        "nfkc": {"normalizer": {"type": "NFKC"}},
        "nfkd": {"normalizer": {"type": "NFKD"}},
        "added_words": {"added_tokens": known + added(
            end, {"content": "word", "single_word": True}, {"content": "the", "lstrip": True}, {"content": " the-", "rstrip": True},
            {"content": "program"}, {"content": "programs"}, {"content": "abb", "rstrip": True}, {"content": "abba"}, {"content": "  "})},
        "added_normalized": {"normalizer": {"type": "NFC"}, "added_tokens": known + added(
            end, {"content": "s\u0323", "normalized": True}, {"content": "A\u030a"}, {"content": "Hello, world", "normalized": True}, {"content": "Hello"})},
        "template": {"post_processor": {"type": "TemplateProcessing", "pair": [], "single": [
            {"SpecialToken": {"id": "<|begin|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<|end|>", "type_id": 0}}],
            "special_tokens": {name: {"id": name, "ids": [vocabulary[name]], "tokens": [name]} for name in ("<|begin|>", "<|end|>")}}},
        "whole_pieces": {"model": {"ignore_merges": True}},
        "no_merges": {"model": {"merges": []}},
        "no_merges_whole_pieces": {"model": {"merges": [], "ignore_merges": True}},
        "unknown": {"model": {"unk_token": "<|end|>", "merges": [], "vocab": without("e", "l", "o")}},
        "unknown_fused": {"model": {"unk_token": "<|end|>", "fuse_unk": True, "merges": [], "vocab": without("e", "l", "o")}},
    }
    for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        for invert in (False, True):
            name = behavior.lower() + ("_inverted" if invert else "")
            result[name] = pre(sequence(split(r"[a.\s]", behavior, invert), BYTES))
            result[name + "_text"] = pre(sequence(split({"String": "b."}, behavior, invert), split({"String": "b"}, behavior, invert), BYTES))
    return result


def patched(value, patch):
    if not isinstance(patch, dict):
        return patch
    value = dict(value) if isinstance(value, dict) else {}
    for key, change in patch.items():
        if change is None:
            value.pop(key, None)
        else:
            value[key] = patched(value.get(key), change)
    return value


def main():
    with open(os.path.join(HERE, "byte_level.json"), encoding="utf-8") as file:
        base = json.load(file)
    result = {"texts": TEXTS, "variants": {}}
    for name, patch in variants(base).items():
        tokenizer = Tokenizer.from_str(json.dumps(patched(base, patch)))
        encoded = [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]
        result["variants"][name] = {"patch": patch, "ids": encoded, "framed": [tokenizer.encode(text).ids for text in TEXTS],
                                    "text": [tokenizer.decode(ids) for ids in encoded],
                                    "with_specials": [tokenizer.decode(ids, skip_special_tokens=False) for ids in encoded]}
        if result["variants"][name]["framed"] == encoded:
            del result["variants"][name]["framed"]
        if result["variants"][name]["with_specials"] == result["variants"][name]["text"]:
            del result["variants"][name]["with_specials"]
    with open(os.path.join(HERE, "variants.json"), "w", encoding="utf-8") as file:
        json.dump(result, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
