"""By the id that relocation gave, the kernel prints a struct of the right name with the value that was read."""

import os


def check(obj):
    """Have bpf_snprintf_btf() print the task's load_weight at two priorities."""
    obj.globals["ek_pid"] = os.getpid()
    seen = []
    for nice in (0, 5):
        os.setpriority(os.PRIO_PROCESS, 0, nice)
        os.getpgid(0)
        values = obj.globals
        text = values["text"]
        assert text.startswith("(struct load_weight){"), f"the kernel prints {text!r}"
        assert f".weight = (long unsigned int){values['weight']}," in text, f"{values['weight']} is not in {text!r}"
        seen.append(text)
    os.setpriority(os.PRIO_PROCESS, 0, 0)
    assert values["ek_hits"] == 2
    assert seen[0] != seen[1]
    assert values["local_id"] != 0
    return {"texts": seen, "kernel_id": values["kernel_id"], "local_id": values["local_id"]}
