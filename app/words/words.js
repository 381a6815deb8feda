// Words that show, when pointed at, where every head looks from there and what is expected next. Nothing here asks Python
// for anything, except the field above the words: what is typed there is sent shortly after typing stops.

const SEND_AFTER_MS = 250
const percent = (p) => (p > 0 && p < 0.005 ? "<1%" : Math.round(100 * p) + "%")

function made(tag, kind, text) {
  const element = document.createElement(tag)
  if (kind) element.className = kind
  if (text !== undefined) element.textContent = text // never as HTML: words may come from anywhere
  return element
}

function attach(root) {
  const find = (name) => root.querySelector(name)
  const line = find(".line")
  const heads = find(".heads")
  const field = find(".ask input")
  const depth = find(".depth input")
  // held: the word that was clicked; at: the one pointed at; open: the head whose pattern is shown
  const state = { held: 0, at: 0, open: -1, stage: 0, adopt: null, timer: 0, signature: "" }
  let data = null
  let bytes = new Uint8Array()

  const weight = (head, query, key) => bytes[(head * data.tokens.length + query) * data.tokens.length + key] / 255
  const place = (i) => `“${data.tokens[i]}” (${i})`
  const most = (head, query) => {
    let best = 0
    for (let key = 1; key < data.tokens.length; key++) if (weight(head, query, key) > weight(head, query, best)) best = key
    return best
  }

  const drawBars = () => {
    const found = data.next.length ? data.next[state.stage][state.at] : []
    find(".next").hidden = !data.next.length
    find(".next h2").textContent = `Expected after ${place(state.at)}`
    find(".depth").hidden = data.stages.length < 2
    find(".depth span").textContent = data.stages[state.stage]
    depth.max = data.stages.length - 1
    depth.value = state.stage
    depth.setAttribute("aria-valuetext", data.stages[state.stage])
    const bars = find(".bars")
    while (bars.children.length > found.length) bars.lastChild.remove()
    while (bars.children.length < found.length) {
      const item = made("li")
      const room = made("span", "room")
      room.append(made("span", "fill"))
      item.append(made("span", "name"), room, made("span", "share"))
      bars.append(item)
    }
    found.forEach(([word, p], i) => {
      const [name, room, share] = bars.children[i].children
      name.textContent = word
      name.title = word
      name.classList.toggle("right", word === data.tokens[state.at + 1])
      room.firstChild.style.width = 100 * p + "%"
      share.textContent = percent(p)
    })
  }
  const drawLooks = () => {
    find(".looks h2").textContent = `Where each head looks from ${place(state.at)}`
    ;[...heads.children].forEach((tile, head) => {
      const cells = tile.querySelector(".strip").children
      for (let key = 0; key < cells.length; key++) cells[key].style.setProperty("--w", weight(head, state.at, key))
      const best = most(head, state.at)
      const looks = `looks most at ${place(best)}: ${percent(weight(head, state.at, best))}`
      tile.title = `Head ${data.heads[head]} ${looks}`
      // What it is called begins with what stands on it, for those who speak to their computer.
      tile.setAttribute("aria-label", `${data.heads[head]} ${data.notes[head] ?? ""} ${looks}`)
      tile.setAttribute("aria-expanded", head === state.open)
    })
  }
  const drawWords = () => {
    ;[...line.children].forEach((word, i) => {
      const w = state.open < 0 ? 0 : weight(state.open, state.at, i)
      word.style.setProperty("--w", w)
      word.setAttribute("aria-selected", i === state.at)
      word.classList.toggle("held", i === state.held)
      word.tabIndex = i === state.held ? 0 : -1
    })
    for (const cell of find(".pattern").querySelectorAll("[data-query]")) cell.classList.toggle("now", +cell.dataset.query === state.at)
    if (!data) return
    const next = data.next.length ? data.next[state.stage][state.at][0] : null
    const parts = [place(state.at)]
    if (next) parts.push(`most expected next: ${next[0]} (${percent(next[1])})`)
    if (state.open >= 0) {
      const best = most(state.open, state.at)
      parts.push(`head ${data.heads[state.open]} looks most at ${place(best)} (${percent(weight(state.open, state.at, best))})`)
    }
    find(".said").textContent = parts.join(" · ")
  }
  const drawPattern = () => {
    const pattern = find(".pattern")
    find(".open").hidden = state.open < 0
    pattern.replaceChildren()
    if (state.open < 0) return
    const n = data.tokens.length
    find(".open h2").textContent = `Head ${data.heads[state.open]}` + (data.notes.length ? `: ${data.notes[state.open]}` : "")
    find(".key").lastChild.textContent =
      "Rows look at columns: the fuller the colour, the more." + (data.targets.length ? " A ring marks where the answer can be found." : "")
    pattern.style.gridTemplateColumns = `auto repeat(${n}, 20px)`
    for (let query = 0; query < n; query++) {
      const name = made("span", "row", data.tokens[query])
      name.dataset.query = query
      pattern.append(name)
      for (let key = 0; key < n; key++) {
        const w = weight(state.open, query, key)
        const cell = made("span", data.targets[query] === key ? "cell target" : "cell")
        cell.style.setProperty("--w", w)
        cell.dataset.query = query
        cell.title = `${place(query)} looks at ${place(key)}: ${percent(w)}`
        pattern.append(cell)
      }
    }
    pattern.append(made("span"), ...data.tokens.map((token) => made("span", "column", token)))
  }
  const point = (i) => {
    if (i === state.at) return
    state.at = i
    draw()
  }
  const draw = () => {
    drawBars()
    drawLooks()
    drawWords()
  }
  const hold = (i) => {
    state.held = state.at = i
    draw()
  }
  const open = (head) => {
    state.open = head === state.open ? -1 : head
    drawPattern()
    draw()
  }
  // Arrow keys among the children of a box: the new one gets the focus.
  const arrows = (box, event, chosen) => {
    const n = box.children.length
    const now = [...box.children].indexOf(event.target.closest("button"))
    const to = { ArrowRight: now + 1, ArrowLeft: now - 1, ArrowDown: now + 1, ArrowUp: now - 1, Home: 0, End: n - 1 }[event.key]
    if (now < 0 || to === undefined) return
    event.preventDefault()
    const i = Math.min(Math.max(to, 0), n - 1)
    if (chosen) chosen(i)
    box.children[i].focus()
  }

  const indexIn = (box, event) => [...box.children].indexOf(event.target.closest("button"))
  line.addEventListener("pointerover", (event) => {
    const i = indexIn(line, event)
    if (i >= 0 && event.pointerType !== "touch") point(i)
  })
  line.addEventListener("pointerleave", () => point(state.held))
  line.addEventListener("click", (event) => indexIn(line, event) >= 0 && hold(indexIn(line, event)))
  line.addEventListener("keydown", (event) => arrows(line, event, hold))
  heads.addEventListener("click", (event) => indexIn(heads, event) >= 0 && open(indexIn(heads, event)))
  heads.addEventListener("keydown", (event) => arrows(heads, event))
  find(".close").addEventListener("click", () => {
    const was = state.open
    open(was)
    heads.children[was]?.focus()
  })
  root.querySelector(".all").addEventListener("keydown", (event) => {
    if (event.key === "Escape" && state.open >= 0) find(".close").click()
  })
  find(".pattern").addEventListener("pointerover", (event) => event.target.dataset.query && point(+event.target.dataset.query))
  find(".pattern").addEventListener("pointerleave", () => point(state.held))
  find(".pattern").addEventListener("click", (event) => event.target.dataset.query && hold(+event.target.dataset.query))
  depth.addEventListener("input", () => {
    state.stage = +depth.value
    draw()
  })
  const send = () => {
    clearTimeout(state.timer)
    if (field.value !== state.sent) state.component.setStateValue("text", (state.sent = field.value))
  }
  field.addEventListener("input", () => {
    clearTimeout(state.timer)
    state.timer = setTimeout(send, SEND_AFTER_MS)
  })
  field.addEventListener("keydown", (event) => event.key === "Enter" && send())

  state.receive = (component) => {
    state.component = component
    const fresh = component.data
    const signature = JSON.stringify(fresh)
    if (signature === state.signature) return // the page ran again, and nothing here has changed
    state.signature = signature
    const sameWords = data && data.tokens.join("\n") === fresh.tokens.join("\n")
    const sameStages = data && data.stages.length === fresh.stages.length
    data = fresh
    bytes = Uint8Array.from(atob(data.weights), (letter) => letter.charCodeAt(0))
    find(".ask").hidden = data.text === null
    if (data.text !== null && state.adopt !== data.adopt) {
      field.value = state.sent = data.text
      state.adopt = data.adopt
    }
    if (!sameWords) {
      state.held = state.at = data.tokens.length - 1
      line.replaceChildren(
        ...data.tokens.map((token, i) => {
          const word = made("button", "word", token)
          word.type = "button"
          word.setAttribute("role", "option")
          word.setAttribute("aria-label", `${token}, position ${i}`)
          return word
        }),
      )
    }
    if (!sameStages) state.stage = data.stages.length - 1
    if (state.open >= data.heads.length) state.open = -1
    find(".looks").hidden = !data.heads.length
    heads.classList.toggle("plain", !data.notes.length) // nothing but a name and a strip: more of them in a row
    heads.replaceChildren(
      ...data.heads.map((name, i) => {
        const tile = made("button", "head")
        tile.type = "button"
        tile.append(made("b", "", name), " ", made("span", "note", data.notes[i] ?? ""))
        const strip = made("span", "strip")
        strip.append(...data.tokens.map(() => made("i")))
        tile.append(strip)
        return tile
      }),
    )
    drawPattern()
    draw()
  }
  return state
}

export default function (component) {
  const root = component.parentElement
  if (!root.wordsState) root.wordsState = attach(root)
  root.wordsState.receive(component)
}
