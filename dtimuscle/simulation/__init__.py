"""Simulated patients: a scenario becomes a cohort, a cohort's thighs become scans with known truth."""
