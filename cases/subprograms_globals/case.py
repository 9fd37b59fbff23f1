"""Programs that call functions and use global variables calculate what Python calculates."""

PACKET = bytes(64)


def check(obj):
    """Run the programs for several values of a variable and compare with the same sums in Python."""
    values = obj.globals
    assert list(values["table"]) == [3, 1, 4, 1]
    assert values["greeting"] == "hello"
    assert (values["seed"], values["negative"], values["total"]) == (7, -2, 0)
    results = {}
    for round_, (seed, negative) in enumerate([(7, -2), (27, -5), (97, 1000), (1, -9)], start=1):
        obj.globals["seed"] = seed
        obj.globals["negative"] = negative
        expected = seed * (3 + 1 + 4 + 1) + min(_collatz_steps(seed), 64) + negative
        assert obj.programs["calculate"].test_run(PACKET).retval == expected
        assert obj.programs["steps_only"].test_run(PACKET).retval == min(_collatz_steps(seed), 64)
        now = obj.globals
        assert now["total"] == expected
        assert now["inner"] == {"calls": 4 * round_, "letters": list(b"hello")}, f"{now['inner']}"
        results[seed] = expected
    return results


def _collatz_steps(value):
    steps = 0
    while value > 1:
        value = 3 * value + 1 if value % 2 else value // 2
        steps += 1
    return steps
