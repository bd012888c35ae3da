from sqlalchemy.engine import make_url

from store.settings import load_settings


def test_everything_lies_under_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("ISOFLOP_HOME", str(tmp_path))
    settings = load_settings()
    assert settings.url == f"sqlite:///{tmp_path}/isoflop.db"
    assert {settings.runs.parent, settings.corpora.parent} == {tmp_path}


def test_a_home_may_have_any_name(tmp_path):
    home = tmp_path / "q?mode=ro&a=%20 #"
    assert make_url(load_settings(home).url).database == str(home / "isoflop.db")


def test_an_argument_wins_over_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("ISOFLOP_HOME", "/elsewhere")
    assert load_settings(tmp_path).home == tmp_path


def test_the_database_may_be_elsewhere_and_its_password_is_not_printed(monkeypatch):
    monkeypatch.setenv("ISOFLOP_DATABASE_URL", "postgresql://u:secret@h/d")
    settings = load_settings()
    assert settings.url == "postgresql://u:secret@h/d"
    assert "secret" not in repr(settings)
