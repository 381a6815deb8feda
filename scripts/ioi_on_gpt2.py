"""The circuit of Wang et al. 2022 (arXiv 2211.00593) in GPT-2 small: heads found by this library against published.

    python scripts/ioi_on_gpt2.py                    # gpt2 from the hub, some minutes on a laptop
    python scripts/ioi_on_gpt2.py ./my-gpt2          # a folder
    python scripts/ioi_on_gpt2.py --prompts 60 --seed 1

Any model that reads English will do; the published names are those of GPT-2 small. The prompts are our own sentences,
and the thresholds are those of `mi_lib.circuits.head_roles`, so that heads at the edge of a role may differ.
"""

from __future__ import annotations

import argparse

import torch

from mi_lib import load
from mi_lib.circuits import against_published, head_roles, sentence_data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="gpt2", help="a hub id or a folder")
    parser.add_argument("--prompts", type=int, default=90)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    model = load(asked.model)
    data = sentence_data(model, asked.prompts, asked.seed)
    with torch.no_grad():
        difference = data.metric(model(data.clean))
    print(f"{len(data)} prompts of {data.clean.shape[1]} tokens in {len(data.template.unique())} templates")
    print(
        f"logit(IO) - logit(S): {difference.mean():.2f} in the mean, above 0 in {(difference > 0).float().mean():.1%}"
    )
    print(f"{'role':<18}{'found and published':<34}{'published alone':<44}found alone")
    for row in against_published(head_roles(model, data).roles):
        cells = (", ".join(map(short, heads)) or "none" for heads in (row.both, row.missing, row.added))
        print("{:<18}{:<34}{:<44}{}".format(row.role, *cells))


def short(head: str) -> str:
    """ "a9.h6" as the paper writes it: 9.6."""
    return head.removeprefix("a").replace(".h", ".")


if __name__ == "__main__":
    main()
