// ApiTest.cpp - The C API gives what the classes under it give, and says what is wrong with an
// argument.

#include "runtime/rondo.h"
#include "test/runtime/Scratch.h"
#include "test/runtime/SmallModel.h"

#include <cmath>
#include <thread>

using namespace rondo;
using rondo::test::Scratch;
using rondo::test::width;

extern "C" int runFromC(const char *path, float *logits);

namespace {

class Api : public testing::Test {
protected:
  void SetUp() override {
    ASSERT_TRUE(test::writeSmall(path));
    ASSERT_EQ(rondo_open(path.c_str(), nullptr, &model), RONDO_OK) << rondo_last_error();
    ASSERT_EQ(rondo_state_new(model, &state), RONDO_OK);
  }
  void TearDown() override {
    rondo_state_free(state);
    rondo_close(model);
  }
  int run(rondo_state *on, std::vector<int64_t> tokens, std::vector<float> &out,
          const char *entry = "forward") {
    auto length = static_cast<int64_t>(tokens.size());
    int64_t rows = std::string(entry) == "forward" ? length : 1, inShape[] = {length},
            outShape[] = {rows, width};
    out.assign(static_cast<size_t>(rows) * width, -1);
    rondo_tensor in = {"tokens", RONDO_I64, 1, inShape, tokens.data()},
                 result = {"logits", RONDO_F32, 2, outShape, out.data()};
    return rondo_run(model, entry, &on, &length, 1, &in, 1, &result, 1);
  }
  template <class... Words> void failed(int result, const Words &...words) {
    EXPECT_EQ(result, RONDO_ERROR);
    for (std::string_view word : {std::string_view(words)...})
      EXPECT_NE(std::string_view(rondo_last_error()).find(word), std::string_view::npos)
          << rondo_last_error() << "\nexpected in it: " << word;
  }

  Scratch scratch;
  std::string path = scratch / "m.rpk";
  rondo_model *model = nullptr;
  rondo_state *state = nullptr;
};

} // namespace

TEST_F(Api, RunsFromC) {
  float logits[4];
  ASSERT_EQ(runFromC(path.c_str(), logits), 0) << rondo_last_error();
  auto expected = test::expectForward({1, 2, 3});
  for (size_t i = 0; i < 4; ++i)
    EXPECT_EQ(logits[i], 2 * expected[8 + i]);
}

TEST_F(Api, DescribesEntries) {
  EXPECT_STREQ(rondo_entry_name(model, 0), "forward");
  EXPECT_EQ(rondo_entry_name(model, 4), nullptr);
  rondo_value value;
  ASSERT_EQ(rondo_output(model, "forward", 0, &value), RONDO_OK);
  EXPECT_STREQ(value.name, "logits");
  EXPECT_EQ(value.dtype, RONDO_F32);
  ASSERT_EQ(value.rank, 2u);
  EXPECT_EQ(value.shape[0], -1);
  EXPECT_EQ(value.shape[1], width);
  EXPECT_STREQ(value.axes[1], "d");
  ASSERT_EQ(rondo_input(model, "forward", 0, &value), RONDO_OK);
  EXPECT_EQ(value.id_limit, test::vocabulary);
  failed(rondo_input(model, "forward", 1, &value), "index 1", "expected less than 1");
  failed(rondo_input(model, "train_step", 0, &value), "m.rpk", "'train_step'", "forward, prefill");
  EXPECT_STRNE(rondo_version(), "");
}

