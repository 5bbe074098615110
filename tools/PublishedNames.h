//===- PublishedNames.h - What another file format calls settings and tensors -*- C++ -*-===//
//
// Tables in models/gguf/*.names say how the settings and tensors of a GGUF file are those of a
// published class, for which there is a spec. A table has one statement a line, `//` begins a
// comment, {x} stands for letters without a point, the same ones on both sides, and * at a
// setting's beginning for the file's general.architecture:
//
//   gguf ARCHITECTURE for CLASS
//   import FILE.names                 what is not said here; what is said first counts
//   KEY = VALUE | VALUE ...           a key of config.json: the first value that there is
//   NAME <- TENSOR [CHANGE ...]       a tensor of the checkpoint
//   - <- TENSOR                       nothing to read
//
//   VALUE   a setting's name; A / B, a quotient of two; numbers(TENSOR), a list; extent(TENSOR, N);
//           of a list with a number for every layer largest(SETTING) and kinds(SETTING, A, B),
//           the names A where it is 0 and B elsewhere; or JSON. Behind it `if TENSOR`: only where
//           there is that tensor.
//   CHANGE  pairs SETTING ...      rows of heads, as many as the first setting there is, hold pairs
//                                  that are neighbours: to be halves
//           row N                  of the first axis
//           split SETTING          the last axis in parts of so many
//           flat                   one axis
//           log_negative, less_one each number x is to be log(-x), x - 1
//
//===----------------------------------------------------------------------===//

#pragma once

#include "runtime/gguf.h"

#include <memory>
#include <string>
#include <vector>

namespace rondo {

/// A line of a table, for messages.
struct TableLine {
  std::string file;
  int number = 0;
};

class PublishedNames {
public:
  /// The table for an architecture among `folder`/*.names. Nothing where none is for it.
  static Result<std::unique_ptr<PublishedNames>> find(const std::string &folder,
                                                      const std::string &architecture);
  /// Architectures that some table in `folder` is for, sorted.
  static std::vector<std::string> known(const std::string &folder);

  const std::string &className() const { return published; }
  /// The config that the published checkpoint would have, and the file's own settings of less than
  /// a few hundred numbers.
  Result<Json> config(const GgufFile &file) const;
  /// The published tensors. Those that are changed are in `made`; the others are views of the file.
  Result<std::vector<TensorView>> tensors(const GgufFile &file, std::vector<Tensor> &made) const;

private:
  struct Setting {
    TableLine line;
    std::string key;
    std::vector<std::string> values;
  };
  struct Rule {
    TableLine line;
    std::string to, from;
    std::vector<std::string> changes;
  };
  Status read(const std::string &folder, const std::string &name, int depth);
  Result<Json> valueOf(const GgufFile &file, const Setting &setting, std::string value) const;
  std::string settingName(const std::string &name) const;
  Result<int64_t> positive(const GgufFile &file, const Rule &rule,
                           const std::vector<std::string> &names) const;
  Result<TensorView> changed(const GgufFile &file, const Rule &rule, TensorView view,
                             std::vector<Tensor> &made) const;

  std::string architecture, published;
  std::vector<Setting> settings;
  std::vector<Rule> rules;
};

} // namespace rondo
