"""Evidence that one base rate serves every width: the rates around it at several widths.

    python benchmarks/transfer.py CORPUS -o transfer.svg --json transfer.json

The shapes are those of the demo: three layers, windows of 64, batches of 512 tokens, its smallest
width, a middle one and its largest. About twenty minutes on one quiet core.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from matplotlib.backends.backend_svg import FigureCanvasSVG

from fitting.costs.architecture import Architecture
from reports.transfer import curves, plot, spread
from trainer.config import DataSpec, RunSpec
from trainer.data.manifest import Manifest
from trainer.job import run_job
from trainer.recipe import recipe, whole_steps


def spec_for(
    d_model: int, factor: float, manifest: Manifest, *, n_tokens: float, seed: int
) -> RunSpec:
    """The recipe at this width, its base rate times `factor`."""
    model = Architecture(
        n_layer=3,
        d_model=d_model,
        n_head=d_model // 16,
        vocab_size=manifest.vocab_size,
        context=64,
    )
    optimizer, schedule, _ = recipe(model, round(n_tokens))
    batch_tokens = 512
    return RunSpec(
        model=model,
        data=DataSpec(fingerprint=manifest.fingerprint, mixture=(("python", 1.0),)),
        horizons=(whole_steps(n_tokens, batch_tokens),),
        batch_tokens=batch_tokens,
        optimizer=replace(optimizer, lr=optimizer.lr * factor),
        schedule=schedule,
        seed=seed,
        precision="auto",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--widths", default="20,48,80")
    parser.add_argument("--factors", default="0.5,0.71,1,1.41,2")
    parser.add_argument("--tokens", type=float, default=1e6)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("-o", type=Path, dest="out")
    args = parser.parse_args()
    manifest = Manifest.load(args.corpus)
    rows = []
    for d_model in map(int, args.widths.split(",")):
        for factor in map(float, args.factors.split(",")):
            for seed in range(args.seeds):
                spec = spec_for(d_model, factor, manifest, n_tokens=args.tokens, seed=seed)
                with TemporaryDirectory() as folder:
                    result = run_job(Path(folder), spec, args.corpus, compile="never")
                loss = result.measurements[0]["loss"]
                rows.append(
                    {"d_model": d_model, "lr": spec.optimizer.lr, "seed": seed, "loss": loss}
                )
                print(rows[-1], flush=True)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")
    lines = curves(rows)
    for line in lines:
        print(f"width {line.d_model}: best base rate {line.best_lr:.2e}, loss {line.best_loss:.4f}")
    print(f"best rates within a factor {spread(lines):.2f}")
    if args.out:
        figure = plot(lines).figure
        FigureCanvasSVG(figure).print_svg(str(args.out))


if __name__ == "__main__":
    main()
