"""The device that is asked for, if it is there."""

from __future__ import annotations

import torch

from metarec.errors import ProtocolError


def pick_device(name: str = "auto") -> torch.device:
    """`auto` is the GPU when there is one; `ProtocolError` for a device that is unknown or not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise ProtocolError(f"device {name!r} is unknown; use auto, cpu, cuda or cuda:N.")
    seen = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= seen:
        raise ProtocolError(f"device {name!r} is not there (GPUs that torch sees: {seen}); use auto or cpu.")
    return device
