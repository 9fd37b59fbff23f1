"""The program's own assertions were reached."""


def check(obj):
    """Make sure that the trigger's exec was seen."""
    assert obj.globals["ek_hits"] >= 1, "the program never ran"
