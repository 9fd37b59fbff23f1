"""An entry holds the instruction that was put in, until a program is loaded with the map."""


def check(obj):
    """Fill two entries and read them."""
    targets = obj.maps["targets"]
    for key, original in ((0, 3), (3, 7)):
        targets.update(key, {"original": original, "translated": 0, "compiled": 0, "unused": 0})
    found = [targets.lookup(key)["original"] for key in range(4)]
    assert found == [3, 0, 0, 7], f"the entries are {found}"
    return {"entries": found}
