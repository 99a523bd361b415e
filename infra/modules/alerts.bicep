metadata description = 'Alerts on the events that Mailroom logs. docs/operations.md explains each.'

import { Tags } from './types.bicep'

@description('The region of the rules.')
param location string

@description('The ending of the rules\' names.')
param name string

@description('Tags of every resource.')
param tags Tags

@description('The Log Analytics workspace.')
param workspaceId string

@description('Action groups to notify.')
param actionGroupIds string[]

@description('An email address to notify, too; empty: none.')
param email string

type Rule = {
  id: string
  severity: int
  title: string
  text: string
  window: string
  operator: string
  threshold: int

  @description('Kusto statements that the query uses.')
  let: string?

  query: string
}

// Each line is one event, named in shared/telemetry.py; a test compares the names. A line may stand for several events, and
// says how many. A new workspace does not have the table yet, and a query that fails raises no alert: hence the union.
var said = '''
let events = union isfuzzy=true (datatable(TimeGenerated: datetime, Message: string)[]), AppTraces
| where Message startswith '{"event":"'
| extend said = parse_json(Message)
| extend event = tostring(said.event), code = tostring(said.code), queue = tostring(said.queue), route = tostring(said.route), times = coalesce(tolong(said.count), 1);
'''

// Failed requests: the host itself fails a request over 100 MB, and one whose caller disconnects, which anybody can cause.
// An exception of the worker is an error of Mailroom's.
var failed = '''
let failed = union isfuzzy=true (datatable(TimeGenerated: datetime, OperationName: string, OperationId: string, Success: bool, ItemCount: int)[]), AppRequests
| where Success == false and OperationName in ('send_mail', 'send_mail_qualified', 'send_my_mail', 'send_my_mail_qualified', 'events')
| join kind=leftouter (
    union isfuzzy=true (datatable(OperationId: string, InnermostType: string)[]), AppExceptions
    | where InnermostType endswith 'RpcException' or InnermostType endswith 'WorkerProcessExitException'
    | distinct OperationId
) on OperationId
| extend thrown = isnotempty(OperationId1);
'''

// When a mail last reached its final state, sent or not.
var ended = '''
let ended = toscalar(
    events
    | where event in ('mail.sent', 'mail.captured', 'mail.failed', 'mail.needs_review', 'mail.suppressed', 'mail.cancelled')
    | summarize max(TimeGenerated)
);
'''

