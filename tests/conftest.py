"""One thread per test process: the processes of pytest-xdist share the cores already."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
