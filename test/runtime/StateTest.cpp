// StateTest.cpp - A state that was copied, saved and loaded, or put back goes on as the one it was
// taken from.

#include "runtime/executor.h"
#include "runtime/safetensors.h"
#include "test/runtime/Scratch.h"
#include "test/runtime/SmallModel.h"

#include <functional>

using namespace rondo;
using rondo::test::expectError;
using rondo::test::Scratch;
using rondo::test::width;

namespace {

class StateTest : public testing::Test {
protected:
  void SetUp() override {
    std::string path = scratch / "m.rpk";
    ASSERT_TRUE(test::writeSmall(path));
    program = *Program::load(*Package::open(path));
    executor = std::make_unique<Executor>(program, std::make_shared<ThreadPool>(1));
    for (int64_t i = 0; i < 90; ++i)
      tokens.push_back((i * i + 3) % test::vocabulary);
    expected = test::expectForward(tokens);
  }
  State after(int64_t count) {
    State state = *State::create(program);
    go(state, 0, count);
    return state;
  }
  /// Runs tokens [begin, end) and compares with what the whole sequence gives there.
  void go(State &state, int64_t begin, int64_t end) {
    std::vector<float> out(static_cast<size_t>(end - begin) * width);
    State *states[] = {&state};
    int64_t lengths[] = {end - begin};
    std::span<const std::byte> inputs[] = {std::as_bytes(
        std::span(tokens).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)))};
    std::span<std::byte> outputs[] = {std::as_writable_bytes(std::span(out))};
    Status status = executor->run(*program->entry("forward"), states, lengths, inputs, outputs);
    ASSERT_TRUE(status) << status.error().message;
    EXPECT_EQ(out,
              std::vector<float>(expected.begin() + begin * width, expected.begin() + end * width));
  }
  /// The saved state with one tensor changed is refused.
  template <class... Words>
  void refused(const std::function<void(std::vector<Tensor> &)> &change, const Words &...words) {
    State state = after(5);
    std::vector<Tensor> tensors = *state.save();
    change(tensors);
    expectError(load(state, tensors), "s.safetensors", words...);
    go(state, 5, 9); // as if nothing had been tried
  }
  /// By way of a file.
  Status load(State &state, const std::vector<Tensor> &tensors) {
    std::string path = scratch / "s.safetensors";
    RONDO_CHECK(writeTensors(path, std::span<const Tensor>(tensors)));
    RONDO_TAKE(TensorFile file, TensorFile::open(path));
    return state.load(file.tensors(), path);
  }

  Scratch scratch;
  std::shared_ptr<const Program> program;
  std::unique_ptr<Executor> executor;
  std::vector<int64_t> tokens;
  std::vector<float> expected;
};

using Tensors = std::vector<Tensor> &;

} // namespace

TEST_F(StateTest, CopiesAreIndependent) {
  State state = after(10);
  State copied = state;
  go(state, 10, 90);
  go(copied, 10, 50);
  EXPECT_EQ(copied.position(), 50);
  EXPECT_EQ(state.position(), 90);
}

TEST_F(StateTest, IsRewoundByPuttingACopyBack) {
  State state = after(33);
  State kept = state;
  go(state, 33, 60);
  state = kept;
  go(state, 33, 90);
}

TEST_F(StateTest, IsSavedAndLoaded) {
  for (int64_t count : {0, 1, 2, 3, 12, 64, 65, 80}) {
    State state = after(7); // loading replaces what was there
    Status loaded = load(state, *after(count).save());
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_EQ(state.position(), count);
    go(state, count, 90);
  }
}

TEST_F(StateTest, SavesItsParts) {
  std::vector<Tensor> parts = *after(20).save();
  ASSERT_EQ(parts.size(), 5u);
  EXPECT_EQ(parts[0].name, "position");
  EXPECT_EQ(parts[1].shape, (std::vector<int64_t>{4}));
  EXPECT_EQ(parts[2].shape, (std::vector<int64_t>{2, 4}));
  EXPECT_EQ(parts[3].shape, (std::vector<int64_t>{20, 4}));
  EXPECT_EQ(parts[4].shape, (std::vector<int64_t>{3, 4}));
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(parts[2].as<float>()[i],
              test::smallTable()[static_cast<size_t>(tokens[18]) * 4 + i]); // oldest first
    EXPECT_EQ(parts[4].as<float>()[i], test::smallTable()[static_cast<size_t>(tokens[17]) * 4 + i]);
  }
}

