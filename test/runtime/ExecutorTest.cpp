// ExecutorTest.cpp - However a batch is cut into pieces, calls and threads, each sequence gets the
// rows that it gets alone.

#include "runtime/executor.h"
#include "test/runtime/Scratch.h"
#include "test/runtime/SmallModel.h"

#include <atomic>
#include <cstring>
#include <random>

#include <cstdlib>
#include <new>

// Counts what the program allocates.
static std::atomic<int64_t> allocations = 0;
void *operator new(size_t size) {
  ++allocations;
  if (void *memory = std::malloc(size ? size : 1))
    return memory;
  throw std::bad_alloc();
}
void operator delete(void *memory) noexcept { std::free(memory); }
void operator delete(void *memory, size_t) noexcept { std::free(memory); }

using namespace rondo;
using rondo::test::expectError;
using rondo::test::Scratch;
using rondo::test::width;

namespace {

std::vector<int64_t> randomTokens(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<int64_t> tokens(count);
  for (int64_t &token : tokens)
    token = random() % test::vocabulary;
  return tokens;
}

class ExecutorTest : public testing::Test {
protected:
  void SetUp() override { start(1); }
  void start(int threads) {
    std::string path = scratch / "m.rpk";
    Status written = test::writeSmall(path);
    ASSERT_TRUE(written) << written.error().message;
    auto loaded = Program::load(*Package::open(path));
    ASSERT_TRUE(loaded) << loaded.error().message;
    program = *loaded;
    executor = std::make_unique<Executor>(program, std::make_shared<ThreadPool>(threads));
    use("forward");
  }
  void use(const char *name) { entry = program->entry(name); }
  State newState() { return *State::create(program); }

  /// Runs sequences at once; gives the outputs one after the other.
  Status run(std::vector<State *> states, const std::vector<std::vector<int64_t>> &sequences,
             std::vector<float> &out, int64_t piece = 0) {
    std::vector<int64_t> tokens, lengths;
    for (const auto &sequence : sequences) {
      tokens.insert(tokens.end(), sequence.begin(), sequence.end());
      lengths.push_back(static_cast<int64_t>(sequence.size()));
    }
    bool last = entry->outputs_in_last_space();
    out.assign((last ? sequences.size() : tokens.size()) * width + 1, -1);
    std::span<const std::byte> inputs[] = {std::as_bytes(std::span(tokens))};
    std::span<std::byte> outputs[] = {std::as_writable_bytes(std::span(out).first(out.size() - 1))};
    executor->limitPieces(piece);
    Status status = executor->run(*entry, states, lengths, inputs, outputs);
    EXPECT_EQ(out.back(), -1) << "wrote beyond its output";
    out.pop_back();
    return status;
  }
  std::vector<float> runOne(const std::vector<int64_t> &tokens, int64_t piece = 0) {
    State state = newState();
    std::vector<float> out;
    Status status = run({&state}, {tokens}, out, piece);
    EXPECT_TRUE(status) << status.error().message;
    EXPECT_EQ(state.position(), int64_t(tokens.size()));
    return out;
  }

  Scratch scratch;
  std::shared_ptr<const Program> program;
  std::unique_ptr<Executor> executor;
  const package::Entry *entry = nullptr;
};

} // namespace

TEST_F(ExecutorTest, ComputesTheModel) {
  for (size_t length : {0, 1, 2, 7, 8, 9, 16, 100}) {
    auto tokens = randomTokens(length, unsigned(length));
    EXPECT_EQ(runOne(tokens), test::expectForward(tokens)) << length;
  }
}

TEST_F(ExecutorTest, PiecesDoNotMatter) {
  auto tokens = randomTokens(150, 1);
  for (int64_t piece : {1, 2, 3, 5, 8, 100})
    EXPECT_EQ(runOne(tokens, piece), test::expectForward(tokens)) << piece;
}

