"""The state that an operations struct's program is given is changed where the caller has it."""

import ctypes


def check(obj):
    """Run each program on a number; its one argument is the address of that."""
    loaded = {name: p for name, p in obj.programs.items() if p.record["status"] == "passed"}
    found = {}
    for name, factor in (("doubles", 2), ("triples", 3)):
        if name in loaded:
            number = ctypes.c_int(14)
            ran = loaded[name].test_run(context=ctypes.addressof(number).to_bytes(8, "little"))
            found[name] = number.value, ran.retval
            assert found[name] == (14 * factor, 14 * factor + 1), f"{name}: {found[name]}"
    assert obj.globals["ek_hits"] == len(loaded)
    return found
