'use strict'

// Loaded before Azurite (node --require), which would load these two whether or not it uses them: its telemetry, which is
// off here, and its database clients, which files or memory stand in for. They are half of the time that it takes to start.

const Module = require('node:module')

const { _load } = Module
const unused = new Proxy({}, { get: () => class {} })

Module._load = (name, ...more) => ['applicationinsights', 'sequelize'].includes(name) ? unused : _load(name, ...more)
