{#
A builder has sealed a new base: have it tried and rolled out, by jaild/orch/new_base.sls.

A builder is a host on which the source team makes bases (jailctl base import, base install, base patch). The event is its own, and
the master knows it by the minion's key (data['id']); what other hosts seal, such as by taking a base over, is passed over.

To be configured: jaild:builders in the master's configuration. Each host has its builder among its peers, by its minion's id.
#}
{% if data['id'] in opts['jaild']['builders'] %}
roll out:
  runner.state.orchestrate:
    - args:
      - mods: jaild.orch.new_base
      - pillar:
          base: {{ data['data']['target'].partition('/')[2] | json }}
          builder: {{ data['id'] | json }}
{% endif %}
