# Shared by the scripts of this folder: packages, ports, ends. Sourced, not run; `me` is the script's
# name and `dir` the instance's folder.

say() { echo "$me: $*" >&2; }

# need PACKAGE...: installs what is missing, as root, if tests/run says so (ALERTBRIDGE_TEST_INSTALL).
# Services of the packages are not started: each test has an instance of its own. Ends with 3 if a
# package cannot be had.
need() {
  local missing=() package
  for package in "$@"; do dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package"); done
  [ "${#missing[@]}" = 0 ] && return
  if [ -z "${ALERTBRIDGE_TEST_INSTALL:-}" ]; then
    say "cannot run: ${missing[*]} missing; tests/run installs them"
    exit 3
  fi
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    say "cannot run: ${missing[*]} missing, and only root with apt-get can install them"
    exit 3
  fi
  (
    # One at a time, so that nobody takes away another's refusal to start services.
    exec 8>/var/lock/alertbridge-tests-packages
    flock 8
    export DEBIAN_FRONTEND=noninteractive
    refusal=/usr/sbin/policy-rc.d
    if [ ! -e "$refusal" ]; then
      printf '#!/bin/sh\nexit 101\n' >"$refusal"
      chmod +x "$refusal"
      trap 'rm -f "$refusal"' EXIT
    fi
    apt=(apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "${missing[@]}")
    if ! "${apt[@]}" >"$dir/apt.log" 2>&1; then
      apt-get -o DPkg::Lock::Timeout=600 update >>"$dir/apt.log" 2>&1 || true
      "${apt[@]}" >>"$dir/apt.log" 2>&1
    fi
  ) || {
    say "cannot run: ${missing[*]} could not be installed; the end of $dir/apt.log:"
    tail -n 10 "$dir/apt.log" >&2
    exit 3
  }
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

# run NAME COMMAND...: starts it apart, with its words in NAME.log and its number in NAME.pid.
run() {
  local name=$1
  shift
  setsid "$@" >>"$dir/$name.log" 2>&1 </dev/null &
  echo $! >"$dir/$name.pid"
}

alive() { [ -s "$dir/$1.pid" ] && kill -0 "$(cat "$dir/$1.pid")" 2>/dev/null; }

# wait_for NAME WHAT COMMAND...: until the command succeeds, a minute at most.
wait_for() {
  local name=$1 what=$2
  shift 2
  for _ in $(seq 1 600); do
    "$@" >/dev/null 2>&1 && return
    if ! alive "$name"; then break; fi
    sleep 0.1
  done
  say "$what did not come; the end of $dir/$name.log:"
  tail -n 20 "$dir/$name.log" >&2
  exit 1
}

# end NAME [SIGNAL]: ends it by its number, and waits.
end() {
  alive "$1" || return 0
  local pid
  pid=$(cat "$dir/$1.pid")
  kill "-${2:-TERM}" "$pid" 2>/dev/null || true
  for _ in $(seq 1 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
  if kill -0 "$pid" 2>/dev/null; then kill -KILL "$pid" 2>/dev/null || true; fi
  rm -f "$dir/$1.pid"
}
