"""CPython's side of a contest: does what each line of stdin asks for, and answers with microseconds for each time.

    start METHOD          start a process and join it
    submit METHOD N       a task of a ProcessPoolExecutor with one worker, N times, one after the other
    map METHOD N          ProcessPoolExecutor.map of N elements, in chunks of 64, one worker
    pool_map METHOD N     multiprocessing.Pool.map, likewise
"""

import multiprocessing
import os
import sys
import time

CHUNK = 64
pools = {}


def nothing():
    pass


def same(value):
    return value


def executor(method):
    # Not where children that are spawned would import it, too.
    import concurrent.futures

    if ("executor", method) not in pools:
        context = multiprocessing.get_context(method)
        pools["executor", method] = concurrent.futures.ProcessPoolExecutor(1, mp_context=context)
    return pools["executor", method]


def start(method):
    process = multiprocessing.get_context(method).Process(target=nothing)
    process.start()
    process.join()
    if process.exitcode != 0:
        raise RuntimeError(f"exit code {process.exitcode}")
    process.close()


def submit(method, count):
    pool = executor(method)
    for i in range(int(count)):
        if pool.submit(same, i).result() != i:
            raise RuntimeError("the wrong value came back")


def map_executor(method, count):
    check(executor(method).map(same, range(int(count)), chunksize=CHUNK), int(count))


def map_pool(method, count):
    if ("pool", method) not in pools:
        pools["pool", method] = multiprocessing.get_context(method).Pool(1)
    check(pools["pool", method].map(same, range(int(count)), chunksize=CHUNK), int(count))


def check(results, count):
    if sum(results) != count * (count - 1) // 2:
        raise RuntimeError("the wrong values came back")


COMMANDS = {"start": start, "submit": submit, "map": map_executor, "pool_map": map_pool}


def main():
    for line in sys.stdin:
        name, *arguments = line.split()
        try:
            before = time.perf_counter()
            COMMANDS[name](*arguments)
            took = time.perf_counter() - before
            times = int(arguments[1]) if len(arguments) > 1 else 1
            answer = f"{took * 1e6 / times}\n"
        except Exception as error:
            answer = f"{type(error).__name__}: {error}".replace("\n", " ") + "\n"
        os.write(1, answer.encode())


if __name__ == "__main__":
    main()
