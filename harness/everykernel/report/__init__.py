"""Reports: results as a matrix for terminals and Markdown, and the evidence of each cell as files."""
