#!/usr/bin/env bash
# A real Monit for tests: `monit.sh start DIR SMTP_PORT`, `monit.sh stop DIR`.
#
# It runs the program DIR/probe each second: exit code DIR/state. Alerts go by mail to the bridge,
# with a reminder each third cycle. Everything is in DIR.
set -euo pipefail
me=monit.sh
verb=${1:-} dir=${2:-}
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"

start() {
  local port=$1
  mkdir -p "$dir/events"
  need monit
  echo 0 >"$dir/state"
  printf '#!/bin/sh\nread code <"%s/state"\necho "the probe says $code"\nexit "$code"\n' "$dir" >"$dir/probe"
  chmod +x "$dir/probe"
  cat >"$dir/monitrc" <<RC
set daemon 1
set idfile $dir/id
set statefile $dir/statefile
set pidfile $dir/monit-own.pid
set eventqueue basedir $dir/events slots 50
set mailserver 127.0.0.1 port $port using hostname "mon.example.net"
set mail-format { from: monit@mon.example.net }
set alert alerts+mail@bridge.example.net but not on { instance } with reminder on 3 cycles
set httpd unixsocket $dir/socket allow localhost
check program probe with path "$dir/probe"
  if status != 0 then alert
RC
  chmod 600 "$dir/monitrc"
  run monit monit -I -c "$dir/monitrc"
  wait_for monit "Monit's socket" test -S "$dir/socket"
}

case "$verb" in
  start) start "${@:3}" ;;
  stop) end monit ;;
  *) say "use: start DIR SMTP_PORT, stop DIR"; exit 2 ;;
esac
