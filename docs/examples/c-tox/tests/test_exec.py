"""An exec is seen as it happened."""


def test_an_exec_is_seen(kernel, load):
    obj = load("../build/exec.bpf.o")
    obj.attach("on_exec")
    assert kernel.run(["true"]).code == 0
    seen = [obj.decode("event", sample) for sample in obj.maps["events"].events(count=1)]
    assert seen[0]["comm"] == "true"
    assert 1 <= seen[0]["parent"] < seen[0]["pid"]
