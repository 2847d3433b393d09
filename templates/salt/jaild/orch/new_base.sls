{#
A new base, tried and rolled out. The canaries take it over from its builder, their channel names it, and their jails that follow
the channel move (jaild_rollout); if all went well, the same on all hosts. What fails ends it there, and an alert says so. A host
without such jails is done: canaries that are to try something must have some.

By hand: salt-run state.orchestrate jaild.orch.new_base pillar='{base: debian-12.8, builder: build-1}'

To be configured, in the master's configuration: jaild:channel, jaild:canaries and jaild:hosts (compound targets), jaild:rollout, the
policy of jaild_rollout.start on all hosts. What has begun goes on over a restart of the master only with jaild_rollout.go_on in its
schedule (docs/fleet.md).
#}
{% set fleet = opts['jaild'] %}
{% for who, hosts, policy in (('canaries', fleet['canaries'], {}), ('all', fleet['hosts'], fleet['rollout'])) %}
taken over by {{ who }}:
  salt.state:
    - tgt: {{ hosts | json }}
    - tgt_type: compound
    - sls: jaild.host.base
    - pillar:
        base: {{ pillar['base'] | json }}
        builder: {{ pillar['builder'] | json }}
        channel: {{ fleet['channel'] | json }}
{% if who == 'all' %}
    - batch: 10%
    - require:
      - salt: moved on canaries
{% endif %}

moved on {{ who }}:
  salt.runner:
    - name: jaild_rollout.start
    - tgt: {{ hosts | json }}
    - tgt_type: compound
    - channel: {{ fleet['channel'] | json }}
{% for name, value in policy.items() %}
    - {{ name }}: {{ value | json }}
{% endfor %}
    - require:
      - salt: taken over by {{ who }}
{% endfor %}

rolled out:
  salt.runner:
    - name: event.send
    - tag: jaild/alert/rolled-out
    - data:
        host: {{ pillar['builder'] | json }}
        message: {{ ('its base ' ~ pillar['base'] ~ ' is rolled out') | json }}
    - require:
      - salt: moved on all

not rolled out:
  salt.runner:
    - name: event.send
    - tag: jaild/alert/not-rolled-out
    - data:
        host: {{ pillar['builder'] | json }}
        message: {{ ('its base ' ~ pillar['base'] ~ ' is not rolled out: salt-run jaild_rollout.list, jaild_rollout.status ID') | json }}
    - onfail_any:
      - salt: moved on canaries
      - salt: moved on all
