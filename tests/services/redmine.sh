#!/usr/bin/env bash
# A real Redmine 5 for tests: `redmine.sh start [DIR]`, `redmine.sh stop [DIR]`.
#
# Installs Debian's packages if they are missing (as root), builds a private SQLite instance in DIR
# (default target/services/redmine), serves it on a free loopback port, and writes its address and
# keys to DIR/env (ALERTBRIDGE_TEST_REDMINE=URL and the keys of three users). A second start finds
# the first one running.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
verb=${1:-}
dir=${2:-$here/../../target/services/redmine}

say() { echo "redmine.sh: $*" >&2; }

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
  dpkg -s redmine redmine-sqlite puma >/dev/null 2>&1 && return
  if ! command -v apt-get >/dev/null; then
    say "cannot run: Redmine comes from Debian's packages and this machine has no apt-get"
    exit 3
  fi
  if [ "$(id -u)" != 0 ]; then
    say "cannot run: redmine, redmine-sqlite and puma are missing, and only root can install them"
    exit 3
  fi
  export DEBIAN_FRONTEND=noninteractive
  debconf-set-selections <<'ANSWERS'
redmine redmine/instances/default/dbconfig-install boolean false
redmine redmine/instances/default/database-type select sqlite3
redmine redmine/default-language select en
ANSWERS
  local packages=(redmine redmine-sqlite puma curl)
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
  mkdir -p "$dir"/{config,files,log,tmp/cache}
  # Debian's package serves the folder below /var/lib/redmine that REDMINE_INSTANCE names.
  instance=alertbridge-$(printf '%s' "$dir" | cksum | cut -d' ' -f1)
  ln -sfn "$dir" "/var/lib/redmine/$instance"
  cat >"$dir/config/database.yml" <<CONFIG
production:
  adapter: sqlite3
  database: $dir/redmine.sqlite
  timeout: 10000
  encoding: utf8
CONFIG
  [ -s "$dir/config/secret_key.txt" ] ||
    head -c 48 /dev/urandom | base64 -w0 | tr -dc 'a-zA-Z0-9' >"$dir/config/secret_key.txt"
}

seed() {
  [ -s "$dir/seed.out" ] && return
  rm -f "$dir/redmine.sqlite"
  if ! bundle exec rake db:migrate >"$dir/init.log" 2>&1 ||
    ! bundle exec rake redmine:load_default_data >>"$dir/init.log" 2>&1 ||
    ! bundle exec rails runner "$here/redmine_seed.rb" >"$dir/seed.part" 2>>"$dir/init.log"; then
    say "the database could not be set up; the end of $dir/init.log:"
    tail -n 20 "$dir/init.log" >&2
    exit 1
  fi
  mv "$dir/seed.part" "$dir/seed.out"
}

answers() {
  curl -s -o /dev/null -m 30 -w '%{http_code}' "http://127.0.0.1:$1/issues.json?limit=1" || true
}

start() {
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
  # Two starts at once: the second waits and finds the first one's server.
  exec 9>"$dir/lock"
  flock 9
  if alive && [ -s "$dir/env" ]; then cat "$dir/env"; return; fi
  install_packages
  local port
  port=$(free_port)
  configure
  export REDMINE_INSTANCE=$instance RAILS_ENV=production SCHEMA=/dev/null REDMINE_LANG=en
  export REDMINE_PORT=$port
  cd /usr/share/redmine
  # Configured without a database, the package's lock file has no sqlite3: it is written anew.
  if ! grep -q ' sqlite3 ' /var/lib/redmine/Gemfile.lock 2>/dev/null; then
    rm -f /var/lib/redmine/Gemfile.lock
    bundle install --local --quiet >>"$dir/init.log" 2>&1
  fi
  seed
  # One thread: with SQLite, writers at the same time get "database is locked" and a 500.
  setsid puma -e production -b "tcp://127.0.0.1:$port" -t 1:1 -w 0 config.ru \
    >>"$dir/server.log" 2>&1 </dev/null 9>&- &
  echo $! >"$dir/pid"
  for _ in $(seq 1 900); do
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
    echo "ALERTBRIDGE_TEST_REDMINE=http://127.0.0.1:$port"
    awk '$1 == "key" { print "ALERTBRIDGE_TEST_REDMINE_KEY_" toupper($2) "=" $3 }' "$dir/seed.out"
  } >"$dir/env"
  cat "$dir/env"
}

case "$verb" in
  start) start ;;
  stop) stop ;;
  *) say "use: redmine.sh start|stop [DIR]"; exit 2 ;;
esac
