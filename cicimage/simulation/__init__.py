"""Recordings with known truth: geometry, dynamics, optics, camera, scenarios."""
