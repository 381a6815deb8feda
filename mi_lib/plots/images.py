"""Images: for a page in the browser, for a figure, for a file."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import Any

import numpy as np


def png(image: Any, zoom: int = 1) -> bytes:
    """A PNG of an image [rgb h w] or [h w] with values from 0 to 1; each pixel `zoom` pixels wide, unblurred."""
    from PIL import Image

    values = pixels(image)
    picture = Image.fromarray(values.repeat(zoom, 0).repeat(zoom, 1))
    out = io.BytesIO()
    picture.save(out, format="PNG")
    return out.getvalue()


def pixels(image: Any) -> np.ndarray:
    """[h w rgb], whole numbers from 0 to 255, of [rgb h w] or of a grey [h w], from 0 to 1.

    ValueError for another shape.
    """
    values = image.detach().float().cpu().numpy() if hasattr(image, "detach") else np.asarray(image, dtype=float)
    if values.ndim == 2:
        values = values[None].repeat(3, 0)
    if values.ndim != 3 or len(values) != 3:
        raise ValueError(f"an image is [3 h w] or [h w], not of shape {values.shape}")
    return (values.clip(0, 1) * 255).round().astype(np.uint8).transpose(1, 2, 0)


def data_url(image: Any, zoom: int = 1) -> str:
    """An image as an address that holds it whole: for a page without files beside it."""
    return "data:image/png;base64," + base64.b64encode(png(image, zoom)).decode()


def page(title: str, text: str, rows: Sequence[tuple[str, str, Sequence[tuple[str, Any]]]]) -> str:
    """An HTML page in one file. rows: (heading, a sentence, images with their captions)."""
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body><h1>{html.escape(title)}</h1>",
        f"<p>{html.escape(text)}</p>",
    ]
    for heading, sentence, images in rows:
        parts.append(f"<h2>{html.escape(heading)}</h2><p>{html.escape(sentence)}</p><div class='row'>")
        for caption, image in images:
            words = html.escape(caption)
            parts.append(
                f"<figure><img src='{data_url(image, 2)}' alt='{words}'><figcaption>{words}</figcaption></figure>"
            )
        parts.append("</div>")
    return "".join([*parts, "</body></html>\n"])


_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
.row { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; width: 104px; }
img { width: 104px; height: 104px; image-rendering: pixelated; border-radius: 4px; }
figcaption { font-size: 0.8rem; }
"""
