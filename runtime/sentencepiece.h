// sentencepiece.h - A SentencePiece .model (a protocol buffer: pieces with scores, and how text is
// normalized) as the tokenizer.json that says the same.
//
// The format: https://github.com/google/sentencepiece, src/sentencepiece_model.proto. Unigram and
// BPE models are read, with bytes to fall back on, character maps, and what becomes of spaces; what
// would change ids otherwise is refused by name. Control pieces are found in a text, as the
// published tokenizer.json of such models have it.

#ifndef RONDO_RUNTIME_SENTENCEPIECE_H
#define RONDO_RUNTIME_SENTENCEPIECE_H

#include "runtime/error.h"

#include <string>
#include <string_view>

namespace rondo {

/// `model`: the file's bytes; `place` stands for the file in messages. `config`: the text of the
/// tokenizer_config.json beside it, or empty; its add_bos_token and add_eos_token say what frames a
/// text (absent: nothing does, as in the .model itself).
Result<std::string> tokenizerJsonOf(std::string_view model, const std::string &place,
                                    std::string_view config = {});

} // namespace rondo

#endif // RONDO_RUNTIME_SENTENCEPIECE_H
