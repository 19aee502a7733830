"""PromQL: expressions as nodes, and an engine over samples in memory."""