TEST_F(StateTest, StartsFromAGivenState) {
  // The tail and S after 20 tokens, put into a new state: only caches and position are missing.
  State state = *State::create(program);
  Tensor S = *makeTensor("mixer.S", DType::F32, {4});
  S.as<float>()[0] = 64;
  ASSERT_TRUE(state.set("mixer.S", S.view()));
  EXPECT_EQ((*state.save())[1].as<float>()[0], 64);
  expectError(state.set("mixer.all", S.view()), "'mixer.all'", "cache");
  expectError(state.set("mixer.none", S.view()), "'mixer.none'");
  Tensor wrong = *makeTensor("mixer.S", DType::F32, {5});
  expectError(state.set("mixer.S", wrong.view()), "'mixer.S'", "[5]", "expected F32 [4]");
}

/// What attention kernels rely on: a tile of 64 tokens never wraps, and a piece can be appended
/// without losing the window.
TEST_F(StateTest, CachesAreMultiplesOfATile) {
  State state = *State::create(program);
  ASSERT_TRUE(state.reserve(1));
  size_t small = state.bytes();
  EXPECT_EQ((small - 128) % (64 * 16), 0u);
  ASSERT_TRUE(state.reserve(1000));
  // The full cache: 1000 tokens rounded up to 1024; the ring: 3 + 8 + 64 rounded up to 128.
  EXPECT_EQ(state.bytes(), 128u + (1024 + 128) * 16);
  EXPECT_EQ(stateBytes(program->manifest(), 1000), state.bytes());
}

/// A window's cache stops growing, the other one grows with the sequence, by no more than an
/// eighth.
TEST_F(StateTest, CachesGrowAsPredicted) {
  const package::Package &manifest = program->manifest();
  State state = *State::create(program);
  for (int64_t total = 1; total <= 100000; total += total / 3 + 1) {
    ASSERT_TRUE(state.reserve(total));
    int64_t needed = 128 + ((total + 63) / 64 + (total > 64 ? 2 : 1)) * 64 * 16;
    EXPECT_GE(state.bytes(), static_cast<size_t>(needed)) << total;
    EXPECT_LE(state.bytes(), static_cast<size_t>(needed + needed / 8 + 64 * 16)) << total;
    EXPECT_EQ(stateBytes(manifest, total), static_cast<uint64_t>(needed)) << total;
  }
}

TEST_F(StateTest, GrowingKeepsWhatIsThere) {
  State state = after(60);
  ASSERT_TRUE(state.reserve(1000000));
  State copy = state;
  EXPECT_EQ(copy.bytes(), state.bytes());
  go(state, 60, 75);
  go(copy, 60, 90);
  go(state, 75, 90);
}

TEST_F(StateTest, ReservedRoomIsEnough) {
  State state = after(3);
  ASSERT_TRUE(state.reserve(87));
  go(state, 3, 90);
}

TEST_F(StateTest, RefusesRoomThatDoesNotFit) {
  State state = after(3);
  expectError(state.reserve(int64_t(1) << 62), "state", "expected at most");
  expectError(state.reserve(-1), "found -1");
  go(state, 3, 9);
}

TEST_F(StateTest, RefusesAMissingTensor) {
  refused([](Tensors t) { t[2].name = "other"; }, "'mixer.shift' is missing");
}
TEST_F(StateTest, RefusesAFurtherTensor) {
  refused([](Tensors t) { t.push_back(*makeTensor("more", DType::F32, {1})); }, "found 6 tensors",
          "expected 5");
}
TEST_F(StateTest, RefusesAnotherShape) {
  refused(
      [](Tensors t) {
        t[1] = *makeTensor("mixer.S", DType::F32, {2, 2});
      },
      "'mixer.S'", "[2, 2]", "expected F32 [4]");
}
TEST_F(StateTest, RefusesAnotherType) {
  refused([](Tensors t) { t[1] = *makeTensor("mixer.S", DType::I32, {4}); }, "'mixer.S'",
          "found I32", "expected F32");
}
TEST_F(StateTest, RefusesAPositionThatNoCacheBacks) {
  refused([](Tensors t) { t[0].as<int64_t>()[0] = 1 << 30; }, "'mixer.all'",
          "expected F32 [1073741824, 4]");
}
TEST_F(StateTest, RefusesANegativePosition) {
  refused([](Tensors t) { t[0].as<int64_t>()[0] = -1; }, "position", "found -1");
}
TEST_F(StateTest, RefusesAHugePosition) {
  refused([](Tensors t) { t[0].as<int64_t>()[0] = INT64_MAX; }, "position", "from 0 to");
}
TEST_F(StateTest, RefusesAPositionOfReals) {
  refused([](Tensors t) { t[0] = *makeTensor("position", DType::F32, {1}); }, "position", "I64");
}
