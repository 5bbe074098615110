// A spec never crashes the compiler: real specs with tokens dropped, doubled, swapped or replaced
// either compile or are refused with a message.

#include "frontend/Frontend.h"
#include "frontend/Lexer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

using namespace rondo;

namespace {
const std::string root = RONDO_SOURCE_DIR;

std::string read(const std::string &path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// The text with the token at one index changed in one of five ways.
std::string mutate(const std::string &text, const std::vector<Token> &tokens,
                   std::mt19937 &random) {
  auto offsetOf = [&](const Token &token) {
    size_t at = 0;
    for (unsigned line = 1; line < token.place.line; ++line)
      at = text.find('\n', at) + 1;
    return at + token.place.column - 1;
  };
  size_t count = tokens.size() - 1;
  size_t i = random() % (count - 1);
  size_t begin = offsetOf(tokens[i]), end = offsetOf(tokens[i + 1]);
  std::string token = text.substr(begin, end - begin);
  size_t j = random() % (count - 1);
  size_t otherBegin = offsetOf(tokens[j]);
  std::string other = text.substr(otherBegin, offsetOf(tokens[j + 1]) - otherBegin);
  switch (random() % 5) {
  case 0:
    return text.substr(0, begin) + text.substr(end);
  case 1:
    return text.substr(0, end) + token + text.substr(end);
  case 2:
    return text.substr(0, begin) + other + " " + text.substr(end);
  case 3:
    return text.substr(0, begin); // cut short
  default:
    return text.substr(0, begin) + static_cast<char>(random() % 256) + text.substr(begin);
  }
}

void run(const std::string &spec, std::vector<std::pair<std::string, std::string>> sets,
         unsigned rounds, unsigned mutations) {
  std::string text = read(root + "/" + spec);
  ASSERT_FALSE(text.empty()) << spec;
  SourceFiles files;
  DiagnosticSink quiet;
  std::vector<Token> tokens = lex(*files.add(spec, text), quiet);
  std::string path = testing::TempDir() + "mutated.rondo";
  unsigned refused = 0;
  for (unsigned round = 0; round < rounds; ++round) {
    std::mt19937 random(round);
    std::string changed = text;
    for (unsigned m = 0; m < mutations; ++m) {
      std::vector<Token> now = m ? lex(*files.add(spec, changed), quiet) : tokens;
      if (now.size() > 4)
        changed = mutate(changed, now, random);
    }
    std::ofstream(path, std::ios::binary) << changed;
    SpecOptions options;
    options.path = path;
    options.importDirs = {root + "/models"};
    options.sets = sets;
    mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
    DiagnosticSink sink;
    auto module = buildTokenLevel(context, options, sink);
    EXPECT_EQ(!module, sink.failed()) << spec << ", round " << round << "\n" << sink.text();
    // Found by a check of the front end, not by the verifier of what it built.
    EXPECT_EQ(sink.text().find("op "), std::string::npos) << spec << ", round " << round << "\n"
                                                          << sink.text();
    refused += !module;
  }
  EXPECT_GT(refused, rounds / 4) << spec;
}
} // namespace

TEST(MutatedSpecs, Recurrences) {
  for (const char *spec : {"ssd", "delta_rule", "slstm", "two_states"})
    run(std::string("test/recurrences/") + spec + ".rondo", {}, 80, 1);
}

TEST(MutatedSpecs, Models) {
  run("models/mamba2.rondo",
      {{"layers", "2"}, {"d", "32"}, {"h", "4"}, {"p", "16"}, {"vocab", "64"}}, 80, 1);
  run("models/llama.rondo",
      {{"layers", "2"}, {"d", "32"}, {"h", "4"}, {"f", "48"}, {"vocab", "64"}}, 80, 1);
}

TEST(MutatedSpecs, Features) {
  for (const char *spec : {"over", "axes", "recur", "functions"})
    run(std::string("test/frontend/") + spec + ".rondo", {}, 80, 1);
}

TEST(MutatedSpecs, ManyChanges) { run("test/frontend/over.rondo", {}, 80, 5); }
