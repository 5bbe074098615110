/*===- abi.h - What a compiled kernel and the runtime agree on ----*- C -*-===//
 *
 * A kernel is a C function over a range of independent work items. It allocates nothing, calls
 *nothing and keeps nothing between calls. Rows are the tokens of all sequences of a batch, one
 *sequence after the other (packed); a kernel that only works row by row does not look further than
 *`rows`.
 *
 *===----------------------------------------------------------------------===*/

#ifndef RONDO_RUNTIME_ABI_H
#define RONDO_RUNTIME_ABI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RONDO_ABI_VERSION 1

/* One piece of a batch. Each sequence may carry tokens of earlier pieces in its state. */
typedef struct rondo_batch {
  int64_t rows;             /* tokens in this piece, over all sequences                     0 */
  int64_t sequences;        /*                                                              8 */
  const int64_t *row_begin; /* [sequences + 1] first row of each sequence; last = rows     16 */
  const int64_t *position;  /* [sequences] tokens of the sequence before this piece        24 */
  const int32_t
      *sequence_of_row; /* [rows]                                                      32 */
  char *const *state;   /* [sequences] the sequence's fixed state block                40 */
  char *const *cache;   /* [sequences * caches] the sequence's caches, row-major       48 */
  const int64_t *cache_capacity; /* [sequences * caches] in tokens; token p lives in slot p mod
                                    capacity   56 */
  int64_t caches; /* caches of one sequence                                      64 */
} rondo_batch;

/* What a kernel is called with. Operands come in the order inputs, states, outputs of the kernel's
 * record: a tensor's operand is the address of its first element (a multiple of the element's size;
 * weights and what kernels hand to each other: of 64); a fixed or tail state's is its byte offset in
 * the sequence's block; a cache's is its index. */
typedef struct rondo_call {
  void *const *operands;    /* 0 */
  const rondo_batch *batch; /* 8 */
} rondo_call;

/* Runs work items [begin, end). `scratch` is this worker's own, of the size in the kernel's record,
 * 64-byte aligned. */
typedef void (*rondo_kernel)(const rondo_call *call, int64_t begin, int64_t end, void *scratch);

#ifdef __cplusplus
}
#endif

#endif /* RONDO_RUNTIME_ABI_H */
