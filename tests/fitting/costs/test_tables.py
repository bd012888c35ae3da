"""The shipped tables, and a user's rows over them."""

import csv
from datetime import date
from importlib.resources import files

import pytest

from fitting.costs.estimate import estimate
from fitting.costs.rows import as_date
from fitting.costs.tables import key, load_tables
from fitting.errors import InputError

TABLES = load_tables()
TODAY = date(2026, 11, 21)


def overlay(tmp_path, text):
    path = tmp_path / "ours.toml"
    path.write_text(text)
    return load_tables(path)


def test_every_row_says_where_from_and_as_of_when():
    rows = [*TABLES.devices.values(), *TABLES.prices, *TABLES.grids.values(), *TABLES.thresholds]
    rows += [*TABLES.models.values(), *TABLES.runs.values()]
    assert all(r.source and as_date(r.as_of) <= TODAY for r in rows)


def test_every_constant_says_where_from_and_as_of_when():
    def leaves(table):
        if "source" in table or "factor" in table:
            yield table
        else:
            for row in table.values():
                yield from leaves(row)

    found = [row for t in (TABLES.constants, TABLES.presets, TABLES.laws) for row in leaves(t)]
    assert len(found) > 25
    assert all(row["source"] and as_date(row["as_of"]) <= TODAY for row in found)


def test_the_tables_lie_inside_the_package_so_that_the_wheel_carries_them():
    names = {f.name for f in (files("fitting.costs") / "tables").iterdir()}
    assert {"devices.csv", "prices.csv", "grids.csv", "constants.toml", "laws.toml"} <= names


def test_ids_are_unique_and_normal():
    for rows in (TABLES.devices, TABLES.grids, TABLES.models, TABLES.runs):
        assert all(key(name) == name for name in rows)


def test_one_default_price_per_device_and_kind():
    pairs = [(p.device, p.kind) for p in TABLES.prices if p.default]
    assert len(pairs) == len(set(pairs))
    assert {p.device for p in TABLES.prices} <= set(TABLES.devices)


def test_peaks_are_dense_and_agree_with_the_reference(reference_data):
    """Sparse, fp16 and PCIe peaks mixed up gave other tools an MFU of 104 to 563 %."""
    with (reference_data / "hardware.csv").open() as f:
        for row in csv.DictReader(f):
            device = TABLES.devices[row["id"]]
            expected = float(row["bf16_dense_tflops"] or row["fp16_dense_tflops"])
            assert device.peak_tflops == expected
            assert device.fp8_tflops is None or device.fp8_tflops <= 2.03 * device.peak_tflops
            assert device.ceiling <= 1


@pytest.mark.parametrize(
    ("name", "found"),
    [("h100", "h100-sxm"), ("NVIDIA H100 SXM5 80GB", "h100-sxm"), ("A100", "a100-sxm-80gb"),
     ("h100_pcie", "h100-pcie"), ("cpu-core", "cpu-core")],
)  # fmt: skip
def test_devices_go_by_their_usual_names(name, found):
    assert TABLES.device(name).id == found


def test_an_unknown_device_is_never_priced_as_another():
    with pytest.raises(InputError, match=r"device 'h1000' is unknown; did you mean .*h100-sxm"):
        estimate(flops=1e22, device="h1000")


@pytest.mark.parametrize(
    ("name", "found"), [("Germany", "deu"), ("us-central1", "us-central1"), ("US", "usa")]
)
def test_grids_go_by_country_code_or_cloud_region(name, found):
    assert TABLES.grid(name).id == found


def test_an_overlay_row_wins_and_says_so(tmp_path):
    ours = overlay(
        tmp_path,
        """
        [[prices]]
        device = "h100-sxm"
        kind = "on-demand"
        usd_h = 1.75
        provider = "our contract"
        as_of = 2026-10-01
        source = "contract 4711"
        """,
    )
    e = estimate(flops=1e24, device="h100", tables=ours, today=TODAY)
    assert e.inputs["price"].value == e.inputs["price"].high == 1.75
    assert "contract 4711 [overlay ours.toml] (2026-10-01)" in e["usd"].sources
    assert estimate(flops=1e24, device="h100", today=TODAY).inputs["price"].value == 2.95


def test_an_overlays_price_goes_by_any_name_of_the_device_and_is_checked(tmp_path):
    row = "[[prices]]\ndevice='H100'\nkind='on-demand'\nusd_h={}\nprovider='p'\nas_of='2026'\n"
    row += "source='s'\n"
    e = estimate(flops=1e22, device="h100", tables=overlay(tmp_path, row.format(0.5)), today=TODAY)
    assert e.inputs["price"].value == 0.5
    assert "price_off_kind" in {n.code for n in e.warnings}
    with pytest.raises(InputError, match="far from the on-demand rows"):
        estimate(flops=1e22, device="h100", tables=overlay(tmp_path, row.format(0.001)))


