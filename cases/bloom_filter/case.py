"""Every number that was put in is found, and most of the others are not."""


def check(obj):
    """Put in fifty of a hundred numbers."""
    assert obj.programs["use"].test_run(bytes(64)).retval == 2
    held = obj.globals["held"]
    assert obj.globals["missed"] == 0, f"{obj.globals['missed']} of the numbers are not found"
    assert 50 <= held < 75, f"{held} of 100 numbers seem to be there"
    return {"held": held}
