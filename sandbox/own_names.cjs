'use strict'

// Loaded before Azurite and MailDev (node --require): they answer the names of loopback only, and no page of another
// origin. own_names.py says why. Node hands every request and every WebSocket to a server by `emit`.

const { Server } = require('node:http')

const LOOPBACK = new Set(['127.0.0.1', '[::1]', 'localhost'])
const { emit } = Server.prototype

function refusal ({ headers: { host = '', origin } }) {
  if (!LOOPBACK.has(host.toLowerCase().replace(/:\d{1,5}$/, ''))) return 421
  if (origin !== undefined && origin.toLowerCase().replace(/^https?:\/\//, '') !== host.toLowerCase()) return 403
  return null
}

Server.prototype.emit = function (event, request, answer) {
  const asked = event === 'request' || event === 'checkContinue' || event === 'upgrade' || event === 'connect'
  const status = asked ? refusal(request) : null
  if (status === null) return emit.apply(this, arguments)
  if (event === 'upgrade' || event === 'connect') {
    answer.end(`HTTP/1.1 ${status} Refused\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
  } else {
    answer.writeHead(status, { 'content-type': 'text/plain', connection: 'close' })
    answer.end('This answers only under the names of this machine\'s loopback, and no page of another origin.\n')
  }
  return true
}
