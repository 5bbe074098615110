//===- PackedAhead.cpp - Weights packed while others are written ----------===//

#include "tools/PackedAhead.h"

#include <algorithm>

using namespace rondo;

/// Of weights that are packed and not taken; one is packed whatever its size.
static constexpr uint64_t mostHeld = uint64_t(1) << 30;

PackedAhead::PackedAhead(std::vector<size_t> indices, std::vector<uint64_t> sizes, Pack pack)
    : indices(std::move(indices)), sizes(std::move(sizes)), pack(std::move(pack)) {
  size_t count =
      std::min<size_t>(std::max(1u, std::thread::hardware_concurrency()), this->indices.size());
  for (size_t i = 0; i < count; ++i)
    threads.emplace_back([this] { work(); });
}

PackedAhead::~PackedAhead() {
  {
    std::lock_guard lock(mutex);
    stopping = true;
  }
  changed.notify_all();
  for (std::thread &thread : threads)
    thread.join();
}

void PackedAhead::work() {
  std::unique_lock lock(mutex);
  while (true) {
    // Begun in the order in which they are taken: the next one to be taken never waits for room.
    changed.wait(lock, [&] {
      return stopping || begun == indices.size() || held == 0 || held + sizes[begun] <= mostHeld;
    });
    if (stopping || begun == indices.size())
      return;
    size_t own = begun++;
    held += sizes[own];
    lock.unlock();
    Result<Bytes> bytes = pack(indices[own]);
    lock.lock();
    ready.emplace(own, std::move(bytes));
    changed.notify_all();
  }
}

Result<PackedAhead::Bytes> PackedAhead::next() {
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return ready.contains(taken); });
  Result<Bytes> bytes = std::move(ready.at(taken));
  ready.erase(taken);
  held -= sizes[taken++];
  changed.notify_all();
  return bytes;
}
