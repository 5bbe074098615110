"""What every peer does: load once, then run when it is asked, so that all systems take turns within one work.

A peer is started as `PEER.py JSON`: the work's kind, model, precision, tokens, threads and the folder of checkpoints. It prints {"ready": its name and version}, then for each
line on its standard input {"seconds": what one run took}. What it prints otherwise goes to stderr. Work that takes less than a fifth of a second is run for so long before each
run that counts, as `rondo bench` does: threads that waited for their turn may share a core for a while.
"""

import json
import os
import sys
import time


WARM_SECONDS = 0.2


def work():
    asked = json.loads(sys.argv[1])
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(asked["threads"])
    os.environ["HF_HUB_OFFLINE"] = "1"
    return asked


def serve(version, run, warm=1):
    """`run()` does the work once, to the end; or returns the seconds that count, where a run does more than the work."""
    for _ in range(warm):
        run()
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    print(json.dumps({"ready": version}), file=replies, flush=True)
    took = 0
    for _ in sys.stdin:
        begin = time.perf_counter()
        while took < WARM_SECONDS and time.perf_counter() - begin < WARM_SECONDS:
            run()
        begin = time.perf_counter()
        own = run()
        took = time.perf_counter() - begin
        print(json.dumps({"seconds": own if isinstance(own, float) else time.perf_counter() - begin}), file=replies, flush=True)
