#!/bin/sh
# configuration.importcompare lists an object as updated of which nothing differs, if its parts and its keys come in another order.
#
# Tools     zabbix-frontend-php 6.0.14 of Debian 12, with its PHP 8.2 and PostgreSQL 15. Zabbix's server takes no part.
# Expected  Of a document that was just imported, importcompare lists nothing; and what it lists differs in something.
# Seen      A template that was imported, and the same document compared. Zabbix exports items by key, triggers by name, tags by
#           name, and the keys of an object in an order of its own. Compared with that:
#           - as exported: nothing is listed. Items and triggers in another order, or the keys of objects: nothing, too;
#           - both, items or triggers and keys: the template, or the item, is "updated", and its `before` equals its `after`;
#           - tags in another order: the item is "updated", `before` and `after` have the same tags.
#           It is listed however often it is imported. CConfigurationImportcompare.php takes an object whose parts come in
#           another order for one that may have changed (!=), and drops it if the rest is the same, which it asks by !==: in PHP
#           that is false of the same keys in another order. Tags stay with their object, and != heeds the order of lists.
# So        Who takes "not empty" for "changed" imports, and reports a change, at each run. Ask whether something was added or
#           removed, or `before` differs from `after`; and write tags in the order of their names.
# In jaild  jaild/cli/zabbix/push.py, `_differs`; jaild/cli/zabbix/template.py, `_tags`.
# Run       as root, with the Debian packages zabbix-frontend-php, zabbix-server-pgsql (for the schema), php-pgsql and postgresql
#           installed: they run here with a database, a configuration and a port of their own. Status 0: as described; 1: no
#           longer so; 2: it cannot be tried here.
set -eu

untried() {
    echo "it cannot be tried here: $*" >&2
    exit 2
}

[ "$(id -u)" = 0 ] || untried "it needs root"
packages="zabbix-frontend-php zabbix-server-pgsql php8.2-cli php8.2-pgsql postgresql-15"
versions=$(dpkg-query -W -f '${Package} ${Version}\n' $packages) || untried "it needs $packages"
programs=/usr/lib/postgresql/15/bin
folder=$(mktemp -d /tmp/finding.XXXXXX)
database=
pages=
ended() {
    trap "" HUP INT TERM
    [ -z "$pages" ] || kill "$pages" || :
    [ -z "$database" ] || kill -INT "$database" || : # at once, whoever is connected
    wait
    rm -rf "$folder"
}
trap ended EXIT
trap 'exit 2' HUP INT TERM
chmod 711 "$folder"
cd "$folder"

# PostgreSQL refuses to be root's. All runs as its account, and nobody else can reach the socket.
own="setpriv --reuid=postgres --regid=postgres --clear-groups"
place=$folder/database
install -d -o postgres -g postgres "$place"
$own $programs/initdb -D "$place/data" -A trust --no-sync --locale=C.UTF-8 >log 2>&1 || untried "initdb: $(cat log)"
$own $programs/postgres -D "$place/data" -k "$place" -c listen_addresses= -c unix_socket_permissions=0700 -c fsync=off \
    >database.log 2>&1 &
database=$!
until $own $programs/pg_isready -q -h "$place"; do
    kill -0 $database || untried "PostgreSQL: $(cat database.log)"
    sleep 0.2
done
$own $programs/createdb -h "$place" zabbix
for part in schema images data; do
    zcat "/usr/share/zabbix-server-pgsql/$part.sql.gz"
done | $own $programs/psql -q -X -v ON_ERROR_STOP=1 -h "$place" zabbix >log 2>&1 || untried "the schema: $(tail -n 3 log)"

# The pages read their configuration where one of their files says.
cp -r /usr/share/zabbix pages
sed -i "s|\(const CONFIG_FILE_PATH = \).*|\1'$folder/conf.php';|" pages/include/classes/core/CConfigFile.php
cat >conf.php <<END
<?php
\$DB = ['TYPE' => 'POSTGRESQL', 'SERVER' => '$place', 'PORT' => '0', 'DATABASE' => 'zabbix', 'USER' => 'postgres',
    'ENCRYPTION' => false, 'VERIFY_HOST' => false, 'DOUBLE_IEEE754' => true]
    + array_fill_keys(['PASSWORD', 'SCHEMA', 'KEY_FILE', 'CERT_FILE', 'CA_FILE', 'CIPHER_LIST', 'VAULT_URL',
        'VAULT_DB_PATH', 'VAULT_TOKEN'], '');
\$IMAGE_FORMAT_DEFAULT = IMAGE_FORMAT_PNG;
END
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
$own php -d memory_limit=256M -S "127.0.0.1:$port" -t pages >pages.log 2>&1 &
pages=$!
until python3 -c 'import socket, sys; socket.create_connection(("127.0.0.1", sys.argv[1]))' "$port" 2>log; do
    kill -0 $pages || untried "PHP: $(cat pages.log)"
    sleep 0.2
