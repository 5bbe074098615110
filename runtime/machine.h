// machine.h - What this machine can do at most: arithmetic and reading, measured, and the sizes of
// its caches. The limits against which `rondo bench` holds its figures.

#ifndef RONDO_RUNTIME_MACHINE_H
#define RONDO_RUNTIME_MACHINE_H

#include "runtime/error.h"
#include "runtime/executor.h"
#include "runtime/threads.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace rondo {

/// Reading a buffer of `bytes` again and again by all threads, in bytes/s.
struct ReadSpeed {
  uint64_t bytes = 0;
  double bytesPerSecond = 0;
};

/// Peaks count a multiply and an add as two operations, operations/s of all threads together; 0
/// where the processor has no such instruction.
struct MachineDescription {
  std::string processor;
  std::string isa; ///< the best level of the instruction set, as in supportedIsas()
  int threads = 1;
  uint64_t firstCache = 0, secondCache = 0, lastCache = 0; ///< data, bytes; 0: not known
  double f32Peak = 0;                                      ///< fused multiply-add on whole vectors
  double bf16Peak = 0; ///< pairs of bf16 summed into f32 (AVX512_BF16, AMX_BF16)
  double int8Peak = 0; ///< quads of 8-bit integers summed into 32 bits (AVX512_VNNI, AMX_INT8)
  double besides = 0;  ///< how many of as many additions cost nothing: 1 where they have pipes
                       ///< of their own, 0 where they take those of the multiply-adds
  double launch = 0;   ///< seconds to share out work that takes no time
  std::vector<ReadSpeed> reads; ///< from small to large
};

/// Cycles a second of one core, each of which begins two vector multiply-adds: what estimates of a
/// package count. 0 where no peak is known.
double cyclesPerSecond(const MachineDescription &machine);

/// A buffer that the threads of `pool` read from end to end, each its part, as they would read the
/// weights of a model of that size: what fits a cache is read from it.
class ReadProbe {
public:
  /// The pool must live as long. `bytes` are rounded up to whole vectors of every thread.
  ReadProbe(ThreadPool &pool, size_t bytes);

  /// Bytes a second of one more reading, of a small buffer of several; 0 when there was no memory
  /// for the buffer.
  double pass();

private:
  ThreadPool &pool;
  size_t part; ///< bytes of a thread
  AlignedBytes buffer;
};

/// Takes about two seconds. Each figure is the best of several: other processes only ever make one
/// smaller.
MachineDescription measureMachine(ThreadPool &pool);

/// Where descriptions are kept: $XDG_CACHE_HOME/rondo, or ~/.cache/rondo; empty when neither is
/// set.
std::string machineCacheFolder();

/// The description of this processor with that many threads from `folder`, measured and written
/// there when there is none, when it cannot be read, or when `again` asks for it. A folder that
/// cannot be written to is no error: the description is measured each time.
MachineDescription describeMachine(ThreadPool &pool, const std::string &folder, bool again = false);

/// "model name" of /proc/cpuinfo.
std::string processorName();

} // namespace rondo

#endif // RONDO_RUNTIME_MACHINE_H
