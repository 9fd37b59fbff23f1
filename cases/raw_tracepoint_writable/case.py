"""A test run ends with the error that a program wrote, and without it again when the program is gone."""

import errno


def check(obj):
    """Run the other program with and without an error."""
    run = obj.programs["tested"].test_run
    assert run(bytes(64)).retval == 29
    obj.globals["wanted_error"] = -errno.EXDEV
    message = ""
    try:
        run(bytes(64))
    except Exception as e:
        message = str(e)
    assert "EXDEV" in message, f"the test run ended with {message!r}"
    assert obj.globals["ek_hits"] >= 1
    assert obj.globals["found_error"] == 0, f"the error was {obj.globals['found_error']} before"
    obj.programs["on_finish"].detach()
    assert run(bytes(64)).retval == 29
    return {"error": message}