def test_an_overlays_constant_leaves_its_neighbours(tmp_path):
    ours = overlay(
        tmp_path,
        """
        [constants.utilisation.h100]
        value = 0.40
        low = 0.35
        high = 0.45
        as_of = 2026-10-01
        source = "our last ten runs"
        """,
    )
    assert estimate(flops=1e22, device="h100", tables=ours).inputs["utilisation"].low == 0.35
    assert estimate(flops=1e22, device="a100", tables=ours).inputs["utilisation"].value == 0.35


def test_an_overlays_preset_is_used(tmp_path):
    ours = overlay(
        tmp_path,
        """
        [presets.lab]
        pue = 1.5
        node_overhead = 1.2
        as_of = "2026"
        source = "our electrician"
        """,
    )
    assert estimate(flops=1e22, preset="lab", device="h100", tables=ours).inputs["pue"].value == 1.5


def test_an_overlay_adds_a_device_and_changes_one(tmp_path):
    ours = overlay(
        tmp_path,
        """
        [[devices]]
        id = "h100-sxm"
        tdp_w = 650
        as_of = "2026-10"
        source = "power capped"
        [[devices]]
        id = "x1"
        name = "X1"
        peak_tflops = 100
        as_of = "2026-10"
        source = "datasheet"
        """,
    )
    assert ours.device("h100").tdp_w == 650
    assert ours.device("h100").peak_tflops == 989
    assert estimate(flops=1e20, device="x1", tables=ours)["device_hours"].value > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[prizes]]\n", "unknown section 'prizes'"),
        ("[[devices]]\nid = 'h100-sxm'\ntdp_w = 1\n", "source is missing"),
        ("[[devices]]\nid = 'x'\nsource = 's'\nas_of = '2026'\n", "name is missing"),
        ("[[prices]]\ndevice = 'h100-sxm'\nusd = 1\n", "unknown column 'usd'"),
        (("[[prices]]\ndevice='h100-sxm'\nkind='cheap'\nusd_h=1\nprovider='p'\nas_of='2026'\n"
         "source='s'\n"), "kind must be one of"),
        (("[[prices]]\ndevice='h100-sxm'\nkind='spot'\nusd_h='two'\nprovider='p'\nas_of='2026'\n"
         "source='s'\n"), "'two' is not a float"),
        ("[constants.power_share]\nvalue = 0.8\n", "constants.power_share: source is missing"),
        ("[[devices]]\nid='h100-sxm'\nsource='s'\nas_of='lately'\n", "as_of must be a year"),
        ("= 3", "overlay .*ours.toml"),
    ],
)  # fmt: skip
def test_a_bad_overlay_is_named(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        overlay(tmp_path, text)


def test_a_missing_overlay_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.toml"):
        load_tables(tmp_path / "nowhere.toml")


def test_what_is_not_read_or_only_assumed_says_so_in_its_source():
    """Other words for a guess must not hide one from `Estimate.unverified`."""
    folder = files("fitting.costs") / "tables"
    for name in (
        "devices.csv",
        "prices.csv",
        "grids.csv",
        "models.csv",
        "runs.csv",
        "constants.toml",
    ):
        for line in (folder / name).read_text("utf-8").splitlines():
            plain = line.lower()
            assert "recalled" not in plain, line
            assert "remembered" not in plain or "as remembered, unverified" in plain, line


def test_every_devices_server_overhead_has_a_source_of_its_own():
    for device in load_tables().devices.values():
        assert device.source_of("node").startswith("node: "), device.id
        assert device.source_of("peak").startswith(device.source.split("; ")[0]), device.id
    h100 = load_tables().device("h100")
    assert h100.source_of("node") == "node: DGX H100 10.2 kW/8 = 1,275 W (2026-08)"
    assert h100.source_of("power").endswith("cites vendor pages) (2026-08)")


def test_an_estimate_lists_the_assumptions_it_rests_on():
    e = estimate(flops=1e20, device="cpu-core")
    by_figure = {n for names in e.unverified.values() for n in names}
    assert {"device_hours", "usd", "energy_kwh", "tco2e", "water_l"} <= by_figure
    assert e.to_dict()["unverified"][0].keys() == {"source", "figures"}
    price = estimate(flops=1e20, device="tpu-v5p").unverified
    assert "usd" in price["list price as remembered, unverified (2025)"]
    known = estimate(flops=1e20, device="h100", measured_mfu=0.4, region="usa")
    assert not {"device_hours", "usd", "energy_kwh"} & {
        n for v in known.unverified.values() for n in v
    }
