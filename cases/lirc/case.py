"""Nothing is received: the case is about loading."""


def check(obj):
    """Say that it was loaded."""
    assert obj.programs["decode"].fd >= 0
    return {"loaded": True}
