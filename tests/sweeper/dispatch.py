"""A dispatcher in its own process with the stub for a trainer, to be killed by tests.

python -m tests.sweeper.dispatch HOME DATABASE_URL [ray]
"""

import sys
from pathlib import Path

from store.settings import Settings
from sweeper.executor import DEFAULT_PAYLOAD
from sweeper.work import Work, work


def main() -> None:
    home, url, *rest = sys.argv[1:]
    how = Work(
        executor="ray" if "ray" in rest else "process",
        payload=DEFAULT_PAYLOAD if "real" in rest else "tests.sweeper.stub:run_job",
        n_cpus=2,
        checkpoint_s=1.0,
        drain="drain" in rest,
    )
    work(Settings(home=Path(home), database_url=url), how)


if __name__ == "__main__":
    main()
