#!/usr/bin/env bash
# A real Prometheus, and with `alertmanager` a real Alertmanager behind it, for tests:
# `prometheus.sh start DIR direct|alertmanager BRIDGE_URL TARGET`, `prometheus.sh stop DIR`.
#
# Prometheus scrapes TARGET (host:port) and alerts when `demo_up` is 0; alerts go to the bridge as
# if it were an Alertmanager (`direct`), or through Alertmanager's webhook. Everything is in DIR and
# on loopback.
set -euo pipefail
me=prometheus.sh
verb=${1:-} dir=${2:-}
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"

start() {
  local way=$1 bridge=$2 target=$3 port address prefix
  mkdir -p "$dir"
  need prometheus curl
  port=$(free_port)
  if [ "$way" = alertmanager ]; then
    need prometheus-alertmanager
    local am
    am=$(free_port)
    cat >"$dir/alertmanager.yml" <<YAML
route: {receiver: bridge, group_by: [alertname], group_wait: 1s, group_interval: 2s, repeat_interval: 4s}
receivers:
- name: bridge
  webhook_configs: [{url: '$bridge/hooks/alertmanager', send_resolved: true}]
YAML
    run alertmanager prometheus-alertmanager --config.file="$dir/alertmanager.yml" \
      --storage.path="$dir/am" --cluster.listen-address= --web.listen-address="127.0.0.1:$am"
    wait_for alertmanager "Alertmanager" curl -fs "http://127.0.0.1:$am/-/ready"
    address=127.0.0.1:$am prefix=/
  else
    address=${bridge#http://} prefix=/hooks/prometheus
  fi
  cat >"$dir/rules.yml" <<'YAML'
groups:
- name: hosts
  rules:
  - alert: HostDown
    expr: demo_up == 0
    labels: {severity: critical}
    annotations: {summary: 'Host {{ $labels.host }} is down'}
YAML
  cat >"$dir/prometheus.yml" <<YAML
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
alerting:
  alertmanagers:
  - {api_version: v2, path_prefix: $prefix, static_configs: [{targets: ['$address']}]}
scrape_configs: [{job_name: demo, static_configs: [{targets: ['$target']}]}]
YAML
  run prometheus prometheus --config.file="$dir/prometheus.yml" --storage.tsdb.path="$dir/tsdb" \
    --web.listen-address="127.0.0.1:$port" --rules.alert.resend-delay=3s
  # What is sent before the list of Alertmanagers is known is lost.
  wait_for prometheus "Prometheus" sh -c \
    "curl -fs http://127.0.0.1:$port/metrics | grep -q '^prometheus_notifications_alertmanagers_discovered 1'"
}

case "$verb" in
  start) start "${@:3}" ;;
  stop) end prometheus; end alertmanager ;;
  *) say "use: start DIR direct|alertmanager BRIDGE_URL TARGET, stop DIR"; exit 2 ;;
esac