TEST_F(ExecutorTest, CallsDoNotMatter) {
  auto tokens = randomTokens(200, 2);
  State state = newState();
  std::vector<float> all;
  std::mt19937 random(3);
  for (size_t at = 0; at < tokens.size();) {
    size_t count = std::min<size_t>(random() % 20, tokens.size() - at);
    std::vector<float> out;
    ASSERT_TRUE(
        run({&state}, {{tokens.begin() + long(at), tokens.begin() + long(at + count)}}, out));
    all.insert(all.end(), out.begin(), out.end());
    at += count;
  }
  EXPECT_EQ(all, test::expectForward(tokens));
}

TEST_F(ExecutorTest, ThreadsDoNotMatter) {
  auto tokens = randomTokens(100, 4);
  for (int threads : {2, 3, 7}) {
    start(threads);
    EXPECT_EQ(runOne(tokens), test::expectForward(tokens)) << threads;
  }
}

TEST_F(ExecutorTest, PackedSequencesDoNotSeeEachOther) {
  std::vector<std::vector<int64_t>> sequences;
  std::vector<State> states;
  std::vector<float> expected, out;
  for (size_t length : {3, 0, 1, 20, 0, 0, 8, 1, 1, 5}) {
    sequences.push_back(randomTokens(length, unsigned(sequences.size())));
    auto alone = test::expectForward(sequences.back());
    expected.insert(expected.end(), alone.begin(), alone.end());
  }
  for (int64_t piece : {0, 1, 3, 7}) {
    states.clear();
    std::vector<State *> pointers;
    for (size_t i = 0; i < sequences.size(); ++i)
      states.push_back(newState());
    for (State &state : states)
      pointers.push_back(&state);
    ASSERT_TRUE(run(pointers, sequences, out, piece));
    EXPECT_EQ(out, expected) << piece;
  }
}

TEST_F(ExecutorTest, LastRowsStandBesideEachOther) {
  use("prefill");
  std::vector<std::vector<int64_t>> sequences;
  for (size_t length : {3, 1, 0, 20, 8, 0, 0, 2})
    sequences.push_back(randomTokens(length, unsigned(length) + 10));
  for (int64_t piece : {0, 1, 5}) {
    std::vector<State> states;
    std::vector<State *> pointers;
    for (size_t i = 0; i < sequences.size(); ++i)
      states.push_back(newState());
    for (State &state : states)
      pointers.push_back(&state);
    std::vector<float> out;
    ASSERT_TRUE(run(pointers, sequences, out, piece));
    for (size_t i = 0; i < sequences.size(); ++i) {
      auto forward = test::expectForward(sequences[i]);
      for (size_t j = 0; j < width; ++j)
        EXPECT_EQ(out[i * width + j],
                  sequences[i].empty() ? 0 : 2 * forward[forward.size() - width + j])
            << i;
    }
  }
}

TEST_F(ExecutorTest, UnalignedCallersAreServed) {
  auto tokens = randomTokens(19, 5);
  std::vector<std::byte> in(tokens.size() * 8 + 8), out(tokens.size() * width * 4 + 8);
  std::memcpy(in.data() + 1, tokens.data(), tokens.size() * 8);
  State state = newState();
  State *states[] = {&state};
  int64_t lengths[] = {19};
  std::span<const std::byte> inputs[] = {std::span(in).subspan(1, tokens.size() * 8)};
  std::span<std::byte> outputs[] = {std::span(out).subspan(3, tokens.size() * width * 4)};
  ASSERT_TRUE(executor->run(*entry, states, lengths, inputs, outputs));
  auto expected = test::expectForward(tokens);
  EXPECT_EQ(std::memcmp(out.data() + 3, expected.data(), expected.size() * 4), 0);
}

TEST_F(ExecutorTest, RefusesSizesThatDoNotMatch) {
  std::vector<int64_t> tokens{1, 2, 3};
  std::vector<float> out(3 * width);
  State state = newState();
  State *states[] = {&state};
  auto refuse = [&](std::vector<int64_t> lengths, size_t inputBytes, size_t outputBytes,
                    const char *what, const char *expected) {
    std::span<const std::byte> inputs[] = {std::as_bytes(std::span(tokens)).first(inputBytes)};
    std::span<std::byte> outputs[] = {std::as_writable_bytes(std::span(out)).first(outputBytes)};
    expectError(executor->run(*entry, states, lengths, inputs, outputs), "forward", what, expected);
    EXPECT_EQ(state.position(), 0);
  };
  refuse({3}, 23, 48, "input 'tokens'", "expected 24");
  refuse({3}, 24, 47, "output 'logits'", "expected 48");
  refuse({2}, 24, 32, "input 'tokens'", "expected 16");
  refuse({-1}, 24, 48, "sequence 0", "-1");
  refuse({1, 2}, 24, 48, "1 states", "2 sequences");
  refuse({INT64_MAX}, 24, 48, "sequence 0", "9223372036854775807");
}

