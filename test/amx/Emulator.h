// Emulator.h - Tile registers for machines that have none.
//
// Where a processor has no AMX, each of its instructions ends in SIGILL. The handler installed here
// carries them out on registers of the thread's own and goes on behind them. What it does is what
// Intel's manual says of each (Software Developer's Manual, volume 2, and volume 1, chapter 18);
// what a processor would refuse ends the program with a line on stderr.

#ifndef RONDO_TEST_AMX_EMULATOR_H
#define RONDO_TEST_AMX_EMULATOR_H

#include <cstdint>

namespace rondo::test {

/// Instructions carried out so far, by all threads: ldtilecfg, sttilecfg, tilerelease, tilezero,
/// tileloadd and tileloaddt1, tilestored, products of bf16, products of bytes of any signs. They
/// stay 0 where the processor has tile registers.
struct TileCounts {
  uint64_t configurations, configurationsRead, releases, zeros, loads, stores, pairs, quads;
};
TileCounts tileCounts();

/// Installs the handler, again where another one has taken its place. Other illegal instructions go
/// to the handler before it, or end the program.
void emulateTiles();

/// Does so where the processor has no tile registers, and tells the runtime that it has
/// (runtime/cpu.h).
void provideTileLevel();

} // namespace rondo::test

#endif // RONDO_TEST_AMX_EMULATOR_H
