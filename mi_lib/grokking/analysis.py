"""`analyse`: take a network that nobody has looked at, find its frequencies, and say whether it has grokked."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.grokking import logits as in_logits
from mi_lib.grokking.fourier import harmonic, spectrum
from mi_lib.grokking.networks import EveryInput, every_input
from mi_lib.grokking.neurons import Neurons, key_frequencies, neuron_frequencies
from mi_lib.models import HookedModel

STRONG = 0.05  # a strong frequency holds this share of the embedding's energy, and twice what an even spread gives it
GATHERED = 0.9  # an embedding that a grokked network uses up has this share at key frequencies and second harmonics


@dataclass(frozen=True)
class Analysis:
    """What was found in a network. Shares are of 1."""

    inputs: EveryInput
    neurons: Neurons
    frequencies: tuple[int, ...]  # key frequencies, ascending
    sign: int  # +1: the waves are of a + b − c; −1: of a − b − c
    spectrum: Float[Tensor, " frequency"]  # of the embedding
    waves: Float[Tensor, " frequency"]  # share of the logits' variance along each cos w_k(a ± b − c)
    amplitudes: dict[int, float]  # of the key waves in the logits
    accuracy: float  # of the network, on all pairs, at a + sign·b
    formula_accuracy: float  # of Σ A_k cos w_k(a ± b − c) alone

    @property
    def p(self) -> int:
        return self.inputs.p

    @property
    def embedding_share(self) -> float:
        """The embedding's energy at the key frequencies and their second harmonics."""
        kept = {*self.frequencies, *(harmonic(k, self.p) for k in self.frequencies)}
        return sum(self.spectrum[k - 1].item() for k in kept)

    @property
    def key_share(self) -> float:
        """The embedding's energy at the key frequencies alone."""
        return sum(self.spectrum[k - 1].item() for k in self.frequencies)

    @property
    def without_neurons(self) -> tuple[int, ...]:
        """Frequencies that are strong in the embedding although no neurons belong to them, ascending.

        Second harmonics of key frequencies are left out: they come with the waves that the neurons use.
        """
        accounted = {*self.frequencies, *(harmonic(k, self.p) for k in self.frequencies)}
        bound = max(STRONG, 2 / len(self.spectrum))
        strong = (self.spectrum >= bound).nonzero().flatten() + 1
        return tuple(int(k) for k in strong if int(k) not in accounted)

    @property
    def embedding_note(self) -> str:
        """What the embedding holds at key frequencies and elsewhere, for people."""
        said = "No frequency is strong in its embedding."
        if self.frequencies:
            only = "" if self.embedding_share >= GATHERED else "only "
            said = (
                f"Of the energy of its embedding, {only}{self.embedding_share:.0%} lies at key frequencies and their "
                "second harmonics."
            )
        if not self.without_neurons:
            return said
        ks = ", ".join(f"{k} ({self.spectrum[k - 1]:.0%})" for k in self.without_neurons)
        strong = f"strong in its embedding without neurons of their own: {ks}."
        return f"{said} Also {strong}" if self.frequencies else f"Frequencies {strong}"

    @property
    def wave_share(self) -> float:
        """The share of the logits' variance that the key waves explain."""
        return sum(self.waves[k - 1].item() for k in self.frequencies)

    @property
    def one_frequency(self) -> float:
        """The share of live neurons that one frequency explains to at least 85 %; 0 if none is alive."""
        if not bool(self.neurons.live.any()):
            return 0.0
        return (self.neurons.explained[self.neurons.live] >= 0.85).double().mean().item()

    @property
    def grokked(self) -> bool:
        """Whether key waves exist and carry at least half of the logits' variance."""
        return bool(self.frequencies) and self.wave_share >= 0.5

    @property
    def verdict(self) -> str:
        """One sentence for people, and `embedding_note` where the embedding does not fit what it says."""
        fits = not self.without_neurons and (not self.frequencies or self.embedding_share >= GATHERED)
        return self._of_waves if fits else f"{self._of_waves} {self.embedding_note}"

    @property
    def _of_waves(self) -> str:
        if not self.frequencies:
            return "This network has not grokked: no frequency has neurons of its own."
        ks = ", ".join(map(str, self.frequencies))
        if not self.grokked:
            return (
                f"This network has not grokked (yet): neurons gather at frequencies {ks}, but the waves carry only "
                f"{self.wave_share:.0%} of the variance of its logits."
            )
        task = "a + b" if self.sign == 1 else "a − b"
        if self.accuracy < 0.999:
            return (
                f"This network is on its way to {task} mod {self.p}: waves of frequencies {ks} carry "
                f"{self.wave_share:.0%} of the variance of its logits, and it answers {self.accuracy:.0%} of all sums."
            )
        return (
            f"This network has grokked {task} mod {self.p}: waves of frequencies {ks} carry {self.wave_share:.0%} of "
            f"the variance of its logits."
        )


def analyse(model: HookedModel) -> Analysis:
    """Analyse any network of this architecture, with any odd p, with or without a logit for "=".

    The frequencies are found by `key_frequencies`, and the sign by which of the waves the logits hold more of. Raises
    ValueError for a network of another shape.
    """
    inputs = every_input(model)
    neurons = neuron_frequencies(inputs.neurons)
    frequencies = key_frequencies(neurons)
    shares = {sign: in_logits.wave_shares(inputs.logits, sign) for sign in (1, -1)}
    sign = max(shares, key=lambda s: shares[s].sum().item())
    amplitudes = in_logits.amplitudes(inputs.logits, frequencies, sign)
    numbers = torch.arange(inputs.p)
    answers = ((numbers[:, None] + sign * numbers) % inputs.p).flatten()
    return Analysis(
        inputs=inputs,
        neurons=neurons,
        frequencies=tuple(frequencies),
        sign=sign,
        spectrum=spectrum(inputs.embedding),
        waves=shares[sign],
        amplitudes=amplitudes,
        accuracy=in_logits.accuracy(inputs.logits, answers),
        formula_accuracy=in_logits.accuracy(in_logits.formula_logits(inputs.p, amplitudes, sign), answers),
    )
