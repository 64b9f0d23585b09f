"""Load a server: 64 clients for a minute, each with a request at a time.

Run it with the extra `web` and `httpx` installed: `python benchmarks/web_load.py`.
Prints answers by status, percentiles of the time to an answer, and the server's
memory over the minute. Any answer but 200 and 503 makes it fail.
"""

import argparse
import asyncio
import collections
import subprocess
import sys
import time
from pathlib import Path

import httpx

EXAMPLES = Path(__file__).parents[1] / "examples"


def memory_mb(process: int) -> float:
    """Resident memory of a process and its children."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    total_kb = 0
    for number in [str(process), *children]:
        for line in Path(f"/proc/{number}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total_kb += int(line.split()[1])
    return total_kb / 1024


async def one_client(
    url: str, parts: dict[str, bytes], ends: float, answers: list[tuple[int, float]]
) -> None:
    """Harmonize until the end; come back when told to."""
    files = {name: (name, data) for name, data in parts.items()}
    async with httpx.AsyncClient(timeout=120) as client:
        while time.monotonic() < ends:
            started = time.monotonic()
            response = await client.post(url, files=files)
            answers.append((response.status_code, time.monotonic() - started))
            if response.status_code == 503:
                await asyncio.sleep(float(response.headers["Retry-After"]))


async def load(address: str, process: int, num_clients: int, seconds: float) -> int:
    """Run all clients; return how many answers were neither 200 nor 503."""
    parts = {
        "composite": (EXAMPLES / "composite.png").read_bytes(),
        "mask": (EXAMPLES / "mask.png").read_bytes(),
    }
    url = f"{address}api/v1/harmonize"
    async with httpx.AsyncClient(timeout=120) as client:
        await client.get(address)
    answers: list[tuple[int, float]] = []
    started = time.monotonic()
    clients = [
        asyncio.create_task(one_client(url, parts, started + seconds, answers))
        for _ in range(num_clients)
    ]
    memory = []
    while any(not client.done() for client in clients):
        memory.append(memory_mb(process))
        await asyncio.sleep(1)
    await asyncio.gather(*clients)
    took = time.monotonic() - started
    counts = collections.Counter(status for status, _ in answers)
    times = sorted(1000 * took for status, took in answers if status == 200)
    print(f"{num_clients} clients, {took:.0f} s; answers by status: {dict(counts)}")
    print(f"{counts[200] / took:.1f} harmonized a second")
    for percent in (50, 90, 95, 99, 100):
        at = min(len(times) - 1, len(times) * percent // 100)
        print(f"  {percent} %: {times[at]:.0f} ms")
    quarters = [memory[len(memory) * part // 4] for part in range(4)] + [memory[-1]]
    print("memory, MB:", " ".join(f"{mb:.0f}" for mb in quarters))
    return sum(n for status, n in counts.items() if status not in (200, 503))


def main() -> None:
    """Start a server, load it, stop it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    command = [sys.executable, "-m", "imharmony.cli", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            address = process.stdout.readline().strip() if process.stdout else ""
            failures = asyncio.run(
                load(address, process.pid, options.clients, options.seconds)
            )
        finally:
            process.terminate()
    if failures:
        sys.exit(f"{failures} answers were neither 200 nor 503")


if __name__ == "__main__":
    main()
