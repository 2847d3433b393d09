{#
A host has a base, taken over from its builder so that it is the same one on all hosts, and the channel names it. For
jaild/orch/new_base.sls, which gives the pillar.
#}
the base:
  jaild.base_present:
    - name: {{ pillar['base'] | json }}
    - peer: {{ pillar['builder'] | json }}

the channel:
  jaild.channel:
    - name: {{ pillar['channel'] | json }}
    - base: {{ pillar['base'] | json }}
    - require:
      - jaild: the base
