"""One HTML file in which a kernel's types are looked up, or two kernels' side by side.

`model` says what the page holds, `compare` what moved, `page` writes the file; script.js shows it and decides nothing.
"""
