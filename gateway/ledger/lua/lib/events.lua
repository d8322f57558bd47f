-- Webhook events, written by the same script as the change itself, and only if a webhook subscribes to them.
-- Subscriptions are text, "<webhook>=<event>,<event>;…", in the field `webhooks` of the account, or of the policy.
--- @include "lib/keys" "lib/amounts" "lib/webhooks" "lib/outbox"
local events = {}

--- @rarely

local RUNNING = "generation.running"
local SUBSCRIPTION = {"plan", "interval", "anchor", "paid_through", "cancelled_to", "scheduled"}

-- One id per occurrence, for all webhooks: a re-sent script would create the same one.
local function id_of(subject, what)
  return "evt_" .. keys.partition .. string.sub(redis.sha1hex(subject .. "|" .. what), 1, 24)
end

-- Write an event for all its subscribers.
local function tell(account, event, listeners, operators, now)
  local outbox = make_outbox()
  local function notify(owner, text)
    for webhook, heard in string.gmatch(text or "", "([^=;]+)=([^;]*)") do
      if string.find("," .. heard .. ",", "," .. event.type .. ",", 1, true) then
        outbox.add(owner, webhook, event, now)
      end
    end
  end
  event.created_at = amounts.text(now)
  notify(account, listeners)
  notify(webhooks.OPERATOR, operators)
  if event.url then outbox.add(account, webhooks.DEFAULT, event, now) end
end

-- Write: the start or end of a generation. The end is delivered after the start, however long that takes.
function events.of_generation(g, type, listeners, operators, now)
  local left_out = g.webhook_only and g.webhook_only ~= (type == RUNNING and "start" or "end")
  tell(g.account, {
    id = id_of(g.id, type), type = type, account = g.account, subject = g.id,
    url = not left_out and g.webhook or nil, form = g.webhook_form,
    after = type ~= RUNNING and id_of(g.id, RUNNING) or nil,
  }, listeners, operators, now)
end

-- Write: a generation has started. `reserve` has noted whether there are subscribers: without any, nothing is read.
function events.of_begun(g, now)
  local heard = g.listened and redis.call("HGET", keys.account(g.account), "webhooks")
  local operators = g.listened and redis.call("HGET", keys.policy(), "webhooks")
  events.of_generation(g, RUNNING, heard or nil, operators or nil, now)
end

-- In memory: an account event. `what` distinguishes it from others of its type; `data` has only text values.
function events.note(a, type, what, data)
  if a.operators == nil then a.operators = redis.call("HGET", keys.policy(), "webhooks") end
  if not (a.fields.webhooks or a.operators) then return end
  a.new_events = a.new_events or {}
  a.new_events[#a.new_events + 1] = {
    id = id_of(a.id, type .. "|" .. what), type = type, account = a.id, subject = a.id, data = cjson.encode(data),
  }
end

-- In memory: the subscription has changed since it was read.
function events.note_subscription(a)
  local data = {was = a.raw.plan}
  for _, name in ipairs(SUBSCRIPTION) do data[name] = a.fields[name] end
  events.note(a, "subscription.changed", amounts.text(a.entry_count) .. "|" .. amounts.text(a.real), data)
end

-- Write the noted events; called by `accounts.save`.
function events.write(a)
  for _, event in ipairs(a.new_events) do
    tell(a.id, event, a.fields.webhooks, a.operators or nil, a.real)
  end
end
