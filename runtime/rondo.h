/*===- rondo.h - Run Rondo packages from C and whatever calls C ---*- C -*-===//
 *
 * A model is an opened package (.rpk); a state is what it remembers of one sequence. An entry of
 *the model maps rows of inputs to rows of outputs and advances the states of the sequences that the
 *rows belong to.
 *
 *   rondo_model *model;
 *   rondo_state *state;
 *   if (rondo_open("model.rpk", NULL, &model) || rondo_state_new(model, &state))
 *     return fprintf(stderr, "%s\n", rondo_last_error()), 1;
 *   int64_t tokens[3] = {1, 2, 3}, length = 3, in_shape[1] = {3}, out_shape[2] = {1, 50288};
 *   rondo_tensor in = {"tokens", RONDO_I64, 1, in_shape, tokens};
 *   rondo_tensor out = {"logits", RONDO_F32, 2, out_shape, logits};
 *   rondo_run(model, "prefill", &state, &length, 1, &in, 1, &out, 1);
 *
 * Functions that can fail return RONDO_OK (0) or RONDO_ERROR (1); rondo_last_error() then says
 *which file or argument, what was found and what was expected. A call that fails has changed
 *nothing that it was given. No C++ exception leaves a function.
 *
 * Threads: different models may be used from different threads at once. Calls on one model and its
 *states wait for each other.
 *
 * A package holds native code. Hashes find damage, not malice: open only packages that you trust as
 *you would trust a program.
 *
 *===----------------------------------------------------------------------===*/

#ifndef RONDO_RUNTIME_RONDO_H
#define RONDO_RUNTIME_RONDO_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { RONDO_OK = 0, RONDO_ERROR = 1 };

typedef struct rondo_model rondo_model;
typedef struct rondo_state rondo_state;

typedef enum rondo_dtype {
  RONDO_F32 = 0,
  RONDO_F64 = 1,
  RONDO_BF16 = 2,
  RONDO_F16 = 3,
  RONDO_I8 = 4,
  RONDO_I32 = 5,
  RONDO_I64 = 6,
  RONDO_U8 = 7
} rondo_dtype;

/* Why the last failed call of this thread failed; valid until its next call that fails. Never null.
 */
const char *rondo_last_error(void);
/* "0.1.0" */
const char *rondo_version(void);

/*===- Models ---------------------------------------------------------------===*/

typedef struct rondo_options {
  int threads; /* 0: one for each processor that this process may use */
  int pin;     /* not 0: threads stay on their processors */
  const char
      *isa; /* at most this level, one of cpu.h's; null: the best that machine and package have */
} rondo_options;

/* Opens and verifies a package, loads its code and starts its threads. `options` may be null. */
int rondo_open(const char *path, const rondo_options *options, rondo_model **model);
/* States stay usable after the model was closed; null is ignored. */
void rondo_close(rondo_model *model);

/* The entries: "forward", "prefill", "step", "score", as far as the package has them. Null beyond
 * the last. */
const char *rondo_entry_name(const rondo_model *model, size_t index);

/* One input or output of an entry. Pointers live as long as the model. */
typedef struct rondo_value {
  const char *name;
  rondo_dtype dtype;
  size_t rank;          /* of shape */
  int64_t shape[17];    /* -1 for the rows, then the extents of its axes */
  const char *axes[17]; /* their names; the first is "t" */
  int64_t id_limit;     /* of ids: each is at least 0 and less than this; 0: no ids */
} rondo_value;
/* Fails when there is no such entry, or `index` is beyond its last value. */
int rondo_input(const rondo_model *model, const char *entry, size_t index, rondo_value *value);
int rondo_output(const rondo_model *model, const char *entry, size_t index, rondo_value *value);

/*===- States ---------------------------------------------------------------===*/

/* The state before a sequence's first token. */
int rondo_state_new(rondo_model *model, rondo_state **state);
/* An independent copy: to rewind to, or as the start of many sequences that share one. */
int rondo_state_copy(const rondo_state *state, rondo_state **copy);
/* Null is ignored. */
void rondo_state_free(rondo_state *state);
/* Tokens seen. */
int64_t rondo_state_position(const rondo_state *state);
/* Room for so many further tokens, so that running them allocates nothing. */
int rondo_state_reserve(rondo_state *state, int64_t tokens);
/* A safetensors file with one tensor a state, under its name in the spec, and `position`. */
int rondo_state_save(const rondo_state *state, const char *path);
int rondo_state_load(rondo_state *state, const char *path);

/*===- Running --------------------------------------------------------------===*/

typedef struct rondo_tensor {
  const char *name;
  rondo_dtype dtype;
  size_t rank;
  const int64_t
      *shape; /* [rows, axes...]: all tokens of all sequences, one sequence after the other */
  void *data; /* row-major; fastest where each row begins at a multiple of 64 bytes */
} rondo_tensor;

/* Runs an entry on `sequences` sequences, of which sequence i has lengths[i] tokens (0 is allowed)
 * and goes on from states[i] (all different). Each of the entry's inputs and outputs is given once,
 * in any order. Outputs have the rows of the inputs; of entries over last tokens (prefill, step)
 * they have one row a sequence, zeros where it has no token. Allocates only where a state must grow
 * (rondo_state_reserve). */
int rondo_run(rondo_model *model, const char *entry, rondo_state *const *states,
              const int64_t *lengths, size_t sequences, const rondo_tensor *inputs,
              size_t input_count, const rondo_tensor *outputs, size_t output_count);

/*===- Text -----------------------------------------------------------------===*/

/* Ids of a text of `size` bytes, by the package's tokenizer (or its byte values). Sets *count to
 * how many there are; fails when that is more than `capacity`. `framed`: not 0 with the special
 * tokens that begin a sequence. */
int rondo_encode(const rondo_model *model, const char *text, size_t size, int framed, int64_t *ids,
                 size_t capacity, size_t *count);
/* The bytes of ids, without a final zero; special tokens have none. Sets *size; fails when that is
 * more than `capacity`. */
int rondo_decode(const rondo_model *model, const int64_t *ids, size_t count, char *text,
                 size_t capacity, size_t *size);

typedef struct rondo_sampling {
  float temperature; /* 0: the likeliest token */
  float top_p;       /* in (0, 1]; 1: all tokens */
  uint64_t seed;
} rondo_sampling;

/* Called with each generated id; anything but 0 ends the generation. */
typedef int (*rondo_on_token)(void *context, int64_t id);

/* Runs the prompt (at least one token) and generates up to `most` tokens, until one ends the
 * sequence. Writes the ids to `ids` (room for `most`) and sets *count. The state then holds the
 * prompt and all generated tokens but the last. `sampling` null: greedy. `on_token` may be null. */
int rondo_generate(rondo_model *model, rondo_state *state, const int64_t *prompt,
                   size_t prompt_count, const rondo_sampling *sampling, size_t most,
                   rondo_on_token on_token, void *context, int64_t *ids, size_t *count);

#ifdef __cplusplus
}
#endif

#endif /* RONDO_RUNTIME_RONDO_H */
