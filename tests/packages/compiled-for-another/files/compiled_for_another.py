import passes

raise ValueError(
    "passes.Thing size changed, may indicate binary incompatibility. Expected 96 from C header, got 88 from PyObject"
)
