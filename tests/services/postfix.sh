#!/usr/bin/env bash
# A real Postfix for tests: `postfix.sh start [DIR]`, `postfix.sh stop [DIR]`.
#
# Installs Debian's packages if they are missing (as root), and runs a private instance with its own
# configuration, queue and log on a free loopback port. Writes to DIR/env (default DIR:
# target/services/postfix): ALERTBRIDGE_TEST_POSTFIX=HOST:PORT, ALERTBRIDGE_TEST_POSTFIX_CONFIG=its
# folder, ALERTBRIDGE_TEST_POSTFIX_PORTS=A,B,C,D. Mails to 1.smtp.example go to port A of this
# machine, to 1.lmtp.example to port B, of 2 to C and D; {one,two}.pipe.example to the command
# CONFIG/commands/{one,two}, alerts@mon.example.net by an alias to CONFIG/commands/alias; tests put
# the commands there and listen at the ports. Retries come after seconds. The Postfix of
# the machine, if it runs one, is not touched.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
verb=${1:-}
dir=${2:-$here/../../target/services/postfix}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

say() { echo "postfix.sh: $*" >&2; }

run() { cat "$dir/run" 2>/dev/null || true; }
pid() { tr -d ' ' 2>/dev/null <"$(run)/queue/pid/master.pid" || true; }
alive() { [ -n "$(run)" ] && [ -n "$(pid)" ] && kill -0 "$(pid)" 2>/dev/null; }

stop() {
  if alive; then
    local pid
    pid=$(pid)
    kill -TERM "$pid"
    for _ in $(seq 1 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    if kill -0 "$pid" 2>/dev/null; then kill -KILL "$pid"; fi
  fi
  # Its log has to lie below /var.
  case "$(run)" in /var/tmp/alertbridge-postfix.*) rm -rf "$(run)" ;; esac
  rm -f "$dir/env" "$dir/run"
}

install_packages() {
  if [ "$(id -u)" != 0 ]; then
    say "cannot run: Postfix starts as root only"
    exit 3
  fi
  [ -x /usr/sbin/postfix ] && command -v swaks >/dev/null && return
  if ! command -v apt-get >/dev/null; then
    say "cannot run: postfix and swaks are missing and this machine has no apt-get"
    exit 3
  fi
  export DEBIAN_FRONTEND=noninteractive
  echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections
  local apt=(apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends postfix swaks)
  if ! "${apt[@]}" >"$dir/apt.log" 2>&1; then
    apt-get -o DPkg::Lock::Timeout=600 update >>"$dir/apt.log" 2>&1 || true
    if ! "${apt[@]}" >>"$dir/apt.log" 2>&1; then
      say "cannot run: the packages could not be installed; the end of $dir/apt.log:"
      tail -n 10 "$dir/apt.log" >&2
      exit 3
    fi
  fi
}

free_port() {
  local port
  for _ in $(seq 1 200); do
    port=$((20000 + RANDOM % 12000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
  say "no free port was found"
  exit 1
}

configure() {
  local t=$1 port=$2
  mkdir -p "$t"/{etc/commands,queue,data,spool}
  chmod 755 "$t" "$t/etc"
  # Tests may run as somebody else than who started this.
  chmod 1777 "$t/etc/commands" "$t/spool"
  chown postfix "$t/data"
  cat >"$t/etc/transport" <<TRANSPORT
1.smtp.example smtp:[127.0.0.1]:$3
1.lmtp.example lmtp:inet:127.0.0.1:$4
2.smtp.example smtp:[127.0.0.1]:$5
2.lmtp.example lmtp:inet:127.0.0.1:$6
one.pipe.example bridgepipe:one
3.smtp.example smtp:[127.0.0.1]:$7
3.lmtp.example lmtp:inet:127.0.0.1:$8
two.pipe.example bridgepipe:two
three.pipe.example bridgepipe:three
TRANSPORT
  printf 'alerts: "|%s/etc/commands/alias"\n' "$t" >"$t/etc/aliases"
  cp /etc/postfix/postfix-files /etc/postfix/dynamicmaps.cf "$t/etc/" 2>/dev/null || true
  cat >"$t/etc/main.cf" <<CONFIG
compatibility_level = 3.6
queue_directory = $t/queue
data_directory = $t/data
maillog_file = $t/log
maillog_file_prefixes = /var
myhostname = mon.example.net
mydestination = \$myhostname, localhost
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
alias_maps = hash:$t/etc/aliases
alias_database = hash:$t/etc/aliases
local_recipient_maps =
mail_spool_directory = $t/spool
transport_maps = texthash:$t/etc/transport
relay_domains = static:all
recipient_delimiter = +
queue_run_delay = 2s
minimal_backoff_time = 2s
maximal_backoff_time = 4s
bridgepipe_destination_recipient_limit = 1
default_privs = nobody
CONFIG
  sed "s/^smtp  *inet .*/127.0.0.1:$port inet n - n - - smtpd/; s/^\([a-z].* unix  *[-n]  *-  *\)y /\1n /" \
    /usr/share/postfix/master.cf.dist >"$t/etc/master.cf"
  cat >>"$t/etc/master.cf" <<MASTER
bridgepipe unix - n n - 4 pipe
  flags=DORXhu user=nobody argv=$t/etc/commands/\${nexthop} \${sender} \${recipient}
MASTER
  postalias -c "$t/etc" "hash:$t/etc/aliases" 2>>"$dir/start.log"
}

start() {
  if alive; then return; fi
  stop
  : >"$dir/start.log"
  install_packages
  local t port
  t=$(mktemp -d /var/tmp/alertbridge-postfix.XXXXXX)
  echo "$t" >"$dir/run"
  port=$(free_port)
  local to=()
  for _ in 1 2 3 4 5 6; do to+=("$(free_port)"); done
  configure "$t" "$port" "${to[@]}"
  if ! postfix -c "$t/etc" start >>"$dir/start.log" 2>&1; then
    say "it did not start:"
    tail -n 20 "$dir/start.log" "$t/log" >&2 || true
    stop
    exit 1
  fi
  for _ in $(seq 1 100); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
    sleep 0.1
  done
  cat >"$dir/env" <<ENV
ALERTBRIDGE_TEST_POSTFIX=127.0.0.1:$port
ALERTBRIDGE_TEST_POSTFIX_CONFIG=$t/etc
ALERTBRIDGE_TEST_POSTFIX_PORTS=$(IFS=,; echo "${to[*]}")
ENV
}

case "$verb" in
  start) start ;;
  stop) stop ;;
  *) echo "usage: postfix.sh start|stop [DIR]" >&2; exit 2 ;;
esac
