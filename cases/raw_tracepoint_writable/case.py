"""A test run ends with the error that a program wrote, and without it again when the program is gone."""

import errno


def check(obj):
    """Run the other program with and without an error, of each of the two."""
    run = obj.programs["tested"].test_run
    values = obj.globals
    assert run(bytes(64)).retval == 29
    for name, variable, error in (("on_finish", "wanted_error", "EXDEV"), ("on_finish_too", "other_error", "ENOTNAM")):
        values[variable] = -getattr(errno, error)
        message = ""
        try:
            run(bytes(64))
        except Exception as e:
            message = str(e)
        assert error in message, f"{name}: the test run ended with {message!r}"
        assert values["found_error"] == 0, f"{name}: the error was {values['found_error']} before"
        obj.programs[name].detach()
        assert run(bytes(64)).retval == 29
    assert values["ek_hits"] == 2
    return {"hits": 2}
