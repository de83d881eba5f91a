"""Training as one of torchrun's processes: what fairseq-train has to be told of the others."""


def flags(environment, cpu):
    """Arguments of fairseq-train: list of str, empty for a process on its own.

    Args:
        environment: dict with torchrun's ``RANK``, ``LOCAL_RANK`` and ``WORLD_SIZE``, if it is one.
        cpu: whether training runs on a CPU, where fairseq itself would start unconnected runs.
    """
    size = environment.get("WORLD_SIZE", "1")
    if size == "1" or "RANK" not in environment:
        return []
    found = [
        "--distributed-world-size", size,
        "--distributed-rank", environment["RANK"],
        "--device-id", environment.get("LOCAL_RANK", "0"),
        "--distributed-init-method", "env://",
        "--distributed-no-spawn",
    ]  # fmt: skip
    return (
        [*found, "--distributed-backend", "gloo", "--ddp-backend", "legacy_ddp"] if cpu else found
    )
