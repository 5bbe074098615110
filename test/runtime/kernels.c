/* kernels.c - Hand-written kernels in the shape that code generation emits, for tests of the runtime without a compiler.
 *
 * The model they make up, with ids in [0, 16) and width 4:
 *   x    = table[token]                                       embed, per row
 *   S    = S / 2 + x, y = S                                   scan, a fixed state per sequence
 *   e    = x + x of the token two before                      shift, a tail of 2 rows
 *   sums = sum of x over all tokens, of x over the last 3     sums, two caches
 *   out  = y + e * 1000 + all * 10 + window + position / 16   finish
 */

#include "runtime/abi.h"

enum { d = 4 };

static int64_t sequenceOf(const rondo_batch *b, int64_t row) { return b->sequence_of_row[row]; }
static int64_t positionOf(const rondo_batch *b, int64_t row) {
  int64_t s = sequenceOf(b, row);
  return b->position[s] + row - b->row_begin[s];
}

/* tokens, table -> x; items: rows */
void embed(const rondo_call *call, int64_t begin, int64_t end, void *scratch) {
  const int64_t *tokens = call->operands[0];
  const float *table = call->operands[1];
  float *x = call->operands[2];
  for (int64_t row = begin; row < end; ++row)
    for (int i = 0; i < d; ++i)
      x[row * d + i] = table[tokens[row] * d + i];
}

/* x, S -> y; items: sequences * d */
void scan(const rondo_call *call, int64_t begin, int64_t end, void *scratch) {
  const rondo_batch *b = call->batch;
  const float *x = call->operands[0];
  int64_t offset = (int64_t)call->operands[1];
  float *y = call->operands[2], *work = scratch;
  for (int64_t item = begin; item < end; ++item) {
    int64_t s = item / d, i = item % d;
    float *state = (float *)(b->state[s] + offset);
    *work = state[i];
    for (int64_t row = b->row_begin[s]; row < b->row_begin[s + 1]; ++row)
      y[row * d + i] = *work = *work / 2 + x[row * d + i];
    state[i] = *work;
  }
}

/* x, tail -> e; items: rows in pairs */
void shift(const rondo_call *call, int64_t begin, int64_t end, void *scratch) {
  const rondo_batch *b = call->batch;
  const float *x = call->operands[0];
  int64_t offset = (int64_t)call->operands[1];
  float *e = call->operands[2];
  int64_t last = end * 2 < b->rows ? end * 2 : b->rows;
  for (int64_t row = begin * 2; row < last; ++row) {
    int64_t s = sequenceOf(b, row), earlier = row - b->row_begin[s] - 2;
    const float *tail = (const float *)(b->state[s] + offset);
    for (int i = 0; i < d; ++i)
      e[row * d + i] = x[row * d + i] + (earlier >= 0 ? x[(row - 2) * d + i] : tail[(earlier + 2) * d + i]);
  }
}

static float sumOf(const rondo_batch *b, int64_t s, int64_t cache, int64_t first, int64_t last, int i) {
  const float *rows = (const float *)b->cache[s * b->caches + cache];
  int64_t capacity = b->cache_capacity[s * b->caches + cache];
  float sum = 0;
  for (int64_t p = first < 0 ? 0 : first; p <= last; ++p)
    sum += rows[p % capacity * d + i];
  return sum;
}

/* y, e, all, window -> out; items: rows */
void finish(const rondo_call *call, int64_t begin, int64_t end, void *scratch) {
  const rondo_batch *b = call->batch;
  const float *y = call->operands[0], *e = call->operands[1];
  float *out = call->operands[4];
  for (int64_t row = begin; row < end; ++row)
    for (int i = 0; i < d; ++i) {
      int64_t s = sequenceOf(b, row), p = positionOf(b, row);
      out[row * d + i] = y[row * d + i] + e[row * d + i] * 1000 + sumOf(b, s, (int64_t)call->operands[2], 0, p, i) * 10 +
                         sumOf(b, s, (int64_t)call->operands[3], p - 2, p, i) + (float)p / 16;
    }
}

/* In the space of last rows: in -> out * 2. */
void twice(const rondo_call *call, int64_t begin, int64_t end, void *scratch) {
  const float *in = call->operands[0];
  float *out = call->operands[1];
  for (int64_t i = begin * d; i < end * d; ++i)
    out[i] = in[i] * 2;
}