TEST_F(Api, StatesAreCopiedSavedAndLoaded) {
  std::vector<float> out, again;
  ASSERT_EQ(run(state, {1, 2, 3}, out), RONDO_OK) << rondo_last_error();
  EXPECT_EQ(rondo_state_position(state), 3);
  rondo_state *copy = nullptr;
  ASSERT_EQ(rondo_state_copy(state, &copy), RONDO_OK);
  ASSERT_EQ(rondo_state_save(state, (scratch / "s").c_str()), RONDO_OK) << rondo_last_error();
  ASSERT_EQ(run(state, {4, 5}, out), RONDO_OK);
  ASSERT_EQ(run(copy, {4, 5}, again), RONDO_OK);
  EXPECT_EQ(out, again);
  ASSERT_EQ(rondo_state_load(copy, (scratch / "s").c_str()), RONDO_OK) << rondo_last_error();
  EXPECT_EQ(rondo_state_position(copy), 3);
  ASSERT_EQ(run(copy, {4, 5}, again), RONDO_OK);
  EXPECT_EQ(out, again);
  auto expected = test::expectForward({1, 2, 3, 4, 5});
  EXPECT_EQ(out, std::vector<float>(expected.begin() + 12, expected.end()));
  failed(rondo_state_load(copy, (scratch / "none").c_str()), "none", "No such file");
  failed(rondo_state_reserve(copy, -1), "-1");
  rondo_state_free(copy);
}

TEST_F(Api, StatesOutliveTheirModel) {
  rondo_model *second = nullptr;
  rondo_state *survivor = nullptr;
  ASSERT_EQ(rondo_open(path.c_str(), nullptr, &second), RONDO_OK);
  ASSERT_EQ(rondo_state_new(second, &survivor), RONDO_OK);
  rondo_close(second);
  EXPECT_EQ(rondo_state_save(survivor, (scratch / "s").c_str()), RONDO_OK);
  rondo_state_free(survivor);
}

TEST_F(Api, GeneratesGreedily) {
  // What generation is: the likeliest token of each step, fed back.
  std::vector<int64_t> tokens{1, 2}, expected;
  for (int i = 0; i < 6; ++i) {
    auto rows = test::expectForward(tokens);
    auto last = rows.end() - width;
    expected.push_back(std::max_element(last, rows.end()) - last);
    tokens.push_back(expected.back());
  }
  int64_t prompt[] = {1, 2}, ids[6];
  size_t count = 0;
  std::vector<int64_t> seen;
  auto collect = [](void *context, int64_t id) {
    return static_cast<std::vector<int64_t> *>(context)->push_back(id), 0;
  };
  ASSERT_EQ(rondo_generate(model, state, prompt, 2, nullptr, 6, collect, &seen, ids, &count),
            RONDO_OK)
      << rondo_last_error();
  EXPECT_EQ(std::vector<int64_t>(ids, ids + count), expected);
  EXPECT_EQ(seen, expected);
  EXPECT_EQ(rondo_state_position(state), 2 + 5);

  // A callback ends it.
  auto stop = [](void *, int64_t) { return 1; };
  ASSERT_EQ(rondo_generate(model, state, ids + 5, 1, nullptr, 6, stop, nullptr, ids, &count),
            RONDO_OK);
  EXPECT_EQ(count, 1u);
}

TEST_F(Api, GenerationThatFailsLeavesTheState) {
  int64_t prompt[] = {1, 99}, ids[4];
  size_t count = 77;
  failed(rondo_generate(model, state, prompt, 2, nullptr, 4, nullptr, nullptr, ids, &count),
         "id 99", "0 to 15");
  failed(rondo_generate(model, state, prompt, 0, nullptr, 4, nullptr, nullptr, ids, &count),
         "prompt", "at least one");
  rondo_sampling sampling = {-1, 1, 1};
  failed(rondo_generate(model, state, prompt, 1, &sampling, 4, nullptr, nullptr, ids, &count),
         "temperature");
  EXPECT_EQ(count, 77u);
  EXPECT_EQ(rondo_state_position(state), 0);
}

