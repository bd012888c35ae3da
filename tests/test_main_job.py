"""The main job, miniature but real: real text, REST, Ray, SQL, training, forecast, outcome."""

import json

import pytest

from sweeper.demo import home, story
from sweeper.demo.question import Question

MINIATURE = Question(
    sizes=(2_000, 4_000, 8_000, 16_000),
    budgets=(1e10, 2e10, 4e10),
    final_flops=1e11,
    tokens_per_param=(4.0, 2000.0),
    n_bootstrap=100,
    max_bytes=20_000_000,
    recipe=(("eval_tokens", 32_768),),
)


@pytest.mark.slow
@pytest.mark.ray
def test_a_sweep_becomes_a_forecast_and_the_forecast_is_checked(tmp_path):
    where = home.new(tmp_path)
    launch = story.tell(where, MINIATURE)
    outcome, bet = launch["outcome"], launch["forecast"]
    assert outcome["status"] == "finished"
    assert outcome["seal_intact"]
    assert outcome["flops"] == pytest.approx(MINIATURE.final_flops, rel=0.01)
    assert bet["loss"]["low"] < bet["loss"]["value"] < bet["loss"]["high"]
    for name in ("isoflop.svg", "frontier.png", "report.html"):
        assert (where.folder / name).stat().st_size > 1000
    # Again on the same folder: every step is found done, nothing is trained twice.
    again = story.tell(home.latest(tmp_path), MINIATURE)
    assert again["run_id"] == launch["run_id"]
    assert json.dumps(again["outcome"]) == json.dumps(outcome)
