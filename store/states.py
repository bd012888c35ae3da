"""The states of sweeps, runs and attempts. Who may go where is `sweeper.settling`."""

import enum


class SweepState(enum.StrEnum):
    QUEUED = enum.auto()  # accepted, no run has started
    RUNNING = enum.auto()
    PAUSED = enum.auto()  # running runs are checkpointed and wait in the queue
    STOPPING = enum.auto()  # no new runs; the running ones finish
    FINISHED = enum.auto()
    CANCELLED = enum.auto()
    FAILED = enum.auto()  # no run brought a measurement


class RunState(enum.StrEnum):
    QUEUED = enum.auto()
    RUNNING = enum.auto()
    FINISHED = enum.auto()
    DIVERGED = enum.auto()  # a result, not an error: non-finite loss
    FAILED = enum.auto()  # an error: the machine, the code
    CANCELLED = enum.auto()


class AttemptState(enum.StrEnum):
    STARTING = enum.auto()  # claimed; no worker is known to have begun
    RUNNING = enum.auto()
    FINISHED = enum.auto()
    DIVERGED = enum.auto()
    FAILED = enum.auto()  # charged to the failure budget
    PREEMPTED = enum.auto()  # the machine went; charged to the preemption budget
    STOPPED = enum.auto()  # asked to: pause or shutdown; charged to nobody
    CANCELLED = enum.auto()


class RunKind(enum.StrEnum):
    SWEEP = enum.auto()
    FINAL = enum.auto()


SWEEP_OVER = (SweepState.FINISHED, SweepState.CANCELLED, SweepState.FAILED)
SWEEP_OPEN = (SweepState.QUEUED, SweepState.RUNNING)  # its queued runs may start
RUN_OVER = (RunState.FINISHED, RunState.DIVERGED, RunState.FAILED, RunState.CANCELLED)
ATTEMPT_LIVE = (AttemptState.STARTING, AttemptState.RUNNING)
