// Two buttons at the very beginning of the document, seen while they have the focus. They are made once per tab.

const STYLE = `
.mi-skip button { position: fixed; top: 8px; left: 8px; z-index: 1000001; padding: 8px 16px; font: 600 16px sans-serif;
  border: 2px solid #fff; border-radius: 6px; background: #004f7c; color: #fff; cursor: pointer }
.mi-skip button:not(:focus) { clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden }
`

const editor = () => {
  for (const host of document.querySelectorAll("[data-testid=stBidiComponentIsolated]")) {
    const area = host.shadowRoot?.querySelector("textarea")
    if (area) return area
  }
  return null
}
const page = () => {
  const main = document.querySelector("[data-testid=stMain]")
  if (main) main.tabIndex = -1
  return main
}

export default function () {
  if (document.querySelector(".mi-skip")) return
  const bar = document.createElement("nav")
  bar.className = "mi-skip"
  bar.setAttribute("aria-label", "Skip links")
  bar.innerHTML = `<style>${STYLE}</style>`
  const links = [["Skip to the editor", editor], ["Skip to the page", page]].map(([label, find]) => {
    const button = document.createElement("button")
    button.textContent = label
    button.addEventListener("click", () => find()?.focus())
    bar.append(button)
    return [button, find]
  })
  // A page without an editor has no link to one. Looked at before Tab moves the focus.
  window.addEventListener("keydown", (event) => {
    if (event.key === "Tab") for (const [button, find] of links) button.hidden = !find()
  }, true)
  document.body.prepend(bar)
}