// Each query runs every five minutes if it is urgent and otherwise every fifteen, over a `window` that is at least five
// minutes longer, since lines arrive late. The largest `value` of its rows is compared with the threshold.
var rules Rule[] = [
  {
    id: 'dead-mail'
    severity: 1
    title: 'Mail will not be sent'
    text: 'A mail failed permanently, or a producer\'s message is invalid or not allowed. It is kept in mail-dead.'
    window: 'PT10M'
    operator: 'GreaterThan'
    threshold: 0
    query: '''
| where event in ('mail.failed', 'mail.refused', 'mail.poisoned')
| summarize value = count() by event, code
'''
  }
  {
    id: 'mails-needing-review'
    severity: 1
    title: 'Mail needs review: it may have been sent'
    text: 'The outcome of a mail is unknown and could not be verified in its mailbox: check the mailbox, then replay or cancel the mail.'
    window: 'PT10M'
    operator: 'GreaterThan'
    threshold: 0
    query: '''
| where event == 'mail.needs_review'
| summarize value = count() by code
'''
  }
  {
    id: 'table-replaced'
    severity: 1
    title: 'A table was deleted and created again'
    text: 'Idempotency keys or suppressed addresses were lost: a repeated mail may be sent a second time, or be sent to a suppressed address.'
    window: 'PT15M'
    operator: 'GreaterThan'
    threshold: 0
    query: '''
| where event == 'table.replaced'
| summarize value = count() by replaced = tostring(said['table'])
'''
  }
  {
    id: 'resent'
    severity: 2
    title: 'Mail was sent a second time'
    text: 'The outcome of an attempt was unknown and could not be verified in the mailbox, so the mail was sent again, as MAIL_ON_UNKNOWN says.'
    window: 'PT30M'
    operator: 'GreaterThan'
    threshold: 0
    query: '''
| where event == 'mail.resent'
| summarize value = count()
'''
  }
  {
    id: 'throttled'
    severity: 2
    title: 'Graph throttles repeatedly'
    text: 'In three of the last six periods of five minutes, Graph answered 429 to more than a tenth of the attempts. Mail waits and is sent later.'
    window: 'PT30M'
    operator: 'GreaterThan'
    threshold: 2
    query: '''
| where event in ('graph.throttled', 'mail.sent')
| summarize throttled = countif(event == 'graph.throttled'), sent = countif(event == 'mail.sent') by piece = bin(TimeGenerated, 5m)
| where throttled * 9 > sent
| summarize value = count()
'''
  }
  {
    id: 'intake-5xx'
    severity: 0
    title: 'Mail or events were answered 5xx'
    text: 'A request was answered 5xx: storage is unreachable, a route cannot be used, or Mailroom failed. Some senders never retry.'
    window: 'PT10M'
    operator: 'GreaterThan'
    threshold: 0
    let: failed
    query: '''
| where event == 'intake.unavailable' or (event == 'event.deferred' and isempty(tostring(said.id)))
| summarize value = sum(times) by event
| union (
    failed
    | where thrown
    | summarize value = sum(ItemCount) by event = OperationName
)
'''
  }
  {
    id: 'setting-refused'
    severity: 0
    title: 'A setting cannot be used'
    text: 'Every function answers 503 until the setting is corrected; /api/health/ready says what is wrong. Messages wait in their queues.'
    window: 'PT15M'
    operator: 'GreaterThan'
    threshold: 0
    query: '''
| where event == 'setting.refused'
| summarize value = count() by setting = tostring(said.setting)
'''
  }
  {
    id: 'silent'
    severity: 0
    title: 'Mailroom does not run'
    text: 'The timer, which logs every five minutes, has logged nothing for thirty: Azure finds no functions, or cannot run them.'
    window: 'PT30M'
    operator: 'LessThan'
    threshold: 1
    query: '''
| where event in ('queue.measured', 'backlog.measured', 'setting.refused')
| summarize value = count()
'''
  }
  {
    id: 'nothing-sent'
    severity: 1
    title: 'Mail is due and nothing is sent'
    text: 'Mail has been due for half an hour, and no mail was sent or reached another final state in that time.'
    window: 'PT1H'
    operator: 'GreaterThan'
    threshold: 0
    let: ended
    query: '''
| where event in ('queue.measured', 'backlog.measured') and queue !endswith '-poison' and toreal(said.oldest) > 1800
| where isempty(queue) or TimeGenerated > ago(15m)
| where isnull(ended) or (ended < ago(30m) and ended < TimeGenerated)
| summarize value = count() by queue
| where isempty(queue) or value > 1
'''
  }
  {
    id: 'producers-wait'
    severity: 2
    title: 'A producer\'s message waits'
    text: 'Each time it was measured in the last quarter of an hour, the oldest message in mail-outbox or mail-events had waited for more than ten minutes.'
    window: 'PT30M'
    operator: 'GreaterThan'
    threshold: 600
    query: '''
| where event == 'queue.measured' and queue in ('mail-outbox', 'mail-events') and TimeGenerated > ago(15m)
| summarize measured = count(), value = min(coalesce(toreal(said.oldest), 0.0)) by queue
| where measured > 1
'''
  }
  {
    id: 'poison-stays'
    severity: 2
    title: 'Messages stay in a poison queue'
    text: 'A message that failed ten times is normally taken from the poison queue within seconds. One that stays for a quarter of an hour cannot be processed, and is deleted after seven days.'
    window: 'PT30M'
    operator: 'GreaterThan'
    threshold: 2
    query: '''
| where event == 'queue.measured' and queue endswith '-poison'
| summarize value = countif(toint(said.messages) > 0) by queue
'''
  }
  {
    id: 'mailbox-full'
    severity: 1
    title: 'A mailbox is full or reached its daily limit'
    text: 'Sent Items is full (ErrorQuotaExceeded), or the mailbox reached its daily recipient limit. Its mail waits.'
    window: 'PT15M'
    operator: 'GreaterThan'
    threshold: 0
    query: '''
| where event in ('graph.quota', 'recipients.reached')
| summarize value = count() by event, code
'''
  }
  {
    id: 'permission'
    severity: 1
    title: 'Graph denies Mailroom access'
    text: 'Graph answers 401 or 403: the identity may not send as the mailbox, or its permission does not work yet. Mail waits for up to three days.'
    window: 'PT15M'
    operator: 'GreaterThan'
    threshold: 0
    query: '''
| where event == 'graph.permission'
| summarize value = count() by code
'''
  }
  {
    id: 'unreached'
    severity: 2
    title: 'Graph cannot be reached'
    text: 'In three of the last six periods of five minutes there was no connection, or no token from the managed identity.'
    window: 'PT30M'
    operator: 'GreaterThan'
    threshold: 2
    query: '''
| where event == 'graph.unreached'
| summarize by piece = bin(TimeGenerated, 5m)
| summarize value = count()
'''
  }
  {
    id: 'turned-away'
    severity: 2
    title: 'A sender that worked before is refused'
    text: 'Within ten minutes a route refused ten requests without a valid proof, or sendMail refused ten without a valid token or permission, although it accepted requests earlier that day and none since; or a route in use has lost its secret; or the host itself failed fifty requests.'
    window: 'P1D'
    operator: 'GreaterThan'
    threshold: 9
    let: failed
    query: '''
| where event in ('event.unverified', 'route.off', 'caller.refused') and TimeGenerated > ago(30m)
| extend application = tostring(said.application), target = iff(event == 'caller.refused', 'sendMail', strcat('route ', route))
| summarize value = sum(iff(event == 'route.off', 10, times)), began = min(TimeGenerated) by target, application, piece = bin(TimeGenerated, 10m)
| join kind=inner (
    events
    | where isnotempty(route) and event in ('mail.accepted', 'mail.sent', 'mail.duplicate', 'event.filtered', 'event.batch-accepted')
    | project target = strcat('route ', route), came = TimeGenerated - 1s * coalesce(toreal(said.seconds), 0.0)
    | union (
        union isfuzzy=true (datatable(TimeGenerated: datetime, OperationName: string, ResultCode: string)[]), AppRequests
        | where OperationName startswith 'send_' and ResultCode startswith '2'
        | project target = 'sendMail', came = TimeGenerated
    )
    | summarize before = max(came) by target
) on target
| where before < began or isnotempty(application)
| project target, application, value
| union (
    failed
    | where not(thrown) and TimeGenerated > ago(30m)
    | summarize value = sum(ItemCount) by target = OperationName, piece = bin(TimeGenerated, 10m)
    | where value >= 50
    | project target, application = 'broken off or over 100 MB', value
)
'''
  }
  {
    id: 'many-bounces'
    severity: 2
    title: 'Many mails bounce'
    text: 'Within an hour twenty or more recipients were reported as not reached, more than one for each twenty mails of the last day: a list of recipients is out of date, or the domain is blocked.'
    window: 'P1D'
    operator: 'GreaterThan'
    threshold: 19
    query: '''
| where event in ('mail.bounced', 'mail.sent')
| summarize value = countif(event == 'mail.bounced' and TimeGenerated > ago(1h)), sent = countif(event == 'mail.sent')
| where value * 20 > sent
'''
  }
  {
    id: 'near-limit'
    severity: 3
    title: 'A mailbox or a caller is near its limit'
    text: 'A mailbox has used four fifths of its daily recipient limit, or a caller, queue or route exceeds its rate.'
    window: 'PT30M'
    operator: 'GreaterThan'
    threshold: 0
    query: '''
| where event in ('recipients.near', 'caller.limited')
| summarize value = count() by event
'''
  }
  {
    id: 'degraded'
    severity: 3
    title: 'Mailroom works with restrictions'
    text: 'A route or template is broken, an event waits for its route, the vault, the tenant\'s signing keys or the suppression list is unreachable, the ledger could not be written, a draft could not be deleted, or non-delivery reports could not be read.'
    window: 'PT30M'
    operator: 'GreaterThan'
    threshold: 0
    query: '''
| where event in ('setting.unused', 'route.refused', 'template.failed', 'vault.unreached', 'caller.keys-unreached', 'mail.row-unwritten', 'mail.unchecked', 'mail.draft-left', 'bounces.unread')
    or (event == 'event.deferred' and isnotempty(tostring(said.id)))
| summarize value = sum(times) by event
'''
  }
]

resource mailTo 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(email)) {
  name: 'ag-${name}'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'mailroom'
    emailReceivers: [
      {
        name: 'operators'
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

resource rule 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = [
  for one in rules: {
    name: '${one.id}-${name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: 'Mailroom: ${one.title}'
      description: one.text
      severity: one.severity
      enabled: true
      autoMitigate: true
      evaluationFrequency: one.severity < 2 ? 'PT5M' : 'PT15M' // a rule costs by how often it runs
      windowSize: one.window
      scopes: [workspaceId]
      criteria: {
        allOf: [
          {
            query: '${said}${any(one).?let ?? ''}events\n${one.query}'
            metricMeasureColumn: 'value'
            timeAggregation: 'Maximum'
            operator: one.operator
            threshold: one.threshold
            failingPeriods: {
              minFailingPeriodsToAlert: 1
              numberOfEvaluationPeriods: 1
            }
          }
        ]
      }
      actions: {
        actionGroups: concat(actionGroupIds, empty(email) ? [] : [mailTo.id])
      }
      // A new workspace does not have these tables yet.
      skipQueryValidation: true
    }
  }
]
