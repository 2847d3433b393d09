{#
Sends what has happened to people: the event's text, with the host.

Events of a host have their own text below data['data'], and the minion that sent them as data['id']; those of orch/*.sls
have `host` and `message`.

To be configured: jaild:alerts in the master's configuration, a webhook. For another channel, replace the block below, such as

  alert:
    local.smtp.send_msg:                   # a minion that may send mail
      - tgt: mail.example.org
      - args:
        - recipient: ops@example.org
        - subject: {{ text | json }}
        - message: {{ text | json }}
        - profile: my-smtp-account

or local.pagerduty_util.… of saltext-pagerduty, or a returner of your own.
#}
{% set event = data.get('data', data) %}
{% set host = data.get('id', event.get('host', '')) %}
{% set text = host ~ ': ' ~ event.get('message', tag) %}
alert:
  runner.http.query:
    - args:
      - url: {{ opts['jaild']['alerts'] | json }}
      - method: POST
      - header_dict:
          Content-Type: application/json
      - data: {{ {'text': text} | json | json }}
