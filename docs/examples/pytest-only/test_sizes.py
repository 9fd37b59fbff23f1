"""The filter passes what fits, and counts both."""

XDP_DROP, XDP_PASS = 1, 2


def test_large_frames_are_dropped_and_counted(load, sizes):
    obj = load(sizes)
    program = obj.programs["small_only"]
    assert program.test_run(bytes(1514)).retval == XDP_PASS
    assert program.test_run(bytes(1515)).retval == XDP_DROP
    assert [count for _, count in obj.maps["counts"].items()] == [1, 1]
