/**
 * The only script of the shop, which does without it as well: shows what other tabs put into the cart, and says when the
 * session has ended.
 */
const ENDED = 4401

const badge = document.querySelector(".count")
const notice = document.querySelector("template.ended")

let wait = 1_000

const connect = () => {
  const socket = new WebSocket(location.origin.replace("http", "ws") + "/live")
  socket.addEventListener("message", ({ data }) => {
    badge.textContent = data
    wait = 1_000
  })
  socket.addEventListener("close", ({ code }) => {
    if (code === ENDED) return document.querySelector("main").prepend(notice.content)
    // The server was started anew, or there was a login in another tab: the next handshake has the new cookie.
    setTimeout(connect, wait)
    wait = Math.min(2 * wait, 60_000)
  })
}

connect()
