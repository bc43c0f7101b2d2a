"""Workloads that live on a fabric: error correction and the traffic it causes."""
