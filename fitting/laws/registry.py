"""Every law by name."""

from fitting.errors import InputError
from fitting.laws.chinchilla import Chinchilla
from fitting.laws.farseer import Farseer
from fitting.laws.frontier import Frontier
from fitting.laws.gadre import Gadre
from fitting.laws.kaplan import Kaplan
from fitting.laws.muennighoff import Muennighoff
from fitting.laws.protocol import Law

LAWS: dict[str, Law] = {
    law.name: law for law in (Chinchilla(), Frontier(), Kaplan(), Farseer(), Muennighoff(), Gadre())
}


def law_named(name: str) -> Law:
    """The law of that name.

    Raises:
        InputError: there is none.
    """
    if name not in LAWS:
        raise InputError(f"law must be one of {', '.join(LAWS)}; got {name!r}", field="law")
    return LAWS[name]
