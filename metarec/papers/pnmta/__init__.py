"""Pretrained network modulation and task adaptation: tables, figures and claims of its paper."""
