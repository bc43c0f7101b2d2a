"""First placements of qubits and gates on nodes: a multilevel hypergraph partitioner, and fills in qubit order."""
