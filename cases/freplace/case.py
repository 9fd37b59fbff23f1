"""A program computes with its own function, with the one in its place, and with its own again when that is gone."""


def check(obj):
    """Replace the function that was named at loading, then one of another program."""
    obj.globals["number"] = 7
    square = obj.programs["squares"]
    if square.record["status"] != "passed":
        return {"results": _results(obj)}
    assert _results(obj) == (14, 21)
    attached = square.attach()
    assert attached["status"] == "passed", attached
    assert _results(obj) == (49, 21)
    square.detach()
    assert _results(obj) == (14, 21)
    attached = square.attach("triples:thrice")
    assert attached["status"] == "passed", attached
    assert _results(obj) == (14, 49)
    square.detach()
    assert _results(obj) == (14, 21)
    assert obj.globals["ek_hits"] == 2, f"{obj.globals['ek_hits']} hits"
    assert square.attach("triples:twice")["code"] == "attach-failed", "that program does not call this function"
    for target in ("triples:four_times", "nobody:twice", "twice"):
        assert square.attach(target)["code"] == "attach-target-missing", target
    return {"results": _results(obj)}


def _results(obj):
    return tuple(obj.programs[name].test_run(bytes(64)).retval for name in ("doubles", "triples"))
