"""Worker processes: jobs in, answers out, whatever happens to a process."""

import asyncio
import json
import os
import sys
import tempfile
from dataclasses import asdict
from typing import Any

from imharmony.errors import WeightsError
from imharmony.web.errors import ApiError
from imharmony.web.messages import Answer, Job
from imharmony.web.settings import Settings

__all__ = ["Pool"]


class Pool:
    """A fixed number of worker processes; `start` before the first job.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._workers = [_Worker(settings) for _ in range(settings.num_workers)]
        self._idle: asyncio.LifoQueue[_Worker] = asyncio.LifoQueue()
        self.models: list[dict[str, Any]] = []
        """What can be asked for; known after `start`."""
        self.num_waiting = 0
        """Jobs that wait for a worker."""

    @property
    def num_busy(self) -> int:
        """Workers that are at a job."""
        return len(self._workers) - self._idle.qsize()

    async def start(self) -> None:
        """Start the processes and wait until they are ready.

        Raises
        ------
        WeightsError
            If a weights file cannot be used.
        """
        weights = self._settings.weights
        request = {"warm": None if weights is None else str(weights)}
        answers = await asyncio.gather(*(w.ask(request) for w in self._workers))
        if "message" in answers[0]:
            await self.stop()
            raise WeightsError(answers[0]["message"])
        self.models = answers[0]["models"]
        for worker in self._workers:
            self._idle.put_nowait(worker)

    async def stop(self) -> None:
        """End all processes."""
        await asyncio.gather(*(worker.stop() for worker in self._workers))

    async def run(self, job: Job) -> Answer:
        """Do a job as soon as a worker is free.

        Canceled while it waits, nothing has happened; canceled later, its process is
        ended and the next job gets a new one.

        Raises
        ------
        ApiError
            If something is wrong with the request, the job takes longer than
            `work_s`, or its process dies.
        """
        self.num_waiting += 1
        try:
            worker = await self._idle.get()
        finally:
            self.num_waiting -= 1
        is_done = False
        try:
            async with asyncio.timeout(self._settings.work_s):
                answer = await worker.ask(asdict(job))
            is_done = True
        except TimeoutError as error:
            limit = f"{self._settings.work_s:g} seconds"
            raise ApiError("took_too_long", f"the work took over {limit}") from error
        finally:
            if not is_done:
                await worker.stop()
            self._idle.put_nowait(worker)
        if "message" in answer:
            raise ApiError(answer["code"], answer["message"])
        return Answer(**answer)


class _Worker:
    """One process, started when it is needed."""

    def __init__(self, settings: Settings) -> None:
        num_threads = max(1, (os.cpu_count() or 1) // settings.num_workers)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._environment = os.environ | {
            "VIPS_CONCURRENCY": str(num_threads),
            "VIPS_BLOCK_UNTRUSTED": "1",  # decoders libvips does not trust
            "VIPS_WARNING": "0",  # damaged files are told about in the answer
        }
        self._process: asyncio.subprocess.Process | None = None

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        if self._process is None:
            # libvips keeps large pictures in files, which a killed process leaves.
            self._folder = tempfile.TemporaryDirectory(prefix="imharmony-worker-")
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "imharmony.web.worker"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=self._environment | {"TMPDIR": self._folder.name},
                start_new_session=True,  # a terminal's Ctrl-C is for the server alone
            )
        process = self._process
        if process.stdin is None or process.stdout is None:
            raise ApiError("failed", "the worker has no pipes")
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            await process.stdin.drain()
            line = await process.stdout.readline()
        except ConnectionError:
            line = b""
        if not line:
            await self.stop()
            raise ApiError("failed", "the pictures could not be worked on")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def stop(self) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        if process.returncode is None:
            process.kill()
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()
        if self._folder is not None:
            self._folder.cleanup()
