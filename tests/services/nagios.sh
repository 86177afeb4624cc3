#!/usr/bin/env bash
# A real Nagios 4 for tests: `nagios.sh start DIR BRIDGE_URL`, `nagios.sh say DIR COMMAND`,
# `nagios.sh stop DIR`.
#
# One passive service `HTTP` of `web1.example.net`; notifications go to /hooks/nagios. Commands are
# lines for its command pipe without the time. Everything is in DIR.
set -euo pipefail
me=nagios.sh
verb=${1:-} dir=${2:-}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/packages.sh"

start() {
  local bridge=$1
  mkdir -p "$dir"/{rw,spool,tmp}
  need nagios4-core monitoring-plugins-basic curl
  cat >"$dir/nagios.cfg" <<CFG
log_file=$dir/nagios.log
cfg_file=$dir/lab.cfg
object_cache_file=$dir/objects.cache
precached_object_file=$dir/objects.precache
status_file=$dir/status.dat
status_update_interval=1
nagios_user=nagios
nagios_group=nagios
check_external_commands=1
command_file=$dir/rw/nagios.cmd
query_socket=$dir/rw/nagios.qh
lock_file=$dir/nagios.lock
temp_file=$dir/tmp/nagios.tmp
temp_path=$dir/tmp
check_result_path=$dir/spool
check_result_reaper_frequency=1
state_retention_file=$dir/retention.dat
retain_state_information=0
use_syslog=0
check_for_updates=0
interval_length=1
enable_notifications=1
enable_flap_detection=0
log_notifications=1
notification_timeout=10
CFG
  cat >"$dir/lab.cfg" <<CFG
define timeperiod {
    timeperiod_name  always
    alias            always
    sunday  00:00-24:00
    monday  00:00-24:00
    tuesday  00:00-24:00
    wednesday  00:00-24:00
    thursday  00:00-24:00
    friday  00:00-24:00
    saturday  00:00-24:00
}
define contact {
    contact_name  bridge
    service_notification_period  always
    host_notification_period  always
    service_notification_options  w,u,c,r
    host_notification_options  d,u,r
    service_notification_commands  notify-service-by-alertbridge
    host_notification_commands  notify-host-by-alertbridge
}
define command {
    command_name  dummy
    command_line  /usr/lib/nagios/plugins/check_dummy 0
}
define host {
    host_name  web1.example.net
    address  192.0.2.11
    check_command  dummy
    check_period  always
    active_checks_enabled  0
    max_check_attempts  1
    notification_period  always
    notification_interval  2
    contacts  bridge
}
define service {
    host_name  web1.example.net
    service_description  HTTP
    check_command  dummy
    check_period  always
    active_checks_enabled  0
    passive_checks_enabled  1
    max_check_attempts  1
    check_interval  5
    retry_interval  1
    notification_period  always
    notification_interval  2
    notification_options  w,u,c,r
    contacts  bridge
}
CFG
  # The commands that are shipped.
  echo 'Authorization: Bearer lab' >"$dir/header"
  sed -e "s#https://alerts.example.net#$bridge#" -e "s#/etc/nagios4/alertbridge.header#$dir/header#" \
    "$here/../../config/senders/nagios.cfg" >>"$dir/lab.cfg"
  if [ "$(id -u)" = 0 ]; then
    chown -R nagios: "$dir"
    local up=$dir
    while [ "$up" != / ]; do chmod o+x "$up"; up=$(dirname "$up"); done
  fi
  run nagios nagios4 "$dir/nagios.cfg"
  wait_for nagios "Nagios' command pipe" test -p "$dir/rw/nagios.cmd"
}

case "$verb" in
  start) start "${@:3}" ;;
  say) printf '[%s] %s\n' "$(date +%s)" "$3" >"$dir/rw/nagios.cmd" ;;
  stop) end nagios ;;
  *) say "use: start DIR BRIDGE_URL, say DIR COMMAND, stop DIR"; exit 2 ;;
esac
