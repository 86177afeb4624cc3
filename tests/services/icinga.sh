#!/usr/bin/env bash
# A real Icinga 2 for tests: `icinga.sh start DIR BRIDGE_URL`, `icinga.sh say DIR COMMAND`,
# `icinga.sh stop DIR`.
#
# One passive service `http` of `web1.example.net`; notifications go to /hooks/icinga2. Commands are
# lines for its command pipe without the time. Everything is in DIR.
set -euo pipefail
me=icinga.sh
verb=${1:-} dir=${2:-}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/packages.sh"

start() {
  local bridge=$1
  mkdir -p "$dir"/{data,cache,log,run,spool}
  need icinga2 monitoring-plugins-basic curl
  cat >"$dir/icinga2.conf" <<CONF
const PluginDir = "/usr/lib/nagios/plugins"
const NodeName = "mon.example.net"
include <itl>
object NotificationComponent "notification" {}
object ExternalCommandListener "command" { command_path = "$dir/run/icinga2.cmd" }
object FileLogger "main" {
  severity = "notice"
  path = "$dir/log/icinga2.log"
}
object TimePeriod "always" {
  ranges = { monday = "00:00-24:00", tuesday = "00:00-24:00", wednesday = "00:00-24:00", thursday = "00:00-24:00", friday = "00:00-24:00", saturday = "00:00-24:00", sunday = "00:00-24:00" }
}
object User "bridge" {}
object Host "web1.example.net" {
  check_command = "dummy"
  enable_active_checks = false
  max_check_attempts = 1
  address = "192.0.2.11"
}
object Service "http" {
  host_name = "web1.example.net"
  check_command = "dummy"
  enable_active_checks = false
  max_check_attempts = 1
}
object Notification "webhook" {
  host_name = "web1.example.net"
  service_name = "http"
  command = "alertbridge-service"
  users = [ "bridge" ]
  interval = 3s
}
CONF
  # The commands that are shipped.
  echo 'Authorization: Bearer lab' >"$dir/header"
  sed -e "s#https://alerts.example.net#$bridge#" -e "s#/etc/icinga2/alertbridge.header#$dir/header#" \
    "$here/../../config/senders/icinga2.conf" >>"$dir/icinga2.conf"
  # Root's own process becomes the user of Debian's package.
  if [ "$(id -u)" = 0 ]; then chown -R nagios: "$dir"; open_way; fi
  run icinga icinga2 daemon -c "$dir/icinga2.conf" \
    -D "Configuration.DataDir=$dir/data" -D "Configuration.CacheDir=$dir/cache" \
    -D "Configuration.LogDir=$dir/log" -D "Configuration.InitRunDir=$dir/run" \
    -D "Configuration.SpoolDir=$dir/spool" -D "Configuration.PidPath=$dir/run/icinga2.pid" \
    -D "Configuration.ObjectsPath=$dir/cache/icinga2.debug" \
    -D "Configuration.StatePath=$dir/data/icinga2.state" \
    -D "Configuration.VarsPath=$dir/cache/icinga2.vars" \
    -D "Configuration.ModAttrPath=$dir/data/modified-attributes.conf"
  wait_for icinga "Icinga's command pipe" test -p "$dir/run/icinga2.cmd"
}

# The package's user must be able to walk to the folder.
open_way() {
  local up=$dir
  while [ "$up" != / ]; do chmod o+x "$up"; up=$(dirname "$up"); done
}

case "$verb" in
  start) start "${@:3}" ;;
  say) printf '[%s] %s\n' "$(date +%s)" "$3" >"$dir/run/icinga2.cmd" ;;
  stop) end icinga ;;
  *) say "use: start DIR BRIDGE_URL, say DIR COMMAND, stop DIR"; exit 2 ;;
esac