TEST_F(Api, SaysWhatIsWrongWithATensor) {
  int64_t tokens[] = {1, 2}, length = 2, two[] = {2}, three[] = {3}, outShape[] = {2, width};
  float logits[8];
  rondo_tensor in = {"tokens", RONDO_I64, 1, two, tokens},
               out = {"logits", RONDO_F32, 2, outShape, logits};
  auto call = [&] { return rondo_run(model, "forward", &state, &length, 1, &in, 1, &out, 1); };
  ASSERT_EQ(call(), RONDO_OK) << rondo_last_error();
  in.shape = three;
  failed(call(), "input 'tokens'", "found I64 [3]", "expected I64 [2]");
  in.shape = two;
  in.dtype = RONDO_I32;
  failed(call(), "input 'tokens'", "found I32 [2]", "expected I64 [2]");
  in.dtype = static_cast<rondo_dtype>(99);
  failed(call(), "input 'tokens'", "unknown type");
  in.dtype = RONDO_I64;
  in.name = "ids";
  failed(call(), "input 'tokens' is missing", "expected I64 [2]");
  in.name = "tokens";
  in.data = nullptr;
  failed(call(), "input 'tokens'", "no data");
  in.data = tokens;
  length = -1;
  failed(call(), "length -1");
  length = 2;
  rondo_tensor twice[] = {in, in};
  failed(rondo_run(model, "forward", &state, &length, 1, twice, 2, &out, 1), "2 inputs",
         "expected 1 and 1");
  EXPECT_EQ(rondo_state_position(state), 2);
}

TEST_F(Api, NullsAreErrors) {
  rondo_model *unused = nullptr;
  int64_t length = 0;
  failed(rondo_open(nullptr, nullptr, &unused), "'path'", "null");
  failed(rondo_open(path.c_str(), nullptr, nullptr), "'model'", "null");
  failed(rondo_state_new(nullptr, &state), "'model'");
  failed(rondo_state_save(state, nullptr), "'path'");
  failed(rondo_run(model, nullptr, &state, &length, 1, nullptr, 0, nullptr, 0), "'entry'");
  failed(rondo_run(model, "forward", nullptr, &length, 1, nullptr, 0, nullptr, 0), "'states'");
  rondo_state *none = nullptr;
  failed(rondo_run(model, "forward", &none, &length, 1, nullptr, 0, nullptr, 0), "'states[i]'");
  rondo_close(nullptr);
  rondo_state_free(nullptr);
  EXPECT_EQ(rondo_state_position(nullptr), 0);
}

TEST_F(Api, OpeningABadFileSaysWhich) {
  scratch.write("bad.rpk", "nothing");
  rondo_model *unused = nullptr;
  failed(rondo_open((scratch / "bad.rpk").c_str(), nullptr, &unused), "bad.rpk", "expected");
  EXPECT_EQ(unused, nullptr);
  rondo_options options = {1, 0, "avx9000"};
  failed(rondo_open(path.c_str(), &options, &unused), "avx9000");
}

TEST_F(Api, TextNeedsATokenizer) {
  size_t count = 0;
  failed(rondo_encode(model, "a", 1, 1, nullptr, 0, &count), "m.rpk", "no tokenizer", "use ids");
  std::string bytes = scratch / "bytes.rpk";
  ASSERT_TRUE(test::writeSmall(bytes, [](package::PackageT &m) {
    for (auto &entry : m.entries)
      entry->inputs[0]->id_limit = 256; // as if its table were that large: nothing is run
  }));
  rondo_model *other = nullptr;
  ASSERT_EQ(rondo_open(bytes.c_str(), nullptr, &other), RONDO_OK);
  int64_t ids[2];
  char text[2];
  ASSERT_EQ(rondo_encode(other, "ab", 2, 1, ids, 2, &count), RONDO_OK) << rondo_last_error();
  EXPECT_EQ(count, 2u);
  EXPECT_EQ(ids[1], 'b');
  failed(rondo_encode(other, "abc", 3, 1, ids, 2, &count), "room for 2", "expected 3");
  EXPECT_EQ(count, 3u);
  ASSERT_EQ(rondo_decode(other, ids, 2, text, 2, &count), RONDO_OK);
  EXPECT_EQ(std::string(text, 2), "ab");
  failed(rondo_decode(other, ids, 2, text, 1, &count), "room for 1 bytes", "expected 2");
  rondo_close(other);
}

TEST_F(Api, CallsFromManyThreadsWaitForEachOther) {
  auto expected = test::expectForward({1, 2, 3, 4, 5});
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        rondo_state *own = nullptr;
        std::vector<float> out;
        if (rondo_state_new(model, &own) == RONDO_OK &&
            run(own, {1, 2, 3, 4, 5}, out) == RONDO_OK && out == expected)
          ++right;
        rondo_state_free(own);
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(right, 80);
}
