// threads.cpp - A small pool that shares out independent work items.

#include "runtime/threads.h"

#include <algorithm>
#include <sched.h>

namespace rondo {

// About 20 microseconds: longer than the gap between two launches of a decode step, shorter than a
// scheduler's slice.
static constexpr int spins = 4000;

// Ranges for each thread: enough that threads of unequal speed finish together, few enough that
// taking them costs nothing.
static constexpr int64_t partsOfThread = 4;

static void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

static int usableProcessors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

static void pinTo(int index) {
  cpu_set_t usable, one;
  if (sched_getaffinity(0, sizeof usable, &usable) != 0)
    return;
  int seen = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &usable) && seen++ == index) {
      CPU_ZERO(&one);
      CPU_SET(cpu, &one);
      sched_setaffinity(0, sizeof one, &one);
      return;
    }
}

ThreadPool::ThreadPool(int threads, bool pinned) {
  int count = threads > 0 ? threads : usableProcessors();
  for (int i = 1; i < count; ++i)
    workers.emplace_back([this, i, pinned] {
      if (pinned)
        pinTo(i);
      work(i);
    });
  if (pinned)
    pinTo(0);
}

ThreadPool::~ThreadPool() {
  stopping = true;
  epoch.fetch_add(1, std::memory_order_release);
  epoch.notify_all();
  for (std::thread &worker : workers)
    worker.join();
}

// The job's parts and the next one that nobody has taken, in one word, so that both change
// together.
static uint64_t ticketOf(uint64_t parts) { return parts << 32; }
static uint64_t partsOf(uint64_t ticket) { return ticket >> 32; }
static uint64_t nextOf(uint64_t ticket) { return ticket & 0xffffffff; }

void ThreadPool::runParts(int worker) {
  uint64_t now = ticket.load(std::memory_order_acquire);
  while (nextOf(now) < partsOf(now)) {
    if (!ticket.compare_exchange_weak(now, now + 1, std::memory_order_acq_rel,
                                      std::memory_order_acquire))
      continue;
    // Taking a part keeps the job: it is over when all its parts are.
    auto part = static_cast<int64_t>(nextOf(now)), parts = static_cast<int64_t>(partsOf(now));
    (*job)(items * part / parts, items * (part + 1) / parts, worker);
    if (pending.fetch_sub(1, std::memory_order_acq_rel) == 1)
      pending.notify_one();
    now = ticket.load(std::memory_order_acquire);
  }
}

void ThreadPool::work(int worker) {
  uint32_t seen = 0;
  while (true) {
    uint32_t now = epoch.load(std::memory_order_acquire);
    for (int i = 0; now == seen && i < spins; ++i) {
      pause();
      now = epoch.load(std::memory_order_acquire);
    }
    while (now == seen) {
      epoch.wait(seen, std::memory_order_acquire);
      now = epoch.load(std::memory_order_acquire);
    }
    seen = now;
    if (stopping)
      return;
    runParts(worker);
  }
}

void ThreadPool::parallelFor(int64_t count, int64_t grain,
                             const std::function<void(int64_t, int64_t, int)> &body) {
  if (count <= 0)
    return;
  int64_t most = std::max<int64_t>(1, count / std::max<int64_t>(1, grain));
  int64_t wanted = threads() == 1 ? 1 : std::min<int64_t>(most, threads() * partsOfThread);
  if (wanted == 1) {
    body(0, count, 0);
    return;
  }
  job = &body;
  items = count;
  pending.store(static_cast<uint32_t>(wanted), std::memory_order_relaxed);
  ticket.store(ticketOf(static_cast<uint64_t>(wanted)), std::memory_order_release);
  epoch.fetch_add(1, std::memory_order_release);
  epoch.notify_all();
  runParts(0);
  uint32_t left = pending.load(std::memory_order_acquire);
  for (int i = 0; left && i < spins; ++i) {
    pause();
    left = pending.load(std::memory_order_acquire);
  }
  while (left) {
    pending.wait(left, std::memory_order_acquire);
    left = pending.load(std::memory_order_acquire);
  }
}

} // namespace rondo
