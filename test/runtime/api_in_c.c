/* api_in_c.c - The example of runtime/rondo.h, compiled as C: the header is C, and a C program needs nothing else. */

#include "runtime/rondo.h"

#include <stdio.h>

/* Logits [4] after tokens 1, 2, 3. Returns 0, or 1 with the message on stderr. */
int runFromC(const char *path, float *logits) {
  rondo_model *model = NULL;
  rondo_state *state = NULL;
  if (rondo_open(path, NULL, &model) || rondo_state_new(model, &state))
    return fprintf(stderr, "%s\n", rondo_last_error()), 1;
  int64_t tokens[3] = {1, 2, 3}, length = 3, in_shape[1] = {3}, out_shape[2] = {1, 4};
  rondo_tensor in = {"tokens", RONDO_I64, 1, in_shape, tokens};
  rondo_tensor out = {"logits", RONDO_F32, 2, out_shape, logits};
  int failed = rondo_run(model, "prefill", &state, &length, 1, &in, 1, &out, 1);
  rondo_state_free(state);
  rondo_close(model);
  return failed;
}