done

cat >experiment.py <<'END'
import copy
import json
import sys
import urllib.request

URL = f"http://127.0.0.1:{sys.argv[1]}/api_jsonrpc.php"
MADE = {"createMissing": True}
WHOLE = {"createMissing": True, "updateExisting": True, "deleteMissing": True}
RULES = {"groups": MADE, "templates": {"createMissing": True, "updateExisting": True}, "items": WHOLE, "triggers": WHOLE}


def call(method, token=None, **parameters):
    told = {"jsonrpc": "2.0", "method": method, "params": parameters, "id": 1, "auth": token}
    request = urllib.request.Request(URL, json.dumps(told).encode(), {"Content-Type": "application/json-rpc"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        said = json.load(answer)
    return said["result"] if "result" in said else sys.exit(f"{method}: {said}")


def uuid(number):
    return f"{number:08x}000040008000000000000000"


def trigger(number, name):
    return {"uuid": uuid(number), "expression": f"last(/scratch/one)={number}", "name": name}


def document():
    one = {"uuid": uuid(3), "name": "One", "type": "TRAP", "key": "one", "delay": "0"}
    one |= {"tags": [{"tag": "a"}, {"tag": "b"}], "triggers": [trigger(4, "A"), trigger(5, "B")]}
    two = {"uuid": uuid(6), "name": "Two", "type": "TRAP", "key": "two", "delay": "0"}
    groups = [{"name": "scratch"}]
    template = {"uuid": uuid(1), "template": "scratch", "name": "scratch", "groups": groups, "items": [one, two]}
    groups = [{"uuid": uuid(2), "name": "scratch"}]
    return {"zabbix_export": {"version": "6.0", "groups": groups, "templates": [template]}}


def items(document):
    return document["zabbix_export"]["templates"][0]["items"]


def keys_reversed(value):
    if isinstance(value, dict):
        return {key: keys_reversed(value[key]) for key in reversed(value)}
    return [keys_reversed(each) for each in value] if isinstance(value, list) else value


def listed(compared):
    """What is updated, and in which keys; or all of it if anything was added or removed."""
    for kind, changes in (compared or {}).items():
        if set(changes) != {"updated"}:
            yield f"{kind}: {changes}"
            continue
        for each in changes["updated"]:
            before, after = each.pop("before"), each.pop("after")
            keys = {key for key in {**before, **after} if before.get(key) != after.get(key)}
            differs = f"{before} {after}" if keys - {"tags"} else "the order of tags differs" if keys else "nothing differs"
            if keys == {"tags"} and sorted(map(str, before["tags"])) != sorted(map(str, after["tags"])):
                differs = "tags differ"
            yield f"  {kind}: updated {before['name']}, {differs}"
            yield from listed(each)


token = call("user.login", user="Admin", password="zabbix")  # as the packages make it


def tried(what, order=None, keys=False):
    told = document() if exported is None else copy.deepcopy(exported)
    if order:
        order(told)
    source = json.dumps(keys_reversed(told) if keys else told)
    for _ in range(2):
        call("configuration.import", token, format="json", source=source, rules=RULES)
    print(what)
    compared = call("configuration.importcompare", token, format="json", source=source, rules=RULES)
    print("\n".join(listed(compared)) if compared else "  nothing is listed")


exported = None
tried("as written")
(template,) = call("template.get", token, filter={"host": "scratch"}, output=["templateid"])
options = {"templates": [template["templateid"]]}
exported = json.loads(call("configuration.export", token, format="json", options=options))
tried("as exported")
tried("keys in another order", keys=True)
tried("items in another order", lambda told: items(told).reverse())
tried("items and keys in another order", lambda told: items(told).reverse(), keys=True)
tried("triggers in another order", lambda told: items(told)[0]["triggers"].reverse())
tried("triggers and keys in another order", lambda told: items(told)[0]["triggers"].reverse(), keys=True)
tried("tags in another order", lambda told: items(told)[0]["tags"].reverse())
END
cat >described <<'END'
as written
  nothing is listed
as exported
  nothing is listed
keys in another order
  nothing is listed
items in another order
  nothing is listed
items and keys in another order
  templates: updated scratch, nothing differs
triggers in another order
  nothing is listed
triggers and keys in another order
  templates: updated scratch, nothing differs
  items: updated One, nothing differs
tags in another order
  templates: updated scratch, nothing differs
  items: updated One, the order of tags differs
END
timeout -s KILL 300 python3 experiment.py "$port" >seen 2>&1 || echo "status $?" >>seen
echo "$versions"
cat seen
diff -u described seen || { echo "no longer as described" && exit 1; }
echo "as described"
