#!/usr/bin/env bash
# A real Request Tracker 5 for tests: `rt.sh start [DIR]`, `rt.sh stop [DIR]`.
#
# Installs Debian's packages if they are missing (as root), builds a private SQLite instance in DIR
# (default target/services/rt), serves it on a free loopback port, and writes its address and
# tokens to DIR/env (ALERTBRIDGE_TEST_RT=URL and the tokens of three users). Nothing under /etc is
# touched; several instances can run side by side. A second start finds the first one running.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
verb=${1:-}
dir=${2:-$here/../../target/services/rt}

say() { echo "rt.sh: $*" >&2; }

alive() { [ -s "$dir/pid" ] && kill -0 "$(cat "$dir/pid")" 2>/dev/null; }

stop() {
  if alive; then
    local pid
    pid=$(cat "$dir/pid")
    kill -TERM "$pid"
    for _ in $(seq 1 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    if kill -0 "$pid" 2>/dev/null; then kill -KILL "$pid"; fi
  fi
  rm -f "$dir/pid" "$dir/env"
}

install_packages() {
  dpkg -s request-tracker5 rt5-db-sqlite rt5-standalone >/dev/null 2>&1 && return
  if ! command -v apt-get >/dev/null; then
    say "cannot run: Request Tracker comes from Debian's packages and this machine has no apt-get"
    exit 3
  fi
  if [ "$(id -u)" != 0 ]; then
    say "cannot run: request-tracker5, rt5-db-sqlite and rt5-standalone are missing, and only root can install them"
    exit 3
  fi
  export DEBIAN_FRONTEND=noninteractive
  debconf-set-selections <<'ANSWERS'
request-tracker5 request-tracker5/rtname string alertbridge.test
request-tracker5 request-tracker5/organization string alertbridge.test
request-tracker5 request-tracker5/correspondaddress string rt@alertbridge.test
request-tracker5 request-tracker5/commentaddress string rt-comment@alertbridge.test
request-tracker5 request-tracker5/webbaseurl string http://127.0.0.1
request-tracker5 request-tracker5/handle-siteconfig-permissions boolean false
request-tracker5 request-tracker5/dbconfig-install boolean false
request-tracker5 request-tracker5/install-cronjobs boolean false
request-tracker5 request-tracker5/initial-root-password password
request-tracker5 request-tracker5/initial-root-password-again password
ANSWERS
  # msmtp-mta answers for the mail agent that the package wants, without bringing a mail daemon.
  local packages=(request-tracker5 rt5-db-sqlite rt5-standalone rt5-clients msmtp-mta curl)
  local apt=(apt-get -o DPkg::Lock::Timeout=600)
  if ! "${apt[@]}" install -y --no-install-recommends "${packages[@]}" >"$dir/apt.log" 2>&1; then
    "${apt[@]}" update >>"$dir/apt.log" 2>&1 || true
    if ! "${apt[@]}" install -y --no-install-recommends "${packages[@]}" >>"$dir/apt.log" 2>&1; then
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
  mkdir -p "$dir"/{conf.d,mason,session,mail}
  cat >"$dir/RT_SiteConfig.pm" <<'CONFIG'
my $d = $ENV{RT_INSTANCE_DIR} or die "RT_INSTANCE_DIR is not set";
Set($rtname, 'alertbridge.test');
Set($Organization, 'alertbridge.test');
Set($CorrespondAddress, 'rt@alertbridge.test');
Set($CommentAddress, 'rt-comment@alertbridge.test');
Set($WebDomain, '127.0.0.1');
Set($WebPort, $ENV{RT_INSTANCE_PORT});
Set($WebPath, '');
Set($DatabaseType, 'SQLite');
Set($DatabaseName, "$d/rt.sqlite");
Set($DatabaseHost, '');
Set($WebSessionClass, 'Apache::Session::File');
Set($Timezone, 'UTC');
Set($LogToSyslog, '');
Set($LogToSTDERR, 'info');
# Tokens are checked with bcrypt at every call; the default of 12 takes a fifth of a second.
Set($BcryptCost, 4);
Set($MailCommand, 'sendmailpipe');
Set($SendmailPath, "$d/sendmail");
$RT::MasonDataDir = "$d/mason";
$RT::MasonSessionDir = "$d/session";
$RT::VarPath = $d;
1;
CONFIG
  cat >"$dir/sendmail" <<'STUB'
#!/bin/sh
# Outgoing mail becomes files.
cat >"$(mktemp "$RT_INSTANCE_DIR/mail/XXXXXXXX")"
STUB
  chmod +x "$dir/sendmail"
}

answers() {
  curl -s -o /dev/null -m 30 -w '%{http_code}' -H "Authorization: token $(cat "$dir/token-root")" \
    "http://127.0.0.1:$1/REST/2.0/rt" || true
}

start() {
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
  # Two starts at once: the second waits and finds the first one's server.
  exec 9>"$dir/lock"
  flock 9
  if alive && [ -s "$dir/env" ]; then cat "$dir/env"; return; fi
  install_packages
  configure
  local port
  port=$(free_port)
  export RT_INSTANCE_DIR=$dir RT_INSTANCE_PORT=$port
  export RT_SITE_CONFIG=$dir/RT_SiteConfig.pm RT_SITE_CONFIG_DIR=$dir/conf.d
  if [ ! -s "$dir/seeded" ]; then
    rm -f "$dir/rt.sqlite" "$dir"/token-*
    if ! rt-setup-database-5 --action init --skip-create </dev/null >"$dir/init.log" 2>&1 ||
      ! perl "$here/rt_seed.pl" >>"$dir/init.log" 2>&1; then
      say "the database could not be set up; the end of $dir/init.log:"
      tail -n 20 "$dir/init.log" >&2
      exit 1
    fi
    date >"$dir/seeded"
  fi
  setsid /usr/share/request-tracker5/libexec/rt-server --server Starlet --host 127.0.0.1 \
    --port "$port" --max-workers "${RT_WORKERS:-4}" >>"$dir/server.log" 2>&1 </dev/null 9>&- &
  echo $! >"$dir/pid"
  for _ in $(seq 1 600); do
    [ "$(answers "$port")" = 200 ] && break
    if ! alive; then
      say "the server ended; the end of $dir/server.log:"
      tail -n 20 "$dir/server.log" >&2
      exit 1
    fi
    sleep 0.1
  done
  if [ "$(answers "$port")" != 200 ]; then
    say "the server does not answer; see $dir/server.log"
    stop
    exit 1
  fi
  {
    echo "ALERTBRIDGE_TEST_RT=http://127.0.0.1:$port"
    echo "ALERTBRIDGE_TEST_RT_TOKEN=$(cat "$dir/token-alertbridge")"
    echo "ALERTBRIDGE_TEST_RT_AGENT_TOKEN=$(cat "$dir/token-agent1")"
    echo "ALERTBRIDGE_TEST_RT_ROOT_TOKEN=$(cat "$dir/token-root")"
  } >"$dir/env"
  cat "$dir/env"
}

case "$verb" in
  start) start ;;
  stop) stop ;;
  *) say "use: rt.sh start|stop [DIR]"; exit 2 ;;
esac
