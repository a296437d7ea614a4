"""The graph of a computation as data: values, local derivatives on the edges, paths, steps, queries, pictures."""
