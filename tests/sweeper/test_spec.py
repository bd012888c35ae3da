import pytest

from fitting.errors import InputError
from sweeper.spec import Shape, parse

GOOD = {"name": "a", "sizes": [1e4, {"n_layer": 2, "d_model": 64}], "budgets": [1e11, 3e11]}

BAD = [
    ({"budget": 1}, "budget", r"unknown key 'budget'; known keys are budgets, context"),
    (
        {"recipe": {"learning_rate": 1}},
        "recipe.learning_rate",
        "known keys are batch_tokens, beta2",
    ),
    (
        {"sizes": [{"n_layer": 2, "d_model": 4, "width": 4}]},
        "sizes.0.width",
        "known keys are d_ff, d_head",
    ),
    ({"budgets": [1e11, -3e11]}, "budgets.1", "budgets.1 should be greater than 0; got -3"),
    ({"budgets": [float("nan")]}, "budgets.0", "should be a finite number"),
    ({"tokens": [1e6]}, "", "exactly one of budgets, tokens and grid; got budgets and tokens"),
    ({"budgets": []}, "", "exactly one of budgets, tokens and grid; got none"),
    ({"sizes": []}, "", "give sizes with budgets or tokens"),
    ({"sizes": [1e4, 1e4]}, "sizes", "names 10000.0 twice"),
    ({"seeds": []}, "seeds", "at least 1 item"),
    ({"name": None}, "name", "should be a valid string; got None"),
    ({"name": "  "}, "name", "name needs a character one can see, and no NUL; got '  '"),
    ({"name": "a\0b"}, "name", r"and no NUL; got 'a\\x00b'"),
    ({"seeds": [2**63]}, "seeds.0", "should be less than 9223372036854775808; got 92233"),
    ({"recipe": {"eval_tokens": 10**27}}, "recipe.eval_tokens", "should be less than 922337"),
    ({"sizes": [{"n_layer": 10**8, "d_model": 64}]}, "sizes.0.n_layer", "equal to 10000; got 1"),
    ({"data": "../../etc"}, "data", "should match pattern"),
    ({"limits": {"usd": 0}}, "limits.usd", "should be greater than 0; got 0"),
    ({"tokens_per_param": [30, 10]}, "", r"must be \[low, high\]; got \[30, 10\]"),
    ({"device": "tpu"}, "device", "'auto', 'cpu' or 'cuda'; got 'tpu'"),
]


@pytest.mark.parametrize(("change", "field", "message"), BAD, ids=[str(b[0])[:40] for b in BAD])
def test_a_bad_spec_names_the_field_and_what_was_found(change, field, message):
    with pytest.raises(InputError, match=message) as e:
        parse(GOOD | change)
    assert e.value.field == field


def test_a_missing_name_is_named():
    with pytest.raises(InputError, match="missing key 'name'"):
        parse({k: v for k, v in GOOD.items() if k != "name"})


def test_a_spec_is_an_object():
    with pytest.raises(InputError, match="must be an object; got list"):
        parse([1])


def test_a_spec_survives_its_json():
    spec = parse(GOOD)
    assert parse(spec.model_dump(mode="json")) == spec
    assert isinstance(spec.sizes[1], Shape)
