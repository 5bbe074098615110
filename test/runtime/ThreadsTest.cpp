// ThreadsTest.cpp - Every item runs exactly once, for any count, grain and number of threads.

#include "runtime/threads.h"

#include <gtest/gtest.h>
#include <mutex>
#include <set>
#include <unistd.h>

using namespace rondo;

TEST(Threads, EveryItemRunsOnce) {
  for (int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (int64_t count : {0, 1, 2, 7, 8, 9, 1000})
      for (int64_t grain : {1, 3, 2000}) {
        std::vector<std::atomic<int>> ran(static_cast<size_t>(count));
        pool.parallelFor(count, grain, [&](int64_t begin, int64_t end, int worker) {
          EXPECT_GE(worker, 0);
          EXPECT_LT(worker, threads);
          for (int64_t i = begin; i < end; ++i)
            ++ran[static_cast<size_t>(i)];
        });
        for (auto &times : ran)
          EXPECT_EQ(times, 1);
      }
  }
}

TEST(Threads, GrainLimitsWorkers) {
  ThreadPool pool(4);
  std::mutex mutex;
  std::set<int> workers;
  pool.parallelFor(10, 5, [&](int64_t, int64_t, int worker) {
    std::lock_guard lock(mutex);
    workers.insert(worker);
  });
  EXPECT_LE(workers.size(), 2u);
}

/// Each thread begins with ranges of its own, where the memory is that it asked for ahead.
TEST(Threads, ThreadsBeginFarApart) {
  ThreadPool pool(2);
  std::vector<std::byte> weights(1 << 20);
  std::atomic<int64_t> first[2] = {-1, -1};
  std::atomic<int64_t> sum = 0;
  pool.parallelFor(64, 1,
                   [&](int64_t begin, int64_t end, int worker) {
                     int64_t none = -1;
                     first[worker].compare_exchange_strong(none, begin);
                     while (first[0] < 0 ||
                            first[1] < 0) // or the other would be done with both halves
                       ::usleep(10);
                     sum += end - begin;
                   },
                   {weights.data(), weights.size()});
  EXPECT_EQ(first[0], 0);
  EXPECT_EQ(first[1], 32);
  EXPECT_EQ(sum, 64);
}

TEST(Threads, ManyLaunchesAfterSleep) {
  ThreadPool pool(3, /*pin=*/false);
  std::atomic<int64_t> sum = 0;
  for (int round = 0; round < 2000; ++round) {
    if (round % 500 == 0)
      ::usleep(20000); // workers fall asleep and must be woken
    pool.parallelFor(30, 1, [&](int64_t begin, int64_t end, int) { sum += end - begin; });
  }
  EXPECT_EQ(sum, 60000);
}

TEST(Threads, PinnedPoolWorks) {
  // The caller is pinned as well: in a thread of its own, not to pin the tests.
  std::thread([] {
    ThreadPool pool(2, /*pin=*/true);
    std::atomic<int64_t> sum = 0;
    pool.parallelFor(5, 1, [&](int64_t begin, int64_t end, int) { sum += end - begin; });
    EXPECT_EQ(sum, 5);
  }).join();
}
