"""Pointers that a program stores lead this process through the same memory, and the other way round."""

import ctypes


class Node(ctypes.Structure):
    """As the program has it: pointers are addresses in this process."""

    _fields_ = (("next", ctypes.c_uint64), ("number", ctypes.c_uint64))


def check(obj):
    """Walk the program's list, then let it walk one of ours."""
    values = obj.globals
    assert values["total"] == 1000, "the variable's initial value"
    values["asked"] = 5
    assert obj.programs["build"].test_run().retval == 0
    numbers, at = [], values["ours"]
    while at:
        node = Node.from_address(at)
        numbers.append(node.number)
        at = node.next
    assert numbers == [55, 44, 33, 22, 11], f"the program's list holds {numbers}"
    memory = obj.maps["arena"].memory
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    at = 0
    for index, number in enumerate((3, 4, 5)):
        place = 8 * 4096 + 16 * index
        memory[place : place + 16] = bytes(Node(at, number))
        at = base + place
    values["theirs"] = at
    assert obj.programs["walk"].test_run().retval == 3
    assert values["total"] == 1012, f"the program adds up to {values['total']}"
    return {"numbers": numbers, "total": values["total"]}
