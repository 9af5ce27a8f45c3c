"""Triton's autotuner with perfmodel in it: 288 configurations of a matrix product, eight of which would be compiled and timed.

Needs `pip install triton` and no GPU: it asks the autotuner which configurations it keeps, and stops there. With a GPU, call
the kernel as usual; the tuner then compiles and times those eight alone.
"""

import itertools
from types import SimpleNamespace

import triton
import triton.language as tl

from perfmodel.integrations.triton import pruning

CONFIGS = [
    triton.Config({"BLOCK_M": m, "BLOCK_N": n, "BLOCK_K": k, "GROUP_M": 8}, num_warps=warps, num_stages=stages)
    for m, n, k, warps, stages in itertools.product(
        (32, 64, 128, 256), (32, 64, 128, 256), (32, 64, 128), (4, 8), (2, 3, 4)
    )
]


@triton.autotune(configs=CONFIGS, key=["M", "N", "K"], prune_configs_by=pruning("h100-sxm", top_k=8))
@triton.jit
def product(
    a, b, c, M, N, K, row_a, row_b, row_c,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, GROUP_M: tl.constexpr,
):  # fmt: skip
    """c = a @ b, row-major; blocks of GROUP_M rows run after each other."""
    across, down = tl.cdiv(N, BLOCK_N), tl.cdiv(M, BLOCK_M)
    place = tl.program_id(0)
    first = place // (GROUP_M * across) * GROUP_M
    rows = min(down - first, GROUP_M)
    block_m = first + place % (GROUP_M * across) % rows
    block_n = place % (GROUP_M * across) // rows
    m = block_m * BLOCK_M + tl.arange(0, BLOCK_M)
    n = block_n * BLOCK_N + tl.arange(0, BLOCK_N)
    k = tl.arange(0, BLOCK_K)
    total = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    for start in range(0, K, BLOCK_K):
        left = tl.load(
            a + m[:, None] * row_a + start + k[None, :], (m[:, None] < M) & (start + k[None, :] < K), other=0.0
        )
        right = tl.load(
            b + (start + k[:, None]) * row_b + n[None, :], (start + k[:, None] < K) & (n[None, :] < N), other=0.0
        )
        total = tl.dot(left, right, total)
    tl.store(c + m[:, None] * row_c + n[None, :], total.to(c.dtype.element_ty), (m[:, None] < M) & (n[None, :] < N))


# What the tuner does before it compiles anything.
matrix = SimpleNamespace(dtype="torch.float16")
product.nargs = {"a": matrix, "b": matrix, "c": matrix, "M": 4096, "N": 4096, "K": 4096}
kept = product.prune_configs({})
print(f"{len(CONFIGS)} configurations, {len(kept)} to compile and time:")
for config in kept:
    print(config.kwargs, f"num_warps={config.num_warps} num_stages={config.num_stages}")
