"""One machine: threads, each with modules of its own, that take shard after shard.

A thread reads, computes and stores by turns. All three let go of Python's lock, so while one thread reads another
computes, and no queue has to be balanced. Each computes on one core, which does more than two cores that wait for
one another at every layer, and makes the result independent of their number.
"""

import concurrent.futures
import os
import threading

import torch

MOST = 8  # threads; beyond, they wait for Python's lock more and more: processes (Ray) do better


def cores():
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads(workers=None):
    """Return the number of threads: what is asked for, or one a core, at most MOST."""
    return workers or min(cores(), MOST)


def run_local(shards, worker, workers=None):
    """Explain shards.

    Args:
        shards: iterable of explain.listing.Shard; taken from as needed.
        worker: explain.worker.Worker, ready.
        workers: number of threads; None for one a core, at most MOST.

    Yields:
        explain.worker.Done, in the order in which shards are finished.

    Raises:
        InputError: from a worker; the others finish no further shard.
    """
    workers = threads(workers)
    threads_before = torch.get_num_threads()
    mine, stop = threading.local(), threading.Event()
    twins = [worker] + [worker.twin() for _ in range(workers - 1)]

    def begin():
        torch.set_num_threads(1)
        mine.worker = twins.pop()

    def work(shard):
        return mine.worker.run(shard, stopped=stop.is_set)

    pool = concurrent.futures.ThreadPoolExecutor(workers, "explain", begin)
    waiting, shards = set(), iter(shards)
    try:
        while True:
            for shard in shards:
                waiting.add(pool.submit(work, shard))
                if len(waiting) > workers:
                    break
            if not waiting:
                return
            finished, waiting = concurrent.futures.wait(waiting, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in sorted(finished, key=lambda f: f.result().number):
                yield future.result()
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(threads_before)
