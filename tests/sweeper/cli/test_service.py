"""The halves of the service, started on a database that they cannot use."""

import signal

import pytest
from sqlalchemy import text

from store.engine import make_engine
from store.migrate import upgrade
from sweeper.cli import main


@pytest.fixture
def isoflop(monkeypatch, capsys, tmp_path):
    """Runs a command on a home; gives its exit code and what it said on standard error."""
    monkeypatch.delenv("ISOFLOP_DATABASE_URL", raising=False)
    monkeypatch.setenv("ISOFLOP_HOME", str(tmp_path))  # `up` sets it: put back what was there
    listened = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def call(command, home=tmp_path / "home"):
        monkeypatch.setattr("sys.argv", ["isoflop", command, "--home", str(home)])
        with pytest.raises(SystemExit) as end:
            main.run()
        return end.value.code, " ".join(capsys.readouterr().err.split())

    yield call
    for number, handler in listened.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("command", ["serve", "work"])
def test_an_empty_home_asks_to_be_migrated(isoflop, tmp_path, command):
    (tmp_path / "home").mkdir()
    code, said = isoflop(command)
    assert code == 2
    assert "the database is at schema nothing" in said
    assert "run `isoflop migrate`" in said


@pytest.mark.parametrize("command", ["serve", "work"])
def test_no_home_is_said_in_a_sentence(isoflop, command):
    code, said = isoflop(command)
    assert code == 2
    assert "cannot be opened: unable to open database file" in said
    assert "a new home is made by `isoflop migrate`" in said


@pytest.mark.parametrize("command", ["serve", "work", "up", "migrate"])
def test_a_newer_database_is_left_alone(isoflop, tmp_path, command):
    home = tmp_path / "home"
    home.mkdir()
    engine = make_engine(f"sqlite:///{home / 'isoflop.db'}")
    upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    code, said = isoflop(command)
    assert code == 2
    assert "written by a newer isoflop" in said


@pytest.mark.parametrize("command", ["serve", "work", "up", "migrate"])
def test_a_database_url_that_is_none_is_bad_input(isoflop, monkeypatch, command):
    monkeypatch.setenv("ISOFLOP_DATABASE_URL", "secret")
    code, said = isoflop(command)
    assert code == 2
    assert "database_url must be sqlite:///file or postgresql://" in said
    assert "secret" not in said
