"""Branches, a WSD-S chain and separate runs, documents packed and masked: the same text and seeds.

python benchmarks/schemes.py CORPUS --size 2e4 --tokens 1.25e5,2.5e5,5e5 --seeds 0,1,2

Prints the loss at each horizon by seed, its mean and spread, and what each way has trained on.
"""

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from trainer.config import DataSpec, RunSpec
from trainer.data.manifest import Manifest
from trainer.job import run_job
from trainer.ladder import architecture_for
from trainer.recipe import recipe, whole_steps

WAYS = ("branch", "wsd-s", "separate", "branch, masked")


def spec_for(size: float, tokens: list[float], seed: int, manifest: Manifest) -> RunSpec:
    """By the recipe of the first horizon; one batch for all, so that only the scheme differs."""
    model = architecture_for(size, vocab_size=manifest.vocab_size, context=128)
    optimizer, schedule, batch_tokens = recipe(model, round(tokens[0]))
    return RunSpec(
        model=model,
        data=DataSpec(fingerprint=manifest.fingerprint),
        horizons=tuple(whole_steps(n, batch_tokens) for n in tokens),
        batch_tokens=batch_tokens,
        optimizer=optimizer,
        schedule=schedule,
        seed=seed,
    )


def runs(way: str, spec: RunSpec) -> Iterator[RunSpec]:
    if way == "separate":  # with as many warm-up steps as the shared trunk has
        share = spec.schedule.warmup_share * spec.horizons[0]
        for h in spec.horizons:
            yield replace(
                spec, horizons=(h,), schedule=replace(spec.schedule, warmup_share=share / h)
            )
    elif way == "branch, masked":
        yield replace(spec, data=replace(spec.data, documents="masked"))
    else:
        yield replace(spec, schedule=replace(spec.schedule, scheme=way))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--size", type=float, default=2e4)
    parser.add_argument("--tokens", default="1.25e5,2.5e5,5e5")
    parser.add_argument("--seeds", default="0,1,2")
    args = parser.parse_args()
    manifest, tokens = Manifest.load(args.corpus), [float(n) for n in args.tokens.split(",")]
    for way in WAYS:
        losses, n_tokens, n_skipped = [], 0, 0
        for seed in map(int, args.seeds.split(",")):
            measured = []
            for spec in runs(way, spec_for(args.size, tokens, seed, manifest)):
                with tempfile.TemporaryDirectory() as folder:
                    result = run_job(Path(folder), spec, args.corpus, compile="never")
                measured += [m["loss"] for m in result.measurements]
                n_tokens += result.n_tokens_processed
                n_skipped += result.n_skipped
            losses.append(measured)
            print(way, seed, [round(x, 4) for x in measured], flush=True)
        means = [statistics.mean(at) for at in zip(*losses, strict=True)]
        spread = [statistics.stdev(at) for at in zip(*losses, strict=True)]
        print(f"{way}: {[round(m, 4) for m in means]} +- {[round(s, 4) for s in spread]}, "
              f"{n_tokens} tokens, {n_skipped} steps skipped", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
