"""A session's program runs twice a call: at the entry and at the return."""


def check(obj):
    """Have the function called, and once more when the programs are gone."""
    attached = [obj.programs[name].attached for name in ("on_both", "on_both_sleepable")]
    tested = obj.programs["tested"]
    for _ in range(3):
        tested.test_run()
    obj.detach()
    tested.test_run()
    seen = [obj.globals["runs"], obj.globals["sleepable_runs"]]
    assert seen == [6 * there for there in attached], f"ran {seen} times"
    return {"attached": attached, "seen": seen}
