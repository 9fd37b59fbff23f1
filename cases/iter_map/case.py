"""The elements that an iterator prints are those that the map was given, and what it adds to them is read back."""


def check(obj):
    """Fill two maps and print each of them through the one program."""
    wanted = {"squares": {n: n**2 for n in range(40)}, "cubes": {n: n**3 for n in range(7)}}
    program = obj.programs["print"]
    for name, elements in wanted.items():
        for key, value in elements.items():
            obj.maps[name].update(key, value)
        attached = program.attach(f"map:{name}")
        assert attached["status"] == "passed", attached
        printed = dict(tuple(map(int, line.split())) for line in program.read().splitlines())
        assert printed == elements, f"{name}: printed {printed}"
        left = dict(obj.maps[name].items())
        assert left == {key: value + 1 for key, value in elements.items()}, f"{name}: left {left}"
    assert program.attach()["status"] == "skipped", "it attaches to no map by itself"
    assert program.attach("map:circles")["status"] == "skipped", "it attaches to a map that is not there"
    return {name: len(elements) for name, elements in wanted.items()}
