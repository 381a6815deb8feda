// What a word means, in a bubble beside it. One bubble and one set of listeners per tab. A word is a link to its entry,
// whose title says what the entry says; without this script the link and the title still work.

const WORD = 'a[href^="glossary?"]'
const STYLE = `
.mi-bubble { position: fixed; z-index: 1000000; box-sizing: border-box; max-width: min(24rem, calc(100vw - 16px));
  padding: .6rem .8rem; border: 1px solid color-mix(in srgb, currentColor 35%, transparent); border-radius: 8px;
  font: 400 .95rem/1.45 "Source Sans", sans-serif; box-shadow: 0 4px 16px rgb(0 0 0 / .25) }
.mi-bubble[hidden] { display: none }
.mi-bubble b { display: block; margin-bottom: .15rem }
.mi-bubble a { display: inline-block; margin-top: .35rem; color: inherit; font-size: .85rem }
`

export default function () {
  if (document.querySelector(".mi-bubble")) return
  const bubble = document.createElement("div")
  bubble.className = "mi-bubble"
  bubble.id = "mi-bubble"
  bubble.hidden = true
  bubble.setAttribute("role", "tooltip")
  const style = document.createElement("style")
  style.textContent = STYLE
  document.head.append(style)
  document.body.append(bubble)
  let word = null
  let leaving = 0
  let touched = false

  const hide = () => {
    clearTimeout(leaving)
    word?.removeAttribute("aria-describedby")
    word = null
    bubble.hidden = true
  }
  const hideSoon = () => {
    clearTimeout(leaving)
    leaving = setTimeout(hide, 250) // time enough to reach the bubble with the mouse
  }
  const show = (link) => {
    clearTimeout(leaving)
    if (link === word) return
    hide()
    word = link
    if (link.title) {
      link.dataset.entry = link.title // or the browser would show its own bubble as well
      link.removeAttribute("title")
    }
    const [name, ...text] = (link.dataset.entry ?? "").split(": ")
    const bold = document.createElement("b")
    bold.textContent = name
    const more = document.createElement("a")
    more.href = link.href
    more.target = link.target
    more.rel = "noopener"
    more.textContent = "in the glossary"
    bubble.replaceChildren(bold, text.join(": "), document.createElement("br"), more)
    const page = getComputedStyle(document.querySelector(".stApp") ?? document.body)
    bubble.style.background = page.backgroundColor
    bubble.style.color = page.color
    link.setAttribute("aria-describedby", bubble.id)
    bubble.hidden = false
    place(link)
  }
  const place = (link) => {
    const at = link.getClientRects()[0] // a word that is broken over two lines has two
    const size = bubble.getBoundingClientRect()
    const left = Math.max(8, Math.min(at.left, innerWidth - size.width - 8))
    const below = at.bottom + 6
    const fits = below + size.height < innerHeight - 8
    bubble.style.left = `${left}px`
    bubble.style.top = `${fits ? below : Math.max(8, at.top - size.height - 6)}px`
  }
  const wordAt = (event) => event.target instanceof Element && event.target.closest(WORD)
  const inBubble = (event) => event.target instanceof Node && bubble.contains(event.target)

  document.addEventListener("pointerover", (event) => {
    if (event.pointerType !== "mouse") return
    const link = wordAt(event)
    if (link) show(link)
    else if (inBubble(event)) clearTimeout(leaving)
    else if (word && word !== document.activeElement) hideSoon()
  })
  document.addEventListener("focusin", (event) => {
    const link = wordAt(event)
    if (link?.matches(":focus-visible")) show(link)
    else if (!inBubble(event)) hide()
  })
  if (document.activeElement?.matches(`${WORD}:focus-visible`)) show(document.activeElement) // reached before this ran
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide())
  document.addEventListener("scroll", () => word && place(word), { capture: true, passive: true })
  document.addEventListener("pointerdown", (event) => (touched = event.pointerType === "touch"), true)
  document.addEventListener("click", (event) => {
    const link = wordAt(event)
    if (link && touched) {
      event.preventDefault() // a finger cannot hover: the tap opens the bubble, and the link is in it
      show(link)
    } else if (!inBubble(event)) hide()
  }, true)
}
