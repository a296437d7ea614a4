"""The graph of a computation as data: values, local derivatives on the edges, paths, steps, queries, pictures."""

from .data import Graph
from .elements import Edge, GraphNode
from .linear_map import LinearMap
from .make import graph
from .picture import Arrow, Box, Picture, picture

__all__ = ["Arrow", "Box", "Edge", "Graph", "GraphNode", "LinearMap", "Picture", "graph", "picture"]