TEST_F(ExecutorTest, RefusesIdsOutOfRange) {
  State state = newState();
  std::vector<float> out;
  for (int64_t bad : {int64_t(16), int64_t(-1), INT64_MAX, INT64_MIN}) {
    expectError(run({&state}, {{1, 2, bad}}, out), "forward", "'tokens'", "element 2",
                std::to_string(bad).c_str(), "expected 0 to 15");
    EXPECT_EQ(state.position(), 0);
    EXPECT_EQ(out[0], -1);
  }
}

TEST_F(ExecutorTest, RefusesOneStateTwice) {
  State state = newState();
  std::vector<float> out;
  expectError(run({&state, &state}, {{1}, {2}}, out), "share one state");
  EXPECT_TRUE(run({&state}, {{1}}, out));
}

TEST_F(ExecutorTest, RefusesSplitsWhereATokenReadsLaterOnes) {
  use("whole");
  State a = newState(), b = newState();
  std::vector<float> out;
  ASSERT_TRUE(run({&a, &b}, {{1, 2, 3, 4, 5, 6}, {1, 2, 3, 4, 5, 6, 7, 8}}, out, 2));
  EXPECT_EQ(std::vector<float>(out.begin() + 6 * width, out.end()),
            test::expectForward({1, 2, 3, 4, 5, 6, 7, 8}));
  expectError(run({&a}, {{1}}, out), "whole", "cannot go on from a state");
}

/// The arena is planned for 8 rows, and a window's ring for pieces of 8: a sequence that must be in
/// one piece takes as many times that as it needs, and shorter ones go on.
TEST_F(ExecutorTest, AWholeSequenceMayBeLongerThanThePlan) {
  use("whole");
  std::vector<float> out;
  for (size_t length : {9u, 3u, 300u, 17u, 1000u}) {
    State a = newState(), b = newState();
    std::vector<int64_t> first = randomTokens(length, 1), second = randomTokens(7, 2);
    ASSERT_TRUE(run({&a, &b}, {first, second}, out, length + 7));
    std::vector<float> expected = test::expectForward(first), rest = test::expectForward(second);
    expected.insert(expected.end(), rest.begin(), rest.end());
    EXPECT_EQ(out, expected) << length;
  }
  use("forward");
  State c = newState();
  ASSERT_TRUE(run({&c}, {randomTokens(20, 3)}, out));
  EXPECT_EQ(out, test::expectForward(randomTokens(20, 3)));
}

TEST_F(ExecutorTest, AStepAllocatesNothing) {
  for (int threads : {1, 3}) {
    start(threads);
    State state = newState();
    ASSERT_TRUE(state.reserve(100));
    State *states[] = {&state};
    alignas(64) int64_t token = 1;
    alignas(64) float logits[width];
    int64_t lengths[] = {1};
    std::span<const std::byte> inputs[] = {std::as_bytes(std::span(&token, 1))};
    std::span<std::byte> outputs[] = {std::as_writable_bytes(std::span(logits))};
    for (const char *name : {"step", "forward"}) {
      use(name);
      ASSERT_TRUE(executor->run(*entry, states, lengths, inputs, outputs)); // prepares the entry
      size_t held = state.bytes();
      int64_t before = allocations;
      for (int i = 0; i < 40; ++i)
        if (!executor->run(*entry, states, lengths, inputs, outputs))
          FAIL();
      EXPECT_EQ(allocations - before, 0) << name << " on " << threads << " threads";
      EXPECT_EQ(state.bytes(), held);
    }
  }
}
