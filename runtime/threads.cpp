// threads.cpp - A small pool that shares out independent work items.

#include "runtime/threads.h"

#include <algorithm>
#include <sched.h>
#include <unistd.h>

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

/// Half of the cache that belongs to a core.
static size_t mostFetched() {
#ifdef _SC_LEVEL2_CACHE_SIZE
  static const long size = sysconf(_SC_LEVEL2_CACHE_SIZE);
  if (size > 0)
    return static_cast<size_t>(size) / 2;
#endif
  return size_t(128) << 10;
}

void ThreadPool::Fetch::some() {
  constexpr uintptr_t line = 64;
  for (int i = 0; i < 4 && at < end; ++i, at += line)
    __builtin_prefetch(reinterpret_cast<const void *>(at), /*write=*/0, /*locality=*/2);
}

ThreadPool::Fetch ThreadPool::fetchOf(int worker) const {
  size_t size = aheadSize.load(std::memory_order_relaxed);
  size_t own = size / static_cast<size_t>(threads());
  uintptr_t at = aheadAt.load(std::memory_order_relaxed) + own * static_cast<size_t>(worker);
  return {at, at + std::min(own, mostFetched())};
}

ThreadPool::ThreadPool(int threads, bool pinned)
    : shares(static_cast<size_t>(threads > 0 ? threads : usableProcessors())) {
  int count = static_cast<int>(shares.size());
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

static uint64_t ticketOf(uint64_t next, uint64_t end) { return end << 32 | next; }
static uint64_t endOf(uint64_t ticket) { return ticket >> 32; }
static uint64_t nextOf(uint64_t ticket) { return ticket & 0xffffffff; }

void ThreadPool::runParts(int worker) {
  for (size_t other = 0; other < shares.size(); ++other) {
    auto owner = (static_cast<size_t>(worker) + other) % shares.size();
    std::atomic<uint64_t> &ticket = shares[owner].ticket;
    uint64_t now = ticket.load(std::memory_order_acquire);
    while (nextOf(now) < endOf(now)) {
      if (!ticket.compare_exchange_weak(now, now + 1, std::memory_order_acq_rel,
                                        std::memory_order_acquire))
        continue;
      // Taking a part keeps the job: it is over when all its parts are.
      auto part = static_cast<int64_t>(nextOf(now));
      auto all = static_cast<int64_t>(parts.load(std::memory_order_relaxed));
      (*job)(items * part / all, items * (part + 1) / all, worker);
      if (pending.fetch_sub(1, std::memory_order_acq_rel) == 1)
        pending.notify_one();
      now = ticket.load(std::memory_order_acquire);
    }
  }
}

void ThreadPool::work(int worker) {
  uint32_t seen = 0;
  while (true) {
    uint32_t now = epoch.load(std::memory_order_acquire);
    Fetch fetch = fetchOf(worker);
    for (int i = 0; now == seen && i < spins; ++i) {
      fetch.some();
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
                             const std::function<void(int64_t, int64_t, int)> &body, Ahead ahead) {
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
  aheadAt.store(reinterpret_cast<uintptr_t>(ahead.bytes), std::memory_order_relaxed);
  aheadSize.store(ahead.size, std::memory_order_relaxed);
  parts.store(static_cast<uint32_t>(wanted), std::memory_order_relaxed);
  pending.store(static_cast<uint32_t>(wanted), std::memory_order_relaxed);
  auto cut = static_cast<uint64_t>(wanted), all = static_cast<uint64_t>(threads());
  for (uint64_t i = 0; i < all; ++i)
    shares[i].ticket.store(ticketOf(cut * i / all, cut * (i + 1) / all), std::memory_order_release);
  epoch.fetch_add(1, std::memory_order_release);
  epoch.notify_all();
  runParts(0);
  uint32_t left = pending.load(std::memory_order_acquire);
  Fetch fetch = fetchOf(0);
  for (int i = 0; left && i < spins; ++i) {
    fetch.some();
    pause();
    left = pending.load(std::memory_order_acquire);
  }
  while (left) {
    pending.wait(left, std::memory_order_acquire);
    left = pending.load(std::memory_order_acquire);
  }
}

} // namespace rondo
