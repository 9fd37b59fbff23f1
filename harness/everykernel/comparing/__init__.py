"""Results of several runs: merged, and compared. Pure: results in, values out; what shows and writes them is above."""
