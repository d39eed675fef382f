"""What `npsqueeze bench` measures, as pytest-benchmark cases, each contender in a group of a work.

All run in one process here, one after another, so a thread pool may disturb the next contender's
first calls. To compare libraries, take the command; to compare versions of a kernel, this.
"""

import pytest

from npsqueeze.benchmark import machine
from npsqueeze.benchmark.contenders import installed
from npsqueeze.benchmark.works import KINDS, peaks, works_of

BATCH_SIZE = 128
THREADS = machine.cores()
WORKS = peaks(THREADS) + [work for kind in KINDS[1:] for work in works_of(kind, BATCH_SIZE)]
CASES = [
    pytest.param(work, contender, id=f"{work.kind}: {work.name}: {contender.name}")
    for work in WORKS
    for contender in installed()[0]
    if work.kind in contender.kinds
]


@pytest.mark.filterwarnings("ignore")  # other libraries' own
@pytest.mark.parametrize(("work", "contender"), CASES)
def test_work(benchmark, work, contender):
    function = contender.prepare(work, THREADS)
    if function is None:
        pytest.skip(f"{contender.name} cannot do it")
    function()  # compiles, where something has to be compiled
    benchmark.group = f"{work.kind}: {work.name}"
    benchmark(function)
    if benchmark.stats is not None:
        benchmark.extra_info["gflops"] = work.flops / benchmark.stats["median"] / 1e9
