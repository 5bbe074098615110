// MachineRead.h - How fast this machine reads memory: the limit of generating text one token at a
// time.

#ifndef RONDO_TOOLS_RONDO_MACHINEREAD_H
#define RONDO_TOOLS_RONDO_MACHINEREAD_H

#include "runtime/threads.h"

#include <cstddef>

namespace rondo::cli {

/// Bytes a second at which `pool` reads a buffer of `bytes` again and again: what fits a cache is
/// read from it, as a model of that size would be. 0 when there is no memory for the buffer.
double measureReadBandwidth(ThreadPool &pool, size_t bytes);

} // namespace rondo::cli

#endif // RONDO_TOOLS_RONDO_MACHINEREAD_H
