{#
A host's pool is no longer ONLINE: have its jails moved away, by jaild/orch/evacuate.sls.

Whose pool it is, the master knows by the minion's key (data['id']): any minion may send an event with any tag, and none can
empty another's host.

To be configured: nothing. A host that is to stay as it is while its disk is replaced: leave it out by an `if`.
#}
evacuate:
  runner.state.orchestrate:
    - args:
      - mods: jaild.orch.evacuate
      - pillar:
          host: {{ data['id'] | json }}
          reason: {{ data['data']['message'] | json }}
