"""The language of a text, by py3langid: a naive Bayes model over bytes that its wheel contains.

fastText's model, which datatrove's own filter uses, would have to be downloaded.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from fitting.errors import InputError

SURE = 0.65  # FineWeb's threshold; py3langid gives a sentence of ten words .9 and more


@cache
def _identifier() -> Any:
    """Loaded once a process, in a second or two."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415  the extra `web`

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def language_of(text: str) -> tuple[str, float]:
    """The likeliest language's code (ISO 639-1 where there is one) and its probability."""
    code, p = _identifier().classify(text)
    return str(code), float(p)


def verdict(code: str, p: float, wanted: Sequence[str]) -> str:
    """The reason to drop a text of this language; empty: keep it."""
    if p < SURE:
        return "unsure"
    return "" if code in wanted else code


def check_languages(languages: Sequence[str]) -> None:
    known = sorted(_identifier().labels)
    for code in languages:
        if code not in known:
            raise InputError(
                f"languages must be codes among {', '.join(known)}; got {code!r}",
                field="languages",
            )
    if not languages:
        raise InputError("languages must name at least one code, such as en", field="languages")
