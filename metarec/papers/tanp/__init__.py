"""The task-adaptive neural process: tables, figures and claims of its paper."""
