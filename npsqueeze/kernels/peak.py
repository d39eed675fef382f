"""What the machine can do at best: multiply-adds without memory, and memory without arithmetic.

Nothing in the package needs their results. They are the roof under which `npsqueeze bench` draws
every other kernel.
"""

from npsqueeze.arrays import Array
from npsqueeze.kernels.gemm import ceil_divide
from npsqueeze.kernels.jit import kernel, prange
from npsqueeze.kernels.simd import fma, lanes, load, store

FEW_CHAINS, MANY_CHAINS = 6, 12
TRIAD_BLOCK = 1 << 16  # numbers of one task


@kernel(parallel=True)
def fma_chains(factors: Array, sums: Array, rounds: int, many: bool) -> None:
    """Replace each vector s of `sums` by s·f + g, `rounds` times; no number leaves its register.

    A fused multiply-add takes about four cycles and two start in each, so eight registers or more
    must be on their way. Where a vector is two registers (AVX2), six vectors are twelve of the
    sixteen that there are, and more would not fit; where it is one (AVX-512), six may be too few,
    and twelve fit. So the benchmark tries both.

    Parameters
    ----------
    factors : (2·lanes,)
        The vectors f and g.
    sums : (tasks, chains·lanes)
        `FEW_CHAINS` or, if `many`, `MANY_CHAINS` vectors for each task.
    """
    flat = sums.reshape(-1)
    for task in prange(sums.shape[0]):
        start = task * sums.shape[1]
        if many:
            run_many_chains(factors, flat, start, rounds)
        else:
            run_few_chains(factors, flat, start, rounds)


@kernel()
def run_few_chains(factors: Array, sums: Array, start: int, rounds: int) -> None:
    """Run six chains, each a variable of its own, which the compiler keeps in registers."""
    width = lanes(sums)
    f, g = load(factors, 0), load(factors, width)
    s0, s1 = load(sums, start), load(sums, start + width)
    s2, s3 = load(sums, start + 2 * width), load(sums, start + 3 * width)
    s4, s5 = load(sums, start + 4 * width), load(sums, start + 5 * width)
    for _ in range(rounds):
        s0, s1, s2 = fma(s0, f, g), fma(s1, f, g), fma(s2, f, g)
        s3, s4, s5 = fma(s3, f, g), fma(s4, f, g), fma(s5, f, g)
    store(sums, start, s0)
    store(sums, start + width, s1)
    store(sums, start + 2 * width, s2)
    store(sums, start + 3 * width, s3)
    store(sums, start + 4 * width, s4)
    store(sums, start + 5 * width, s5)


@kernel()
def run_many_chains(factors: Array, sums: Array, start: int, rounds: int) -> None:
    """Run twelve chains."""
    width = lanes(sums)
    f, g = load(factors, 0), load(factors, width)
    s0, s1 = load(sums, start), load(sums, start + width)
    s2, s3 = load(sums, start + 2 * width), load(sums, start + 3 * width)
    s4, s5 = load(sums, start + 4 * width), load(sums, start + 5 * width)
    s6, s7 = load(sums, start + 6 * width), load(sums, start + 7 * width)
    s8, s9 = load(sums, start + 8 * width), load(sums, start + 9 * width)
    s10, s11 = load(sums, start + 10 * width), load(sums, start + 11 * width)
    for _ in range(rounds):
        s0, s1, s2 = fma(s0, f, g), fma(s1, f, g), fma(s2, f, g)
        s3, s4, s5 = fma(s3, f, g), fma(s4, f, g), fma(s5, f, g)
        s6, s7, s8 = fma(s6, f, g), fma(s7, f, g), fma(s8, f, g)
        s9, s10, s11 = fma(s9, f, g), fma(s10, f, g), fma(s11, f, g)
    store(sums, start, s0)
    store(sums, start + width, s1)
    store(sums, start + 2 * width, s2)
    store(sums, start + 3 * width, s3)
    store(sums, start + 4 * width, s4)
    store(sums, start + 5 * width, s5)
    store(sums, start + 6 * width, s6)
    store(sums, start + 7 * width, s7)
    store(sums, start + 8 * width, s8)
    store(sums, start + 9 * width, s9)
    store(sums, start + 10 * width, s10)
    store(sums, start + 11 * width, s11)


@kernel(parallel=True)
def triad(a: Array, b: Array, c: Array, scale: float) -> None:
    """Write c = a + scale·b for long vectors: the memory's speed, after McCalpin's STREAM."""
    for task in prange(ceil_divide(c.size, TRIAD_BLOCK)):
        first = task * TRIAD_BLOCK
        for i in range(first, min(first + TRIAD_BLOCK, c.size)):
            c[i] = a[i] + scale * b[i]
