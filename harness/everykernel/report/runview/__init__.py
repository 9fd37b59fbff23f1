"""One HTML file in which a run is looked through: the matrix, why cells did not pass, and the evidence of each.

`heads` says what the columns are, `rows` what stands in them, `words` what that means in a sentence, `detail` what a
cell opens, `times` where the time went; `page` writes the file. The scripts show it and decide nothing.
"""
