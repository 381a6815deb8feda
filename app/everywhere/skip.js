// A button at the very beginning of the document, seen while it has the focus. It is made once per tab. Streamlit has a
// link of its own to the main content; this one stands before it.

const STYLE = `
.mi-skip button { position: fixed; top: 8px; left: 8px; z-index: 1000001; padding: 8px 16px; font: 600 16px sans-serif;
  border: 2px solid #fff; border-radius: 6px; background: #004f7c; color: #fff; cursor: pointer }
:is([data-testid=stVerticalBlock], [data-testid=stCode] pre)[tabindex="0"]:focus-visible { outline: 3px solid #d55e00 }
.mi-skip button:not(:focus) { clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden }
`

const editor = () => {
  for (const host of document.querySelectorAll("[data-testid=stBidiComponentIsolated]")) {
    const area = host.shadowRoot?.querySelector("textarea")
    if (area) return area
  }
  return null
}
// Boxes that are scrolled sideways (`common.scrolled`, and code), as far as they are wider than the window now.
const WIDE = "[data-testid=stVerticalBlock][class*=st-key-], [data-testid=stCode] pre"
const reachable = () => {
  for (const box of document.querySelectorAll(WIDE)) {
    const wide = box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).overflowX === "auto"
    if (wide === (box.tabIndex === 0)) continue
    const what = box.matches("pre") ? "Code with long lines" : "A wide figure"
    const named = { tabindex: "0", role: "region", "aria-label": `${what}. Arrow keys scroll it.` }
    for (const [name, value] of Object.entries(named)) wide ? box.setAttribute(name, value) : box.removeAttribute(name)
  }
}
let soon = 0
const lookSoon = () => {
  if (!soon) soon = setTimeout(() => {
    soon = 0
    reachable()
  }, 300)
}

export default function () {
  if (document.querySelector(".mi-skip")) return
  const bar = document.createElement("nav")
  bar.className = "mi-skip"
  bar.setAttribute("aria-label", "Skip link")
  bar.innerHTML = `<style>${STYLE}</style>`
  const button = document.createElement("button")
  button.textContent = "Skip to the editor"
  button.addEventListener("click", () => editor()?.focus())
  bar.append(button)
  // A page without an editor has no link to one. Looked at before Tab moves the focus.
  window.addEventListener("keydown", (event) => event.key === "Tab" && (button.hidden = !editor()), true)
  document.body.prepend(bar)
  new MutationObserver(lookSoon).observe(document.body, { childList: true, subtree: true })
  window.addEventListener("resize", lookSoon)
  lookSoon()
}
