"""What training costs: `python -m benchmarks` measures it and writes `results/benchmarks/*.json`."""
