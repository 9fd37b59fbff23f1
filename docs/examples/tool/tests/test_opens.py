"""The tool as it is shipped, with its own loader, on each kernel."""


def test_the_tool_counts_its_own_opens(kernel):
    done = kernel.run(["./opens"], check=True)
    assert done.stdout == b"3 opens\n"
    assert "on_openat" in [program["name"] for program in done.programs]
