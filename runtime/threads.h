// threads.h - A small pool that shares out independent work items.

#ifndef RONDO_RUNTIME_THREADS_H
#define RONDO_RUNTIME_THREADS_H

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace rondo {

/// Memory that a job after the one at hand reads from end to end.
struct Ahead {
  const std::byte *bytes = nullptr;
  size_t size = 0;
};

/// Waiting threads spin for a bounded time (a launch follows the last one within microseconds) and
/// then sleep, so that a core taken by another process costs a wake-up, not a stall. Items are cut
/// into equal ranges, a few for each thread, side by side; whoever has done its own takes the next
/// of another's, the caller too, so that a thread which does not get a processor is not waited for,
/// and one that gets half of it takes half as many. While a thread waits it asks for the memory
/// that its ranges of the next large job begin with. Which thread computes an item never changes
/// its value: any number gives the same bits.
class ThreadPool {
public:
  /// `threads`: including the caller; 0 = one for each processor this process may use. `pinned`:
  /// thread i stays on processor i.
  explicit ThreadPool(int threads = 0, bool pinned = false);
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;

  int threads() const { return static_cast<int>(workers.size()) + 1; }

  /// Calls body(begin, end, worker) over [0, count) in ranges of at least `grain` items (fewer only
  /// where all are); `worker`, below threads(), is another one in every call at the same time. One
  /// caller at a time.
  void parallelFor(int64_t count, int64_t grain,
                   const std::function<void(int64_t, int64_t, int)> &body, Ahead ahead = {});

private:
  /// The parts of the job that one thread begins with: the end of them and the next that nobody has
  /// taken, in one word, so that both change together.
  struct alignas(64) Share {
    std::atomic<uint64_t> ticket{0};
  };
  /// What is asked for while waiting, a little at a time.
  struct Fetch {
    uintptr_t at = 0, end = 0;
    void some();
  };
  void work(int worker);
  void runParts(int worker);
  Fetch fetchOf(int worker) const;

  std::vector<std::thread> workers;
  std::vector<Share> shares; ///< one a thread
  const std::function<void(int64_t, int64_t, int)> *job = nullptr;
  int64_t items = 0;
  std::atomic<uint32_t> parts{0};
  // Either may be of the job before: a wrong address is asked for in vain.
  std::atomic<uintptr_t> aheadAt{0};
  std::atomic<size_t> aheadSize{0};
  alignas(64) std::atomic<uint32_t> epoch{0};
  alignas(64) std::atomic<uint32_t> pending{0}; ///< parts that are not done
  std::atomic<bool> stopping{false};
};

} // namespace rondo

#endif // RONDO_RUNTIME_THREADS_H
