"""Threads that play the processes of a run: what several processes do, checked within one, and never stuck."""

import threading
from collections import defaultdict, deque

import torch

from gptlib.exercises.checker import NotYet, expect


class Sent:
    """A message on its way. What is sent is copied at once; a backend reads it until `wait` returns.

    `wait` returns when the other process has received, as it may do with a backend.
    """

    def __init__(self, tensor, hall: "Hall", rank: int):
        self.tensor, self.copy, self.hall, self.rank = tensor, tensor.detach().clone(), hall, rank
        self.waited = self.taken = False

    def wait(self) -> None:
        with self.hall.lock:
            self.hall.until(self.rank, lambda: self.taken)
        expect(
            self.waited or torch.equal(self.tensor, self.copy),
            "a tensor is changed while it is sent: wait() first",
        )
        self.waited = True


class ThreadRanks:
    """As `gptlib.ranks.Ranks`, for one thread. `bytes_sent` counts what it has sent itself, `calls` what it has called."""

    def __init__(self, hall: "Hall", rank: int):
        self.hall, self.rank, self.world_size = hall, rank, hall.n
        self.device = torch.device("cpu")
        self.bytes_sent, self.calls, self.places, self.requests = 0, [], set(), []

    def send(self, tensor, to):
        self.calls.append("send")
        expect(0 <= to < self.world_size, f"there is no process {to}: they are 0 … {self.world_size - 1}")
        expect(to != self.rank, f"process {to} sends to itself")
        self.bytes_sent += tensor.numel() * tensor.element_size()
        self.places.add(to)
        self.requests.append(Sent(tensor, self.hall, self.rank))
        self.hall.put((self.rank, to), self.requests[-1])
        return self.requests[-1]

    def receive(self, tensor, source):
        self.calls.append("receive")
        expect(
            0 <= source < self.world_size, f"there is no process {source}: they are 0 … {self.world_size - 1}"
        )
        found = self.hall.take(self.rank, (source, self.rank))
        sizes = f"process {self.rank} has room for {tensor.numel()} numbers, process {source} sends {found.numel()}"
        expect(tensor.shape == found.shape, sizes)
        kinds = f"process {self.rank} has room for {tensor.dtype}, process {source} sends {found.dtype}"
        expect(tensor.dtype == found.dtype, kinds)
        with torch.no_grad():
            tensor.copy_(found)

    def all(self, name: str, tensor) -> list:
        """The tensors of all threads, which must call the same."""
        self.calls.append(name)
        return self.hall.meet(self.rank, name, tensor.detach().clone())

    @torch.no_grad()
    def all_reduce(self, tensor):
        tensor.copy_(sum(self.all("all_reduce", tensor)))

    @torch.no_grad()
    def all_mean(self, tensor):
        tensor.copy_(sum(self.all("all_mean", tensor)) / self.world_size)

    def all_gather(self, tensor):
        return torch.cat(self.all("all_gather", tensor))

    def reduce_scatter(self, tensor):
        return sum(self.all("reduce_scatter", tensor)).chunk(self.world_size)[self.rank].clone()

    @torch.no_grad()
    def broadcast(self, tensor, source):
        tensor.copy_(self.all(f"broadcast from {source}", tensor)[source])


class Hall:
    """Where the threads leave what they send, and wait for what they get."""

    def __init__(self, n: int):
        self.n, self.lock = n, threading.Condition()
        self.boxes, self.meetings = defaultdict(deque), defaultdict(dict)
        self.waits, self.met = {}, [0] * n
        self.left, self.stuck = set(), False

    def put(self, key, value) -> None:
        with self.lock:
            self.boxes[key].append(value)
            self.lock.notify_all()

    def take(self, rank: int, key):
        with self.lock:
            self.until(rank, lambda: bool(self.boxes[key]))
            message = self.boxes[key].popleft()
            message.taken = True
            self.lock.notify_all()
            return message.copy.clone()

    def meet(self, rank: int, name: str, value) -> list:
        with self.lock:
            meeting = self.meetings[self.met[rank]]
            self.met[rank] += 1
            meeting[rank] = name, value
            self.lock.notify_all()
            self.until(rank, lambda: len(meeting) == self.n)
            names = sorted({called for called, _ in meeting.values()})
            expect(len(names) == 1, f"the processes call different things at once: {' and '.join(names)}")
            return [meeting[r][1] for r in range(self.n)]

    def until(self, rank: int, ready) -> None:
        """Wait; NotYet when all threads that are left wait for something that never comes."""
        self.waits[rank] = ready
        while not ready():
            there = set(range(self.n)) - self.left
            if there <= self.waits.keys() and not any(self.waits[r]() for r in there):
                self.stuck = True
                self.lock.notify_all()
            for_what = "one waits for what none sends, or for its own request before it has received"
            expect(not self.stuck, f"the processes wait for each other for ever: {for_what}")
            self.lock.wait(1.0)
        del self.waits[rank]

    def leave(self, rank: int) -> None:
        with self.lock:
            self.left.add(rank)
            self.lock.notify_all()


def in_threads(n: int, work) -> tuple[list, list[ThreadRanks]]:
    """Run `work(ranks)` in n threads: what each returned, and its ThreadRanks. The first error comes through."""
    hall = Hall(n)
    ranks, found, errors = [ThreadRanks(hall, rank) for rank in range(n)], [None] * n, []

    def one(rank: int) -> None:
        try:
            found[rank] = work(ranks[rank])
        except BaseException as error:
            errors.append((isinstance(error, NotYet) and "for ever" in str(error), len(errors), error))
        finally:
            hall.leave(rank)

    threads = [threading.Thread(target=one, args=(rank,), daemon=True) for rank in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:  # an error of its own explains why the others wait
        raise min(errors, key=lambda entry: entry[:2])[2]
    unread = sum(map(len, hall.boxes.values()))
    waited = all(request.waited for rank in ranks for request in rank.requests)
    expect(not unread, f"{unread} messages are sent and never received")
    expect(waited, "a request is never waited for: call its wait() before the tensor may change")
    return found, ranks
