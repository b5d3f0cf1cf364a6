"""What the server of worker processes imports before it forks: imports and nothing else.

One operation on several threads here would leave every worker waiting for ever for threads that the
fork did not copy.
"""

import pyarrow as pa  # noqa: F401
import torch  # noqa: F401

import bench.run.serving  # noqa: F401
