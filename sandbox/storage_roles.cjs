'use strict'

// Loaded before Azurite (node --require): whatever the key could do, only that is done which the roles allow that infra/
// gives to Mailroom's identity. Otherwise a request that Azure refuses for ever works on every laptop. Which action an
// operation needs, and what the roles allow, is Microsoft's: storage_roles.json has the pages. What is not known here is
// refused. With SANDBOX_STORAGE_LOG a file gets each operation once, and each that was refused.

const { appendFileSync } = require('node:fs')
const { Server } = require('node:http')
const { assigned, roles } = require('./storage_roles.json')

const SERVICES = ['blob', 'queue', 'table'] // in this order Azurite starts them
const { SANDBOX_STORAGE_LOG: log } = process.env
const { emit } = Server.prototype
const services = new Map()
const noted = new Set()

const allowed = assigned.flatMap((id) => roles[id].allows)
const allows = (action) => allowed.some((one) => one === action || (one.endsWith('/*') && action.startsWith(one.slice(0, -1))))

// An operation by its name, and the sets of actions of which one has to be allowed whole.
const op = (name, ...sets) => ({ name, sets: sets.map((one) => one.split(' and ')) })

const C = 'blobServices/containers'
const Q = 'queueServices/queues'
const T = 'tableServices/tables'
const E = `${T}/entities`

function blob (method, [container, name], query) {
  const comp = query.get('comp')
  const reads = method === 'GET' || method === 'HEAD'
  if (name) {
    if (comp === 'tags') return op('Blob Tags', `${C}/blobs/tags/${reads ? 'read' : 'write'}`)
    if (reads) return op('Get Blob', `${C}/blobs/read`)
    if (method === 'DELETE') return op('Delete Blob', `${C}/blobs/delete`)
    if (method === 'PUT') return op(comp ? `Put Blob, ${comp}` : 'Put Blob', `${C}/blobs/write`)
  } else if (container && query.get('restype') === 'container') {
    if (comp === 'list' && reads) return op('List Blobs', `${C}/blobs/read`)
    if (comp === 'acl') return op('Container ACL', `${C}/${reads ? 'getAcl' : 'setAcl'}/action`)
    if (reads) return op('Get Container Properties', `${C}/read`)
    if (method === 'DELETE') return op('Delete Container', `${C}/delete`)
    if (method === 'PUT') return op(comp ? `Put Container, ${comp}` : 'Create Container', `${C}/write`)
  } else if (!container) {
    if (comp === 'list' && reads) return op('List Containers', `${C}/read`)
    if (comp === 'userdelegationkey') return op('Get User Delegation Key', 'blobServices/generateUserDelegationKey/action')
    return op('Blob Service', `blobServices/${reads ? 'read' : 'write'}`)
  }
}

function queue (method, [name, messages, message], query) {
  const comp = query.get('comp')
  const reads = method === 'GET' || method === 'HEAD'
  if (message) {
    if (method === 'PUT') return op('Update Message', `${Q}/messages/write`)
    if (method === 'DELETE') return op('Delete Message', `${Q}/messages/process/action`, `${Q}/messages/delete`)
  } else if (messages) {
    if (method === 'POST') return op('Put Message', `${Q}/messages/add/action`, `${Q}/messages/write`)
    if (query.get('peekonly') === 'true') return op('Peek Messages', `${Q}/messages/read`)
    if (reads) return op('Get Messages', `${Q}/messages/process/action`, `${Q}/messages/delete and ${Q}/messages/read`)
    if (method === 'DELETE') return op('Clear Messages', `${Q}/messages/delete`)
  } else if (name) {
    if (comp === 'acl') return op('Queue ACL', `${Q}/${reads ? 'getAcl' : 'setAcl'}/action`)
    if (reads) return op('Get Queue Metadata', `${Q}/read`)
    if (method === 'DELETE') return op('Delete Queue', `${Q}/delete`)
    if (method === 'PUT') return op(comp ? 'Set Queue Metadata' : 'Create Queue', `${Q}/write`)
  } else if (comp === 'list' && reads) {
    return op('List Queues', `${Q}/read`)
  } else {
    return op('Queue Service', `queueServices/${reads ? 'read' : 'write'}`)
  }
}

function table (method, [name = ''], query, headers) {
  const reads = method === 'GET'
  if (query.get('comp') === 'acl') return op('Table ACL', `${T}/${reads ? 'getAcl' : 'setAcl'}/action`)
  if (!name) return op('Table Service', `tableServices/${reads ? 'read' : 'write'}`)
  if (/^Tables(\(|$)/.test(name)) {
    if (reads) return op('Query Tables', `${T}/read`)
    if (method === 'POST') return op('Create Table', `${T}/write`)
    if (method === 'DELETE') return op('Delete Table', `${T}/delete`)
  } else if (!name.startsWith('$')) {
    if (reads) return op('Query Entities', `${E}/read`)
    if (method === 'POST') return op('Insert Entity', `${E}/write`, `${E}/add/action`)
    if (method === 'DELETE') return op('Delete Entity', `${E}/delete`)
    if (!['PUT', 'MERGE', 'PATCH'].includes(method)) return undefined
    if (headers['if-match']) return op('Update Entity', `${E}/write`, `${E}/update/action`)
    return op('Insert Or Replace Entity', `${E}/write`, `${E}/add/action and ${E}/update/action`)
  }
}

const OPERATIONS = { blob, queue, table }

function judged (service, { method, url, headers }) {
  if (method === 'OPTIONS') return null // preflight: anonymous
  const { pathname, searchParams } = new URL(url, 'http://localhost')
  const path = pathname.split('/').slice(2).filter(Boolean) // behind the account's name
  const found = OPERATIONS[service](method, path, searchParams, headers)
  const sets = found?.sets ?? []
  return { operation: found?.name ?? `${method} ${pathname}`, actions: sets, allowed: sets.some((one) => one.every(allows)) }
}

function note (service, verdict) {
  const line = JSON.stringify({ service, ...verdict })
  if (noted.has(line) || !log) return
  noted.add(line)
  appendFileSync(log, `${line}\n`)
}

function refuse (service, { actions }, answer) {
  const code = 'AuthorizationPermissionMismatch'
  const needed = actions.map((one) => one.join(' and ')).join(' or ') || 'an operation that the sandbox does not know'
  const text = `This request is not authorized to perform this operation using this permission. It needs ${needed}.`
  const isTable = service === 'table'
  const body = isTable
    ? JSON.stringify({ 'odata.error': { code, message: { lang: 'en-US', value: text } } })
    : `<?xml version="1.0" encoding="utf-8"?><Error><Code>${code}</Code><Message>${text}</Message></Error>`
  answer.writeHead(403, {
    'content-type': isTable ? 'application/json' : 'application/xml',
    'content-length': Buffer.byteLength(body),
    'x-ms-error-code': code,
    connection: 'close'
  })
  answer.end(body)
}

Server.prototype.emit = function (event, request, answer) {
  if (event === 'listening') services.set(this, SERVICES[services.size])
  const service = services.get(this)
  const verdict = service && (event === 'request' || event === 'checkContinue') ? judged(service, request) : null
  if (verdict) note(service, verdict)
  if (!verdict || verdict.allowed) return emit.apply(this, arguments)
  refuse(service, verdict, answer)
  return true
}
