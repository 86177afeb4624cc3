#!/usr/bin/env bash
# A real Zabbix 6 for tests: `zabbix.sh start DIR BRIDGE_URL`, `zabbix.sh value DIR NUMBER`,
# `zabbix.sh acknowledge DIR TEXT`, `zabbix.sh stop DIR`.
#
# A private PostgreSQL cluster, server and front end (PHP's own web server), all in DIR and on
# loopback. The host `web1.example.net` has one trapper item; a value that is not 200 is a problem.
# Its events go to /hooks/zabbix by a webhook media type.
set -euo pipefail
me=zabbix.sh
verb=${1:-} dir=${2:-}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/packages.sh"

as_postgres() { setpriv --reuid postgres --regid postgres --clear-groups "$@"; }

start() {
  local bridge=$1 programs
  mkdir -p "$dir"
  if [ "$(id -u)" != 0 ]; then
    say "cannot run: only root can start PostgreSQL and Zabbix as their own users"
    exit 3
  fi
  need postgresql zabbix-server-pgsql zabbix-frontend-php zabbix-agent php-cli php-pgsql php-curl curl
  programs=$(echo /usr/lib/postgresql/*/bin)
  local up=$dir
  while [ "$up" != / ]; do chmod o+x "$up"; up=$(dirname "$up"); done
  mkdir -p "$dir"/{pg,run}
  chown postgres: "$dir/pg"
  chown zabbix: "$dir/run"
  free_port >"$dir/pg.port"
  as_postgres "$programs/initdb" -D "$dir/pg/data" -A trust -U postgres >"$dir/initdb.log" 2>&1
  # Throw-away data: nothing has to survive.
  run postgres setpriv --reuid postgres --regid postgres --clear-groups "$programs/postgres" \
    -D "$dir/pg/data" -c listen_addresses=127.0.0.1 -c "port=$(cat "$dir/pg.port")" \
    -c "unix_socket_directories=$dir/pg" -c fsync=off -c synchronous_commit=off -c full_page_writes=off
  local sql=(psql -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$(cat "$dir/pg.port")" -U postgres)
  wait_for postgres "PostgreSQL" "${sql[@]}" -c 'select 1'
  "${sql[@]}" -c 'create database zabbix encoding utf8 template template0'
  local part
  for part in schema images data; do
    # The pictures are of no use here, but the data refers to them.
    zcat "/usr/share/zabbix-server-pgsql/$part.sql.gz" | "${sql[@]}" zabbix >"$dir/$part.log" 2>&1
  done
  free_port >"$dir/server.port"
  cat >"$dir/server.conf" <<CONF
DBHost=127.0.0.1
DBPort=$(cat "$dir/pg.port")
DBName=zabbix
DBUser=postgres
ListenIP=127.0.0.1
ListenPort=$(cat "$dir/server.port")
LogType=console
PidFile=$dir/run/server.pid
SocketDir=$dir/run
User=zabbix
CacheUpdateFrequency=2
StartPollers=1
StartPollersUnreachable=1
StartDiscoverers=0
StartPingers=0
StartHTTPPollers=0
StartEscalators=1
StartAlerters=2
CONF
  run server zabbix_server -f -c "$dir/server.conf"
  front_end
  php -d memory_limit=256M "$here/zabbix_seed.php" set_up "$(cat "$dir/front.port")" "$bridge" \
    >"$dir/seed.log" 2>&1 || {
    say "Zabbix could not be set up; the end of $dir/seed.log:"
    tail -n 10 "$dir/seed.log" >&2
    exit 1
  }
  # The server takes the new items over at its next look.
  sleep 5
}

# A copy of the front end, for its configuration has a fixed place.
front_end() {
  local port
  port=$(free_port)
  echo "$port" >"$dir/front.port"
  cp -rL /usr/share/zabbix "$dir/front"
  sed -i "s#/etc/zabbix/zabbix.conf.php#$dir/front/conf/zabbix.conf.php#" \
    "$dir/front/include/classes/core/CConfigFile.php"
  cat >"$dir/front/conf/zabbix.conf.php" <<CONF
<?php \$DB = ['TYPE'=>'POSTGRESQL','SERVER'=>'127.0.0.1','PORT'=>'$(cat "$dir/pg.port")','DATABASE'=>'zabbix','USER'=>'postgres','PASSWORD'=>'','SCHEMA'=>'','ENCRYPTION'=>false,'KEY_FILE'=>'','CERT_FILE'=>'','CA_FILE'=>'','VERIFY_HOST'=>false,'CIPHER_LIST'=>'','VAULT_URL'=>'','VAULT_DB_PATH'=>'','VAULT_TOKEN'=>'','DOUBLE_IEEE754'=>true];
\$ZBX_SERVER='127.0.0.1'; \$ZBX_SERVER_PORT='$(cat "$dir/server.port")'; \$ZBX_SERVER_NAME='lab'; \$IMAGE_FORMAT_DEFAULT=IMAGE_FORMAT_PNG;
CONF
  run front php -d max_execution_time=300 -d memory_limit=256M -d post_max_size=16M \
    -d max_input_time=300 -S "127.0.0.1:$port" -t "$dir/front"
  wait_for front "the front end" curl -fs -H 'Content-Type: application/json-rpc' \
    -d '{"jsonrpc":"2.0","method":"apiinfo.version","params":[],"id":1}' \
    "http://127.0.0.1:$port/api_jsonrpc.php"
}

case "$verb" in
  start) start "${@:3}" ;;
  value)
    zabbix_sender -z 127.0.0.1 -p "$(cat "$dir/server.port")" -s web1.example.net -k app.http -o "$3" >&2
    ;;
  acknowledge) php "$here/zabbix_seed.php" acknowledge "$(cat "$dir/front.port")" "$3" >&2 ;;
  # The server before its database, without which it waits for ever.
  stop) end front; end server; end postgres INT ;;
  *) say "use: start DIR BRIDGE_URL, value DIR NUMBER, acknowledge DIR TEXT, stop DIR"; exit 2 ;;
esac
