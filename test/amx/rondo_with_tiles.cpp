// rondo_with_tiles.cpp - The program `rondo`, on a machine that has tile registers if need be by
// emulation.

#include "test/amx/Emulator.h"

namespace {
const bool isProvided = (rondo::test::provideTileLevel(), true);
} // namespace
