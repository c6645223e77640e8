"""The sizes of machines that services run on."""

from .resources import JsonObject, fixed_head


def _instance_type(
    name: str, cpu: str, memory: str, price: str, gpu: tuple[str, str] | None = None
) -> JsonObject:
    amounts: JsonObject = {"cpu": cpu, "memory": memory, "gpu": "1" if gpu else None, "custom": {}}
    return {
        **fixed_head("resource_instance", name),
        "display_name": name,
        "description": f"{cpu} CPU, {memory} memory" + (f", 1 {gpu[0]}" if gpu else ""),
        "config": {
            "group": "gpu" if gpu else "cpu",
            "resources": {"requests": amounts, "limits": amounts},
            "price": price,
            "node_selectors": {},
            "gpu_config": {"type": gpu[0], "memory": gpu[1]} if gpu else None,
        },
    }


INSTANCE_TYPES: tuple[JsonObject, ...] = (
    _instance_type("cpu.small", "500m", "2Gi", "0.01"),
    _instance_type("cpu.1", "1000m", "2Gi", "0.05"),
    _instance_type("cpu.2", "2000m", "4Gi", "0.10"),
    _instance_type("cpu.4", "4000m", "8Gi", "0.20"),
    _instance_type("gpu.t4.1", "4000m", "16Gi", "0.60", ("nvidia-tesla-t4", "16Gi")),
)
"""Those of every cluster."""

NAMES = frozenset(each["display_name"] for each in INSTANCE_TYPES)
