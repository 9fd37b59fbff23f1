"""Each processor's value counts what was done on that processor, and nothing else."""

import os


def check(obj):
    """Call getpgid(2) a different number of times on each processor."""
    cpus = sorted(os.sched_getaffinity(0))
    obj.globals["ek_pid"] = os.getpid()
    calls = {cpu: 5 + 3 * cpu for cpu in cpus}
    for cpu in cpus:
        os.sched_setaffinity(0, {cpu})
        for _ in range(calls[cpu]):
            os.getpgid(0)
    os.sched_setaffinity(0, cpus)
    array = obj.maps["in_array"].lookup(0)
    assert {cpu: array[cpu] for cpu in cpus} == {cpu: {"calls": calls[cpu], "cpu": cpu} for cpu in cpus}, f"{array}"
    ((key, counted),) = obj.maps["in_hash"].items()
    assert key == 0
    assert {cpu: counted[cpu] for cpu in cpus} == calls, f"{counted} instead of {calls}"
    obj.maps["in_hash"].update(7, [cpu * 10 for cpu in range(len(counted))])
    assert obj.maps["in_hash"].lookup(7) == [cpu * 10 for cpu in range(len(counted))]
    obj.maps["in_hash"].delete(7)
    assert [key for key, _ in obj.maps["in_hash"].items()] == [0]
    return calls
