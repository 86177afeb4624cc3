#!/usr/bin/env bash
# A real Dovecot for tests: `dovecot.sh start [DIR]`, `dovecot.sh stop [DIR]`.
#
# Installs Debian's packages if they are missing (as root), runs a private instance out of DIR
# (default target/services/dovecot) on free loopback ports, and writes to DIR/env:
# ALERTBRIDGE_TEST_IMAP=HOST:PORT (plain), ALERTBRIDGE_TEST_IMAPS=localhost:PORT (TLS),
# ALERTBRIDGE_TEST_IMAP_CA=FILE, ALERTBRIDGE_TEST_IMAP_LMTP=HOST:PORT, and the base folder for
# doveadm. Every user exists; the password is `labpw`. Nothing under /etc is touched.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
verb=${1:-}
dir=${2:-$here/../../target/services/dovecot}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

say() { echo "dovecot.sh: $*" >&2; }

# Sockets of the instance: their paths must be short, and its own users must reach them.
run() { cat "$dir/run" 2>/dev/null || true; }
pid() { cat "$(run)/base/master.pid" 2>/dev/null || true; }
alive() { [ -n "$(run)" ] && [ -n "$(pid)" ] && kill -0 "$(pid)" 2>/dev/null; }

stop() {
  if alive; then
    local pid
    pid=$(pid)
    kill -TERM "$pid"
    for _ in $(seq 1 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    if kill -0 "$pid" 2>/dev/null; then kill -KILL "$pid"; fi
  fi
  case "$(run)" in /tmp/alertbridge-dovecot.*) rm -rf "$(run)" ;; esac
  rm -f "$dir/env" "$dir/run"
}

install_packages() {
  dpkg -s dovecot-imapd dovecot-lmtpd >/dev/null 2>&1 && return
  if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
    say "cannot run: dovecot-imapd and dovecot-lmtpd are missing, and only root can install them by apt-get"
    exit 3
  fi
  export DEBIAN_FRONTEND=noninteractive
  local apt=(apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends dovecot-imapd dovecot-lmtpd)
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
  local t=$1
  mkdir -p "$t/base" "$t/mail"
  chmod 755 "$t"
  chown nobody:nogroup "$t/mail"
  # An authority and a certificate of it: clients refuse a certificate that signs itself.
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=alertbridge-test-ca \
    -addext basicConstraints=critical,CA:TRUE -keyout "$t/ca.key" -out "$t/ca.pem" 2>/dev/null
  openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout "$t/server.key" \
    -out "$t/server.csr" 2>/dev/null
  openssl x509 -req -in "$t/server.csr" -CA "$t/ca.pem" -CAkey "$t/ca.key" -CAcreateserial \
    -days 2 -extfile <(echo "subjectAltName=DNS:localhost") -out "$t/server.pem" 2>/dev/null
  cat >"$t/dovecot.conf" <<CONFIG
protocols = imap lmtp
listen = 127.0.0.1
base_dir = $t/base
state_dir = $t/base
log_path = $t/log
instance_name = alertbridge-test
ssl = yes
ssl_cert = <$t/server.pem
ssl_key = <$t/server.key
disable_plaintext_auth = no
auth_verbose = yes
mail_location = maildir:$t/mail/%n/Maildir
first_valid_uid = 1
first_valid_gid = 1
mail_max_userip_connections = 100
recipient_delimiter = +
lda_mailbox_autocreate = yes
imap_idle_notify_interval = 2 min
passdb {
  driver = static
  args = password=labpw
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=$t/mail/%n allow_all_users=yes
}
namespace inbox {
  inbox = yes
}
service imap-login {
  inet_listener imap {
    port = $2
  }
  inet_listener imaps {
    port = $3
    ssl = yes
  }
}
service lmtp {
  inet_listener lmtp {
    port = $4
  }
}
CONFIG
}

start() {
  if alive; then return; fi
  stop
  install_packages
  local t imap imaps lmtp
  t=$(mktemp -d /tmp/alertbridge-dovecot.XXXXXX)
  echo "$t" >"$dir/run"
  imap=$(free_port)
  imaps=$(free_port)
  lmtp=$(free_port)
  configure "$t" "$imap" "$imaps" "$lmtp"
  if ! dovecot -c "$t/dovecot.conf" >"$dir/start.log" 2>&1; then
    say "it did not start:"
    tail -n 20 "$dir/start.log" "$t/log" >&2 || true
    stop
    exit 1
  fi
  for port in "$imap" "$imaps" "$lmtp"; do
    for _ in $(seq 1 100); do
      (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
      sleep 0.1
    done
  done
  cat >"$dir/env" <<ENV
ALERTBRIDGE_TEST_IMAP=127.0.0.1:$imap
ALERTBRIDGE_TEST_IMAPS=localhost:$imaps
ALERTBRIDGE_TEST_IMAP_CA=$t/ca.pem
ALERTBRIDGE_TEST_IMAP_LMTP=127.0.0.1:$lmtp
ALERTBRIDGE_TEST_IMAP_CONFIG=$t/dovecot.conf
ENV
}

case "$verb" in
  start) start ;;
  stop) stop ;;
  *) echo "usage: dovecot.sh start|stop [DIR]" >&2; exit 2 ;;
esac
