"""Two families on the same text and budgets: CSV files for `isoflop compare`.

python benchmarks/families.py CORPUS --families transformer,lstm --out DIR
isoflop compare DIR/transformer.csv DIR/lstm.csv
"""

import argparse
import csv
from pathlib import Path
from typing import Any

from fitting.costs.flops import n_tokens_for
from trainer.config import DataSpec, RunSpec
from trainer.data.manifest import Manifest
from trainer.job import run_job
from trainer.ladder import architecture_for
from trainer.recipe import recipe, whole_steps

COLUMNS = ("n_params", "n_tokens", "loss", "flops", "unique_tokens", "group", "loss_se")


def spec_for(family: Any, n_params: float, budgets: list[float], manifest: Manifest) -> RunSpec:
    """One trunk per size, a branch per budget, by the recipe."""
    model = architecture_for(n_params, vocab_size=manifest.vocab_size, context=128, family=family)
    tokens = [n_tokens_for(c, model.n_params) for c in budgets]
    optimizer, schedule, batch_tokens = recipe(model, round(tokens[-1]))
    return RunSpec(
        model=model,
        data=DataSpec(fingerprint=manifest.fingerprint, mixture=(("python", 1.0),)),
        horizons=tuple(sorted({whole_steps(n, batch_tokens) for n in tokens})),
        batch_tokens=batch_tokens,
        optimizer=optimizer,
        schedule=schedule,
        seed=0,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--families", default="transformer,lstm")
    parser.add_argument("--sizes", default="12e3,20e3,34e3,58e3")
    parser.add_argument("--budgets", default="1e11,2e11,4e11")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    manifest = Manifest.load(args.corpus)
    budgets = [float(c) for c in args.budgets.split(",")]
    for family in args.families.split(","):
        rows = []
        for n_params in map(float, args.sizes.split(",")):
            spec = spec_for(family, n_params, budgets, manifest)
            result = run_job(args.out / f"{family}-{spec.model.n_params}", spec, args.corpus)
            for m in result.measurements:
                rows.append({k: m.get(k, family) for k in COLUMNS})
                print(family, m["n_params"], f"{m['flops']:.2e}", round(m["loss"], 4), flush=True)
        with (args.out / f"{family}.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
