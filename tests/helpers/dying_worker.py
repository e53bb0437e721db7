"""A measuring process that dies of an exception in its task group."""

from lmx_loadgen.load import worker


async def out_of_files(self: worker.Worker) -> None:
    raise OSError(24, "Too many open files")


if __name__ == "__main__":
    worker.Worker._listen = out_of_files  # type: ignore[method-assign]
    worker.main()
