{#
Drains a host and moves its jails to its peers: jaild places them where there is room, and leaves out peers that are drained
themselves. How it ended is an event of the host (evacuation.ended), which jaild/reactor/alert.sls tells to people; what the host
cannot say, this does.

By hand: salt-run state.orchestrate jaild.orch.evacuate pillar='{host: edge-7.example.org, reason: its fan}'

To be configured: the host's peers, in its own jaild.yaml. After the repair: salt HOST jaild.undrain_host
#}
{% set host = pillar['host'] %}
{% set answer = salt['saltutil.cmd'](host, 'jaild.get_host').get(host, {}) %}
{% set peers = answer['ret'].get('peers', []) if answer.get('ret') is mapping else [] %}
drained:
  salt.function:
    - name: jaild.drain_host
    - tgt: {{ host | json }}
    - kwarg:
        reason: {{ pillar['reason'] | json }}

evacuated:
  salt.function:
    - name: jaild.evacuate_host
    - tgt: {{ host | json }}
    - kwarg:
        targets: {{ peers | json }}
    - require:
      - salt: drained

not evacuated:
  salt.runner:
    - name: event.send
    - tag: jaild/alert/not-evacuated
    - data:
        host: {{ host | json }}
        message: {{ (pillar['reason'] ~ ', and not all of its jails have left it: salt ' ~ host ~ ' jaild.list_evacuations') | json }}
    - onfail_any:
      - salt: drained
      - salt: evacuated
