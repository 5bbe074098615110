//===- ScanInputs.h - A scan's bodies read what they are given --*- C++ -*-===//

#pragma once

#include "dialect/Rondo.h"

namespace rondo {

/// Erases ops of a scan's bodies that nothing reads, then inputs that neither body reads.
void pruneScan(ScanOp scan);

/// Takes the block body away: the scan runs token by token.
void makeSequential(ScanOp scan);

} // namespace rondo
